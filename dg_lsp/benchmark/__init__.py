"""Measurements of the whole, from outside: what an editor would see."""
