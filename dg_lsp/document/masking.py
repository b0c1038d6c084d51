"""Masks the secrets around a position in a document, fast enough for every keystroke.

It masks only as much text on either side of the position as a window can contain. The text is
masked in pieces of a few lines, and results are cached: while the user types, only the piece
with the position is masked again. Piece boundaries are counted from both ends of the document,
so that an edit between them moves none. A line that is longer than a piece, as in minified
code, is divided between two of its words. secrets.py decides what a secret is.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from dg_lsp.document.secret_shapes import MAX_KEY_BLOCK_CHARS
from dg_lsp.document.secrets import mask_key_blocks, mask_secrets
from dg_lsp.reason import Reason, ReasonCode

REACH_CHARS = 128 * 1024
"""How much is masked on either side of the position: more than any window contains, with any
secret beside it. The rest of the text is not masked."""
PIECE_CHARS = 2048
CONTEXT_CHARS = 256
"""Text before a piece that may identify a secret in it (a name, a word such as `sha256`)."""
CONTEXT_CHARS_AFTER = 64
"""Text after a piece that ends in mid-line, which may identify a secret at its end."""

# No token and hardly any password contains one of these.
_BETWEEN_WORDS = re.compile(r"[\s;,(){}<>]")


def mask_around(text: str, start: int, end: int, reach_chars: int = REACH_CHARS) -> str:
    """The text with the secrets around `[start, end)` masked; offsets do not change."""
    ends = _piece_ends(text, start, end, reach_chars)
    first, last = ends[0], ends[-1]
    pieces = (masked for _, masked in _masked_pieces(text, ends, 0, len(text)))
    return "".join((text[:first], *pieces, text[last:]))


def _masked_pieces(
    text: str, ends: Sequence[int], start: int, end: int
) -> Iterator[tuple[int, str]]:
    """Where the pieces with `[start, end)` begin, and the pieces with their secrets masked."""
    first = ends[0]
    # The only kind of secret that spans many pieces; it is found quickly.
    near = mask_key_blocks(text[first : ends[-1]])
    for left, right in pairwise(at - first for at in ends):
        if right > start - first and left < end - first:
            before = near[max(0, left - CONTEXT_CHARS) : left]
            after = "" if near[right - 1] == "\n" else near[right : right + CONTEXT_CHARS_AFTER]
            yield left + first, _masked(before, near[left:right], after)


def secret_at(text: str, start: int, end: int) -> Reason | None:
    """The reason for suggesting nothing if there is a secret in `[start, end)` or beside it.

    A rewrite of the masked text would put asterisks into the document.
    """
    ends = _piece_ends(text, start, end, MAX_KEY_BLOCK_CHARS)
    for at, masked in _masked_pieces(text, ends, max(0, start - 1), end + 1):
        reason = secret_between(text[at : at + len(masked)], masked, start - at, end - at)
        if reason is not None:
            return reason
    return None


def secret_between(text: str, masked: str, start: int, end: int) -> Reason | None:
    """The same, for a text that is already masked."""
    near = slice(max(0, start - 1), end + 1)
    if masked[near] == text[near]:
        return None
    where = "the cursor is in" if start == end else "the selection holds"
    return Reason(ReasonCode.SECRET, f"{where} what looks like a secret")


def mask_start(text: str, length: int) -> str:
    """Approximately this many characters of the start of a text, with its secrets masked."""
    return _mask_start(text[: length + PIECE_CHARS], length)


# Cached, because other files rarely change while one of them is edited.
@functools.lru_cache(maxsize=32)
def _mask_start(text: str, length: int) -> str:
    [end] = _piece_ends_near(text, [length], length + PIECE_CHARS)
    cut = text[:end]
    return mask_around(cut, 0, 0, len(cut))


def _piece_ends(text: str, start: int, end: int, reach_chars: int) -> list[int]:
    """Where pieces end, ascending: multiples of a size from either end, moved to a line's end.

    The piece with the position goes from the last end before its line to the first one after.
    """
    first = max(0, start - reach_chars) // PIECE_CHARS * PIECE_CHARS
    limit = min(len(text), end + reach_chars + PIECE_CHARS)
    head = _piece_ends_near(text, range(first, start, PIECE_CHARS), limit)
    back = len(text) - end
    last = -(-max(0, back - reach_chars) // PIECE_CHARS) * PIECE_CHARS
    behind = [len(text) - at for at in range(last, back, PIECE_CHARS)]
    tail = _piece_ends_near(text, reversed(behind), limit)
    inner = [at for at in head if at <= start] or [first]
    outer = [at for at in tail if at >= end] or [limit]
    return sorted({*inner, *outer})


def _piece_ends_near(text: str, offsets: Iterable[int], limit: int) -> Iterator[int]:
    """The end of the line at each of the ascending offsets, or of the word if that is far."""
    word_end = 0
    for at in offsets:
        if at == 0:
            yield 0
            continue
        found = text.find("\n", at - 1, min(limit, at + PIECE_CHARS))
        if found >= 0:
            yield found + 1
            continue
        # A word of many pieces is read once, and not once for each of them.
        if word_end <= at:
            between = _BETWEEN_WORDS.search(text, at, limit)
            word_end = between.end() if between else limit
        yield word_end


@functools.lru_cache(maxsize=2048)
def _masked(before: str, piece: str, after: str) -> str:
    masked = mask_secrets(before + piece + after)
    return masked[len(before) : len(before) + len(piece)]
