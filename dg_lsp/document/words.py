"""What counts as one word of a document, for a question about it alone."""

from __future__ import annotations

import re

from dg_lsp.job import Span

MAX_CHARS = 64
"""A longer text is no word."""

# Letters, digits and the marks that combine with them; or signs that stand together, except for
# brackets and quotes, each of which is a word of its own.
_WORD = re.compile(r"[\w\u0300-\u036f]+|[^\w\s()\[\]{}\"'`,;]+|[^\w\s]")


def word_at(text: str, at: int) -> Span | None:
    """The word that a cursor is in or touches; of two words, the one after it, unless only the
    one before it is a name or a number. `None` between blanks."""
    start = max(text.rfind("\n", 0, at), at - MAX_CHARS) + 1
    end = text.find("\n", at)
    line_end = min(len(text) if end < 0 else end, at + MAX_CHARS)
    touching = [
        Span(found.start(), found.end())
        for found in _WORD.finditer(text, start, line_end)
        if found.start() <= at <= found.end()
    ]
    if len(touching) == 2 and _is_name(text, touching[0]) and not _is_name(text, touching[1]):
        return touching[0]
    return touching[-1] if touching else None


def is_word(text: str) -> bool:
    """Whether a text is short enough, and on one line, to ask about it as a word."""
    return bool(text.strip()) and len(text) <= MAX_CHARS and len(text.splitlines()) == 1


def _is_name(text: str, word: Span) -> bool:
    return re.match(r"\w", text[word.start : word.end]) is not None
