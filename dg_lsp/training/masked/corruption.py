"""Masks the spans of a training example and says what the model must predict there.

The loss of masked diffusion is weighted as in LLaDA (arXiv 2502.09992, equation 14): of a span
of n tokens, m are masked, m uniform in 1 to n, and each of them counts n/m. Length is trained
as in DreamOn (arXiv 2602.01326): masks beyond the span's length have the target *delete*, and
several tokens behind one mask have the target *expand*. Both always start as masks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from dg_lsp.engine.masked import MaskTokens

IGNORED = -100

DELETES, MERGES = 0.55, 0.2
"""Shares of the spans with more masks than tokens, and with fewer; the rest has as many."""
FULL_WINDOW = 0.3
"""Share of the spans with deletes that fill the whole window, as most infills start."""
ALL_MASKED = 0.3
"""Share of the spans of which nothing is known yet."""


@dataclass(frozen=True, slots=True)
class Corrupted:
    """A span as the model reads it."""

    ids: list[int]
    targets: list[int]
    """True ids, IGNORED where the model sees the token."""
    weights: list[float]


def corrupt(
    ids: Sequence[int],
    tokens: MaskTokens,
    *,
    masked: Collection[int],
    merges: Sequence[tuple[int, int]] = (),
    deletes: int = 0,
    end: int | None = None,
) -> Corrupted:
    """Mask a span; every argument counts tokens of the true `ids`.

    `merges` are the starts and ends of tokens behind one mask. `deletes` masks are inserted
    before `end`, where the typed text after the span begins. Together they count at most as
    much as the span, and so do the masked tokens that are not merged.
    """
    end = len(ids) if end is None else end
    starts = dict(merges)
    inside = {at for start, stop in merges for at in range(start, stop)}
    plain = [at for at in range(len(ids)) if at not in inside]
    count = sum(at in masked for at in plain)
    out = Corrupted([], [], [])

    def put(token: int, target: int, weight: float) -> None:
        out.ids.append(token)
        out.targets.append(target)
        out.weights.append(weight)

    for at in range(len(ids) + 1):
        if at == end:
            for _ in range(deletes):
                assert tokens.delete is not None
                put(tokens.mask, tokens.delete, min(1.0, len(ids) / deletes))
        if at == len(ids):
            break
        if at in starts:
            assert tokens.expand is not None
            put(tokens.mask, tokens.expand, 1.0)
        elif at not in inside:
            is_masked = at in masked
            put(
                tokens.mask if is_masked else ids[at],
                ids[at] if is_masked else IGNORED,
                len(plain) / count if is_masked else 0.0,
            )
    return out


def corrupt_at_random(
    ids: Sequence[int],
    tokens: MaskTokens,
    rng: np.random.Generator,
    *,
    window: int,
    healed: tuple[int, int] = (0, 0),
) -> Corrupted:
    """Mask a span of one token or more; it takes at most `window` positions afterwards.

    `healed` is how many tokens at its start and at its end contain text that was typed; neither
    deletes nor merges are there, because the engine knows that text.
    """
    count = len(ids)
    start, end = healed[0], count - healed[1]
    if start > end:
        # One token holds the typed text of both sides, and nothing fits between them.
        return corrupt(ids, tokens, masked=_masked(count, rng))
    masked = _masked(count, rng)
    kind = rng.random()
    if kind < DELETES and count < window:
        full = rng.random() < FULL_WINDOW
        taken = window if full else int(rng.integers(count + 1, window + 1))
        return corrupt(ids, tokens, masked=masked, deletes=taken - count, end=end)
    merges: list[tuple[int, int]] = []
    if kind >= 1 - MERGES:
        merges = _merges(start, end, rng)
    return corrupt(ids, tokens, masked=masked, merges=merges)


def _masked(count: int, rng: np.random.Generator) -> frozenset[int]:
    some = count if rng.random() < ALL_MASKED else int(rng.integers(1, count + 1))
    return frozenset(rng.permutation(count)[:some].tolist())


def _merges(start: int, end: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Runs of two tokens or more in `start` to `end`, each behind one mask."""
    often = rng.uniform(0.1, 0.9)
    merges, at = [], start
    while at + 2 <= end:
        if rng.random() >= often:
            at += 1
            continue
        stop = min(end, at + 1 + int(rng.geometric(0.7)))
        merges.append((at, stop))
        at = stop
    return merges
