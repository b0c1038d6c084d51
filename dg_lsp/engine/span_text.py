"""Decodes the free positions of a canvas into the text of the span."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence

from dg_lsp.engine.codec import Codec
from dg_lsp.engine.healing import text_of
from dg_lsp.engine.prompt import CanvasPlan, Edges
from dg_lsp.job import MaskedPlace

LEAST_MEETING = 6
"""With this many characters other than white space, a repeated suffix is no coincidence."""


def span_text(
    plan: CanvasPlan, codec: Codec, free_ids: Sequence[int], probabilities: Sequence[float]
) -> tuple[str, tuple[float, ...]]:
    """The text of a span with one segment, and the probability of each of its characters."""
    return segment_text(plan.edges, codec, free_ids, probabilities, is_open=plan.is_open)


def segment_text(
    edges: Edges,
    codec: Codec,
    ids: Sequence[int],
    probabilities: Sequence[float],
    *,
    is_open: bool,
) -> tuple[str, tuple[float, ...]]:
    """The text of free positions and the probability of each of its characters.

    The healed text at both edges is removed; bytes that form no character become U+FFFD. A
    character written by several tokens gets the lowest of their probabilities.
    """
    written = bytearray()
    sureness: list[float] = []
    for token_id, probability in zip(ids, probabilities, strict=True):
        piece = codec.token_bytes(token_id)
        written += piece
        sureness += [probability] * len(piece)
    start = len(text_of(codec, edges.left_tokens))
    end = max(start, len(written) - len(text_of(codec, edges.right_tokens)))
    if written[start:end].isascii():
        # Does the same as below in a tenth of the time, which matters because every step of a
        # long text is decoded.
        return written[start:end].decode("ascii"), tuple(sureness[start:end])
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    characters: list[str] = []
    confidences: list[float] = []
    least = 1.0
    # If the canvas ends within a character, that character is left out.
    last = None if is_open else end - 1
    for index in range(start, end):
        least = min(least, sureness[index])
        decoded = decoder.decode(written[index : index + 1], final=index == last)
        if decoded:
            characters.append(decoded)
            confidences += [least] * len(decoded)
            least = 1.0
    return "".join(characters), tuple(confidences)


def masked_places(
    edges: Edges, codec: Codec, free_ids: Sequence[int], masked: Mapping[int, int]
) -> tuple[MaskedPlace, ...]:
    """Where the text of a segment lacks tokens; `masked` has the width of each such
    position."""
    if not masked:
        return ()
    start = len(text_of(codec, edges.left_tokens))
    pieces = [codec.token_bytes(token_id) for token_id in free_ids]
    end = max(start, sum(map(len, pieces)) - len(text_of(codec, edges.right_tokens)))
    written = b"".join(pieces)
    widths: dict[int, int] = {}
    before = 0
    for at, piece in enumerate(pieces):
        # A masked position with text is healed, and what it shows is not part of the span.
        if masked.get(at) and not piece:
            place = len(written[start : min(before, end)].decode(errors="replace"))
            widths[place] = widths.get(place, 0) + masked[at]
        before += len(piece)
    return tuple(MaskedPlace(place, width) for place, width in widths.items())


def meeting_point(text: str, suffix: str) -> int | None:
    """Where `text` runs into `suffix`: the first index from which it repeats the suffix.

    The repetition must reach the end of `text` or be too long for a coincidence. `None` if
    there is no such index.
    """
    if not suffix:
        return None
    for start in range(len(text) + 1):
        rest = text[start:]
        shared = _shared_length(rest, suffix)
        if shared == 0:
            continue
        visible = sum(not c.isspace() for c in suffix[:shared])
        if visible >= LEAST_MEETING or (shared == len(suffix) and visible):
            return start
        if shared == len(rest) and visible:
            return start
    return None


def _shared_length(a: str, b: str) -> int:
    length = 0
    for left, right in zip(a, b, strict=False):
        if left != right:
            break
        length += 1
    return length
