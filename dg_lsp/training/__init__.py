"""Trains the bundled model; nothing here is needed to run the server."""
