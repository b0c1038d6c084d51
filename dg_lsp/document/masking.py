"""Masks the secrets around a place in a document, fast enough for every keystroke.

A document is masked in pieces of whole lines, and pieces away from the place are remembered:
while one types, only the piece with the place is looked at anew. Piece boundaries are counted
from both ends of the document, so that an edit between them moves none. Knows nothing of what a
secret is (secrets.py).
"""

from __future__ import annotations

import functools
from itertools import pairwise

from dg_lsp.document.secrets import mask_secrets

REACH_CHARS = 128 * 1024
"""What is masked on either side of the place: more than any window holds, and any secret
beside it. What lies beyond is left as it is."""
PIECE_CHARS = 2048
CONTEXT_CHARS = 256
"""Text before a piece that may tell of a secret in it (a name, a word such as `sha256`)."""


def mask_around(text: str, start: int, end: int) -> str:
    """The text with its secrets covered around `[start, end)`, every character in its place."""
    ends = _piece_ends(text, start, end)
    if text.find("PRIVATE KEY", ends[0], ends[-1]) < 0:
        masked = "".join(
            _masked(text[max(0, left - CONTEXT_CHARS) : left], text[left:right])
            for left, right in pairwise(ends)
        )
    else:
        # The one kind of secret that goes over many lines.
        masked = mask_secrets(text[ends[0] : ends[-1]])
    return text[: ends[0]] + masked + text[ends[-1] :]


def touches_secret(text: str, start: int, end: int) -> bool:
    """Whether a secret stands in `[start, end)`, or right beside it."""
    masked = mask_around(text, start, end)
    near = slice(max(0, start - 1), end + 1)
    return masked[near] != text[near]


def _piece_ends(text: str, start: int, end: int) -> list[int]:
    """Where pieces end, ascending: multiples of a size from either end, moved to a line's end.

    The piece with the place goes from the last end before its line to the first one after.
    """
    first = max(0, start - REACH_CHARS) // PIECE_CHARS * PIECE_CHARS
    head = [_line_end(text, at) for at in range(first, start, PIECE_CHARS)]
    back = len(text) - end
    last = -(-max(0, back - REACH_CHARS) // PIECE_CHARS) * PIECE_CHARS
    tail = [_line_end(text, len(text) - at) for at in range(last, back, PIECE_CHARS)]
    inner = [at for at in head if at <= start]
    outer = [at for at in reversed(tail) if at >= end]
    if first == 0:
        inner.insert(0, 0)
    if not inner:
        inner = [first]
    if not outer:
        outer = [len(text)]
    return sorted({*inner, *outer})


def _line_end(text: str, at: int) -> int:
    """The end of the line that an offset is in, behind its line feed."""
    if at == 0:
        return 0
    found = text.find("\n", at - 1)
    return len(text) if found < 0 else found + 1


@functools.lru_cache(maxsize=512)
def _masked(before: str, piece: str) -> str:
    return mask_secrets(before + piece)[len(before) :]
