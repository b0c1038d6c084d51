"""Trains the bundled model; the server needs nothing from here."""
