"""Measures speed: of the whole server as an editor sees it, and of the model on a GPU."""
