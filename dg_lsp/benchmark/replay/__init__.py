"""Typing sessions, replayed against the real server under a clock that the benchmark moves."""
