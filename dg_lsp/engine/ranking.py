"""Compares finished texts by how likely a causal encoder finds them.

DiffusionGemma's encoder is a language model of the decoder's own weights: the log-likelihood of
span and suffix together is comparable between lengths. A model that is often wrong finds any
long text unlikely, so its checkpoint may grant a reward for each token (docs/quality.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import CausalDenoiser
from dg_lsp.engine.family import FoundText
from dg_lsp.engine.prompt import Prompt, healed_ids
from dg_lsp.job import Candidate


@dataclass(frozen=True, slots=True)
class CausalRanker:
    """Implements `engine.family.Ranker` for models with a causal encoder."""

    denoiser: CausalDenoiser
    codec: Codec
    token_reward_nats: float

    def rank(
        self,
        found: Sequence[FoundText],
        prompt: Prompt,
        encoded: Any,
        *,
        is_rewrite: bool,
    ) -> list[Candidate]:
        distinct = list({one.text: one for one in reversed(found)}.values())
        ids = [healed_ids(prompt, self.codec, one.text) for one in distinct]
        likelihoods = likelihoods_of(self.denoiser, encoded, prompt, ids)
        # A rewrite is about as long as what it replaces: nothing speaks for a longer one.
        reward = 0.0 if is_rewrite else self.token_reward_nats
        scores = scores_of([one.text for one in distinct], likelihoods, reward)
        candidates = [
            Candidate(
                text=one.text,
                # The decoder sees its own guess and grows sure of it, right or wrong.
                confidence=geometric_mean(one.confidences) * likelihood.per_token,
                score=score,
                confidences=one.confidences,
            )
            for one, likelihood, score in zip(distinct, likelihoods, scores, strict=True)
        ]
        return sorted(candidates, key=lambda candidate: -candidate.score)


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


def likelihoods_of(
    denoiser: CausalDenoiser, encoded: Any, prompt: Prompt, free_ids: Sequence[Sequence[int]]
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


def geometric_mean(confidences: Sequence[float]) -> float:
    """Zero where there is nothing."""
    if not confidences:
        return 0.0
    logs = sum(math.log(max(confidence, 1e-12)) for confidence in confidences)
    return math.exp(logs / len(confidences))
