"""Warm start: canvases that start from the suggestion that the user departed from.

The user types something else than what was suggested. What followed the word in which they
departed usually still fits, and the suggestion says about how long the span is. So the canvases
hold the rest of the suggestion, with noise in place of what is in doubt, in a few lengths,
because the new word may have more or fewer tokens than the old one. `dg-lsp eval departures`
compares this with a cold start.
"""

from __future__ import annotations

from collections.abc import Sequence

from dg_lsp.engine.codec import Codec
from dg_lsp.engine.healing import text_of
from dg_lsp.engine.prompt import CanvasPlan, Edges, Prompt, plan_rewrite, segment_ids
from dg_lsp.job import Earlier

MORE_TOKENS = (0, 1, 2, -1)
"""How many more tokens than the doubtful ones are tried in their place."""


def warm_starts(
    prompt: Prompt, codec: Codec, earlier: Earlier | None, room: int
) -> list[CanvasPlan]:
    """Canvases that start as the earlier suggestion, that of its own length first.

    An empty list if there was no suggestion, or if its own length does not fit into `room`.
    """
    if earlier is None or not earlier.text.strip():
        return []
    starts = warm_ids(prompt.edges, codec, earlier, room)
    return [plan_rewrite(prompt, start) for start in starts]


def warm_ids(edges: Edges, codec: Codec, earlier: Earlier, room: int) -> list[list[int]]:
    """What the free positions of a segment may start as, -1 for noise; in its own length
    first."""
    ids = segment_ids(edges, codec, earlier.text)
    if not edges.least_tokens <= len(ids) <= room:
        return []
    noised = _doubtful_tokens(edges, codec, earlier, ids)
    starts = [
        [-1] * (noised + more) + ids[noised:] for more in MORE_TOKENS if noised + more >= 0
    ]
    return [start for start in starts if edges.least_tokens <= len(start) <= room]


def _doubtful_tokens(edges: Edges, codec: Codec, earlier: Earlier, ids: Sequence[int]) -> int:
    """How many tokens, from the first, hold healed text and doubtful characters."""
    if not earlier.doubtful:
        return 0
    healed = len(text_of(codec, edges.left_tokens))
    left = healed + len(earlier.text[: earlier.doubtful].encode())
    for count, token_id in enumerate(ids):
        if left <= 0:
            return count
        left -= len(codec.token_bytes(token_id))
    return len(ids)
