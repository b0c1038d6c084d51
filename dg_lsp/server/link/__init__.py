"""The way to an engine, in this process or in another one."""
