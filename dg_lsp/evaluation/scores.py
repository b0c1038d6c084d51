"""Compares what was written with what stood there. Knows neither models nor benchmarks."""

from __future__ import annotations

import ast
import warnings

import numpy as np


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


def parses(text: str) -> bool:
    """Whether a text is valid Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of somebody else's escape sequences.
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
