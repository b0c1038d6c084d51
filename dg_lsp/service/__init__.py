"""The engine across a process boundary: the server, its client and its life cycle."""
