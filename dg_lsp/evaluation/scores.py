"""Compares what was written with what stood there. Knows neither models nor benchmarks."""

from __future__ import annotations

import numpy as np

from dg_lsp.document.syntax import parses
from dg_lsp.evaluation.spans import TrueSpan


def is_match(truth: str, text: str) -> bool:
    """Exact but for white space at the end."""
    return truth.rstrip() == text.rstrip()


def is_stripped_match(truth: str, text: str) -> bool:
    """Exact but for white space on both sides."""
    return truth.strip() == text.strip()


def edit_similarity(truth: str, text: str) -> float:
    """1 less the Levenshtein distance over the longer length; 1 for two empty texts."""
    if not truth and not text:
        return 1.0
    written = np.array([ord(character) for character in text], dtype=np.int64)
    steps = np.arange(len(text) + 1)
    row = steps
    for i, character in enumerate(truth, 1):
        changed = np.minimum(row[1:] + 1, row[:-1] + (written != ord(character)))
        # Insertions run along the row: the least of all that stand to the left.
        row = np.minimum.accumulate(np.concatenate(([i], changed)) - steps) + steps
    return 1.0 - float(row[-1]) / max(len(truth), len(text))


def stays_valid(span: TrueSpan, text: str) -> bool | None:
    """Whether the document is valid Python with the text; None where the true one's is not."""
    if span.language != "python" or not parses(span.prefix + span.text + span.suffix):
        return None
    return parses(span.prefix + text + span.suffix)
