"""Selects tokens from hidden states: constraints, temperature, the nucleus, a sample.

The output layer runs on a few rows at a time, so that the logits of all rows are never in
memory together. Nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

ROWS_AT_ONCE = 64
NUCLEUS = 0.9
"""Least probability of the tokens that the limited distribution consists of."""
NUCLEUS_TOKENS = 256
"""The most tokens of a nucleus. Sorting a whole vocabulary would take longer than the output
layer, and a row whose nucleus is larger is too unsure to be decided anyway."""
RULED_OUT = -1e30


@dataclass(frozen=True, slots=True)
class Selection:
    """What is known of each free row; fits also of the pinned ones, which come after them."""

    sampled: Tensor
    argmax: Tensor
    log_probability: Tensor
    entropy: Tensor
    margin: Tensor
    fit: Tensor


def select(
    head: Callable[[Tensor], Tensor],
    hidden: Tensor,
    pinned: Tensor,
    disallowed: Tensor,
    constraint: Tensor,
    temperature: float | Tensor,
    share: Tensor,
) -> Selection:
    """Select a token for each free row, and compute how well the pinned ones fit.

    `hidden` (free + pinned, hidden), the free rows first, each of them the state that predicts
    the row; `pinned` (pinned,) tokens of the others; `share` (free,) uniform in [0, 1).
    """
    free = len(share)
    parts = [
        _free(
            head(hidden[at : at + ROWS_AT_ONCE][: free - at]).float(),
            disallowed,
            constraint[at : at + ROWS_AT_ONCE],
            temperature,
            share[at : at + ROWS_AT_ONCE],
        )
        for at in range(0, free, ROWS_AT_ONCE)
    ]
    fits = [part.fit for part in parts]
    for at in range(0, len(pinned), ROWS_AT_ONCE):
        logits = head(hidden[free + at : free + at + ROWS_AT_ONCE]).float()
        fits.append(_fit(logits, pinned[at : at + ROWS_AT_ONCE]))

    def joined(name: str) -> Tensor:
        found = [getattr(part, name) for part in parts]
        return torch.cat(found) if found else share[:0]

    return Selection(
        sampled=joined("sampled").long(),
        argmax=joined("argmax").long(),
        log_probability=joined("log_probability"),
        entropy=joined("entropy"),
        margin=joined("margin"),
        fit=torch.cat(fits) if fits else share[:0],
    )


def _free(
    logits: Tensor,
    disallowed: Tensor,
    constraint: Tensor,
    temperature: float | Tensor,
    share: Tensor,
) -> Selection:
    scaled = (logits / temperature).masked_fill_(disallowed[constraint], RULED_OUT)
    best, tokens = scaled.topk(min(NUCLEUS_TOKENS, scaled.shape[-1]), dim=-1)
    mass = (best - scaled.logsumexp(-1, keepdim=True)).exp()
    before = mass.cumsum(-1) - mass
    # Of the tokens beyond the nucleus, and of disallowed ones, nothing is left. The first is
    # always in it.
    out = (before >= NUCLEUS) | (best <= RULED_OUT / 2)
    out[:, 0] = False
    limited = best.masked_fill(out, float("-inf")).log_softmax(-1)
    probability = limited.exp()
    entropy = -(probability * limited.masked_fill(out, 0.0)).sum(-1)
    cumulative = probability.cumsum(-1)
    below = torch.minimum(
        share[:, None] * cumulative[:, -1:],
        torch.nextafter(cumulative[:, -1:], torch.zeros_like(cumulative[:, -1:])),
    )
    drawn = torch.searchsorted(cumulative, below, right=True).clamp_max(best.shape[-1] - 1)
    second = probability[:, 1] if best.shape[-1] > 1 else torch.zeros_like(share)
    return Selection(
        sampled=tokens.gather(1, drawn).squeeze(1),
        argmax=tokens[:, 0],
        log_probability=limited[:, 0],
        entropy=entropy,
        margin=probability[:, 0] - second,
        fit=_fit(logits, tokens[:, 0]),
    )


def _fit(logits: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability (rows,) of one token per row, without constraints."""
    return logits.gather(1, tokens[:, None]).squeeze(1) - logits.logsumexp(-1)
