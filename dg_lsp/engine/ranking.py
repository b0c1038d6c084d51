"""Ranks finished texts by their likelihood under a causal encoder.

DiffusionGemma's encoder is a language model with the decoder's weights, and the log-likelihood
of span and suffix together is comparable between lengths. A model that is often wrong finds
every long text unlikely, so its checkpoint may set a reward for each token (docs/quality.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
        known: dict[str, Likelihood],
        *,
        is_rewrite: bool,
    ) -> list[Candidate]:
        def likelihoods(texts: Sequence[str]) -> list[Likelihood]:
            ids = [healed_ids(prompt, self.codec, text) for text in texts]
            return likelihoods_of(self.denoiser, encoded, prompt, ids)

        # A rewrite is about as long as the text it replaces; longer ones get no reward.
        reward = 0.0 if is_rewrite else self.token_reward_nats
        return by_score(found, known, likelihoods, reward, _confidence)


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely the causal encoder finds a span after the text before it."""

    total: float
    """Log-likelihood of the span and of the suffix after it, in nats; the suffix is the same
    for all spans, so that totals compare between lengths."""
    per_token: float
    """Geometric mean of the probabilities of the span's own tokens."""
    tokens: int
    """Tokens of the span, healed ones included."""


def by_score(
    found: Sequence[FoundText],
    known: dict[str, Likelihood],
    likelihoods: Callable[[Sequence[str]], Sequence[Likelihood]],
    token_reward_nats: float,
    confidence: Callable[[FoundText, Likelihood], float],
) -> list[Candidate]:
    """The distinct texts as candidates, best first.

    `likelihoods` is asked for the texts that `known` lacks, which are added to it.
    """
    distinct = list({one.text: one for one in reversed(found)}.values())
    if new := [one.text for one in distinct if one.text not in known]:
        known.update(zip(new, likelihoods(new), strict=True))
    each = [known[one.text] for one in distinct]
    priors = [one.prior_nats for one in distinct]
    scores = scores_of([one.text for one in distinct], each, token_reward_nats, priors)
    candidates = [
        Candidate(
            text=one.text,
            confidence=confidence(one, likelihood),
            score=score,
            confidences=one.confidences,
            seed=one.seed,
            segments=one.segments,
        )
        for one, likelihood, score in zip(distinct, each, scores, strict=True)
    ]
    return sorted(candidates, key=lambda candidate: -candidate.score)


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
    texts: Sequence[str],
    likelihoods: Sequence[Likelihood],
    token_reward_nats: float,
    priors_nats: Sequence[float] = (),
) -> list[float]:
    """What texts are ranked by: their likelihood, the reward for each token, and their prior.

    Whether anything is missing at all is decided by the likelihood alone, since an empty text
    has no share in the others: where that one is the likeliest, it stays the first.
    """
    likeliest, _ = max(
        zip(texts, likelihoods, strict=True), key=lambda one: one[1].total, default=("", None)
    )
    if not likeliest:
        return [likelihood.total for likelihood in likelihoods]
    return [
        likelihood.total + token_reward_nats * likelihood.tokens + prior
        for likelihood, prior in zip(
            likelihoods, priors_nats or [0.0] * len(likelihoods), strict=True
        )
    ]


def _confidence(found: FoundText, likelihood: Likelihood) -> float:
    if found.confidence is not None:
        return found.confidence
    # The decoder sees its own guess and becomes certain of it, right or wrong.
    return geometric_mean(found.confidences) * likelihood.per_token


def geometric_mean(confidences: Sequence[float]) -> float:
    """The mean; zero if there are no values."""
    if not confidences:
        return 0.0
    logs = sum(math.log(max(confidence, 1e-12)) for confidence in confidences)
    return math.exp(logs / len(confidences))
