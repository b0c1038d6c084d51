"""Checkpoints and tokenizers: the only package that imports transformers."""
