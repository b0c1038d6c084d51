"""Compares an answer with the true text."""

from __future__ import annotations

from rapidfuzz.distance import Levenshtein

from dg_lsp.document.syntax import parses
from dg_lsp.evaluation.spans import TrueSpan


def is_match(truth: str, text: str) -> bool:
    """Exact, ignoring white space at the end."""
    return truth.rstrip() == text.rstrip()


def is_stripped_match(truth: str, text: str) -> bool:
    """Exact, ignoring white space on both sides."""
    return truth.strip() == text.strip()


def edit_similarity(truth: str, text: str) -> float:
    """1 minus the Levenshtein distance divided by the longer length; 1 for two empty texts."""
    return Levenshtein.normalized_similarity(truth, text)


def stays_valid(span: TrueSpan, text: str) -> bool | None:
    """Whether the document is valid Python with the text; None if it is not with the true
    one."""
    if span.language != "python" or not parses(span.prefix + span.text + span.suffix):
        return None
    return parses(span.prefix + text + span.suffix)
