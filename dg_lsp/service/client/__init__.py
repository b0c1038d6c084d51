"""Uses an engine behind a socket as if it ran in this process."""
