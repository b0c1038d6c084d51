"""The engine process: found or started, locked, served from, and ended when idle."""
