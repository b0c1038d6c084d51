"""Loads and runs a model of the real shape once on a CPU, with random weights."""
