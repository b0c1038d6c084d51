"""Runs one model on one thread and turns jobs into infills."""
