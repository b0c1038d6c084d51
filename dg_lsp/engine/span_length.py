"""How long the span is: lanes of several lengths race, or one open canvas is cut.

A uniform-state model predicts every position, the pinned ones too. A lane of the wrong length
shows in both: its free tokens stay unsure, and the pinned suffix stands where the model would
not put it. Early on, lanes are dropped by that fitness (successive halving); at the end the
causal encoder, a language model of the same weights, ranks what is left by the likelihood of
span and suffix together, which is comparable between lengths. A model that is often wrong finds
any long text unlikely, so its checkpoint may grant a reward for each token. docs/quality.md
compares the methods. Knows nothing of threads or LSP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dg_lsp.config import LengthSettings
from dg_lsp.engine.denoiser import Denoiser
from dg_lsp.engine.denoising import Denoising, Lane
from dg_lsp.engine.prompt import Prompt

PINNED_WEIGHT = 0.5
"""Weight of the pinned tokens' mean log-probability beside that of the free ones."""


def race(
    denoising: Denoising, settings: LengthSettings, wanted: int, after_step: Callable[[], None]
) -> list[Lane]:
    """Denoise all lanes, dropping the unfit on the way; the fittest first.

    At least `wanted` lanes are kept. `after_step` is called after each step and may raise.
    """
    schedule = dict(settings.keep_after)
    while not denoising.done:
        denoising.step()
        after_step()
        lanes = max(schedule.get(denoising.step_idx, len(denoising.lanes)), wanted)
        if lanes < len(denoising.lanes):
            denoising.keep(fittest(denoising.lanes)[:lanes])
    return fittest(denoising.lanes)


def fittest(lanes: Sequence[Lane]) -> list[Lane]:
    """Lanes by fitness, the best first; equal ones by length, the shorter first."""
    return sorted(lanes, key=lambda lane: (-fitness(lane), lane.plan.free_length))


def fitness(lane: Lane) -> float:
    """Mean log-probability of the free tokens, and with less weight of the pinned ones."""
    return lane.free_fit + PINNED_WEIGHT * lane.pinned_fit


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely the causal encoder finds a span, having read what precedes it."""

    total: float
    """Log-likelihood of the span and of the suffix after it, in nats; the suffix is the same
    for all spans, so that totals compare between lengths."""
    per_token: float
    """Geometric mean of the probabilities of the span's own tokens."""
    tokens: int
    """Tokens of the span, healed ones included."""


def rank(
    denoiser: Denoiser, encoded: Any, prompt: Prompt, free_ids: Sequence[Sequence[int]]
) -> list[Likelihood]:
    """The likelihood of each span."""
    tail = (*prompt.right_anchor, *prompt.closing)
    scores = denoiser.score(encoded, [(*ids, *tail) for ids in free_ids])
    return [
        Likelihood(
            float(score.sum()),
            float(score[: len(ids)].mean().exp()) if ids else 0.0,
            len(ids),
        )
        for ids, score in zip(free_ids, scores, strict=True)
    ]


def scores_of(
    texts: Sequence[str], likelihoods: Sequence[Likelihood], token_reward_nats: float
) -> list[float]:
    """What texts are ranked by: their likelihood, and the reward for each of their tokens.

    Whether anything is missing at all is decided without the reward, which a text that is
    empty has no share in: where that one is the likeliest, it stays the first.
    """
    likeliest, _ = max(
        zip(texts, likelihoods, strict=True), key=lambda one: one[1].total, default=("", None)
    )
    reward = token_reward_nats if likeliest else 0.0
    return [likelihood.total + reward * likelihood.tokens for likelihood in likelihoods]


def lengths_to_try(settings: LengthSettings, shortest: int, longest: int) -> list[int]:
    """Lengths of the lanes between the bounds, the shortest in any case: nothing is missing."""
    return [shortest, *(n for n in settings.lengths if shortest < n <= longest)]


def lengths_around(length: int, shortest: int, longest: int) -> list[int]:
    """Lengths near a known one, for a rewrite: it may shrink by half and grow by as much."""
    near = {round(length * share) for share in (0.5, 0.75, 1.0, 1.25, 1.5)}
    bounded = {min(max(n, shortest, 1), max(longest, shortest)) for n in near}
    return sorted(bounded)
