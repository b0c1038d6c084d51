"""Servers of other projects as backends: vLLM, and any server that fills in the middle."""
