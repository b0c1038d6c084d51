"""Trains the bundled model; the server needs nothing from here."""

from dg_lsp import threads

# Before its modules import torch.
threads.wait_briefly()
