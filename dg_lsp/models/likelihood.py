"""Notices wrong or swapped weights: how likely a model finds a fixed text must not change.

A checkpoint may have the figure in its `dg_lsp.json`. Otherwise, the first load that finds the
text plausible stores it beside the weights. Later loads compare theirs with it.
"""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path

from dg_lsp.files import write_private
from dg_lsp.models.checkpoint import METADATA, CheckpointError, read_json
from dg_lsp.reason import ReasonCode

FILE = "likelihood.json"
KEY = "nats_per_token"
TEXT = """\
def mean(values):
    total = 0
    for value in values:
        total += value
    return total / len(values)
"""
MOST_CHANGE = 0.5
"""Nats per token. Other devices and data types change hundredths."""
PLAUSIBLE = 0.75
"""Below this share of the surprise of somebody who finds all tokens equally likely, weights are
those of a trained model."""


def check(directory: Path, surprise: float, vocab_size: int, *, may_store: bool) -> None:
    """Compare the nats per token of `TEXT` with what `directory` stores about it.

    Raises `CheckpointError`. A model that finds the text implausible is accepted if nothing is
    stored, because it may never have been trained.
    """
    shipped = directory / METADATA
    is_shipped = shipped.is_file() and KEY in read_json(shipped)
    path = shipped if is_shipped else directory / FILE
    if not math.isfinite(surprise):
        raise CheckpointError(
            f"the weights in {directory} give no numbers; pull the model again",
            ReasonCode.WRONG_WEIGHTS,
        )
    if not path.is_file():
        if may_store and surprise < PLAUSIBLE * math.log(vocab_size):
            # A model on a disk that cannot be written is as good.
            with contextlib.suppress(OSError):
                write_private(path, json.dumps({KEY: surprise}).encode())
        return
    known = read_json(path).get(KEY)
    if not isinstance(known, int | float):
        raise CheckpointError(f"{path}: {KEY} is {known!r}, not a number")
    if abs(surprise - known) > MOST_CHANGE:
        raise CheckpointError(
            f"the weights in {directory} have changed: a fixed text costs {surprise:.2f} nats "
            f"per token, and {known:.2f} according to {path}; pull the model again, or, if you "
            f"replaced them, delete {KEY if is_shipped else 'the file'} there",
            ReasonCode.WRONG_WEIGHTS,
        )
