"""The document as text: where the cursor is, what the model sees of it, and what is offered.

Pure functions of strings on the standard library; only `source.py` opens files. Nothing here
knows LSP, tokens or tensors.
"""
