"""Fits how far to trust texts found elsewhere (seeds), on spans whose text is known.

The engine ranks seeds together with the texts that the model writes. Their prior is fitted as a
conditional logit: it makes the right text of each span as probable as possible among all its
texts, given their likelihoods. A logistic regression on the score then fits how often a seed
that ranks first is right, which becomes its confidence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dg_lsp.config import SeedSettings
from dg_lsp.document.request import RequestOptions
from dg_lsp.evaluation.methods import infiller
from dg_lsp.evaluation.scores import is_match
from dg_lsp.evaluation.spans import MAX_TOKENS, PUBLIC, TrueSpan, job_of
from dg_lsp.models.loading import LoadedModel

_ALL = RequestOptions(extra_candidates=63, may_be_empty=True, max_tokens=MAX_TOKENS)
"""As while typing: where the model finds that nothing is missing, no seed is shown, so that its
confidence does not matter there."""
_RIDGE = 0.001
"""Keeps weights finite that the spans do not determine."""


@dataclass(frozen=True, slots=True)
class RankedText:
    """One text for a span, as it is ranked without a prior."""

    likelihood: float
    """What it is ranked by, in nats."""
    seed_score: float | None
    """The score of the seed with this text; `None` if only the model wrote it."""
    is_right: bool


def rank_all(model: LoadedModel, span: TrueSpan) -> list[RankedText]:
    """All texts at the end of a race with seeds; none if nothing seems to be missing."""
    settings = dataclasses.replace(
        model.settings, seeds=SeedSettings(lanes=model.settings.seeds.lanes)
    )
    job = job_of(span, _ALL, PUBLIC)
    scores = {seed.text: seed.score for seed in job.seeds}
    return [
        RankedText(one.score, scores.get(one.text), is_match(span.text, one.text))
        for one in infiller(settings, job, model).candidates
    ]


def fit(spans: Sequence[Sequence[RankedText]], lanes: int) -> SeedSettings:
    """The settings that fit these spans best. Raises `ValueError` if no seed is right."""
    if not any(one.is_right and one.seed_score is not None for span in spans for one in span):
        raise ValueError("no text found elsewhere is right for any of these spans")
    told = [span for span in spans if any(one.is_right for one in span)]
    features = [torch.tensor([_features(one) for one in span]) for span in told]
    right = [torch.tensor([one.is_right for one in span]) for span in told]

    def surprise(weights: Tensor) -> Tensor:
        losses = [
            torch.logsumexp(x @ weights, 0) - torch.logsumexp((x @ weights)[y], 0)
            for x, y in zip(features, right, strict=True)
        ]
        return torch.stack(losses).mean()

    per_nat, prior, per_score = _least(surprise, [0.3, 0.0, 0.0])
    settings = SeedSettings(lanes, prior / per_nat, per_score / per_nat)
    firsts = [
        best
        for span in spans
        if span and (best := first_of(span, settings)).seed_score is not None
    ]
    scores = torch.tensor([[1.0, one.seed_score or 0.0] for one in firsts])
    was_right = torch.tensor([float(one.is_right) for one in firsts])
    log_odds, log_odds_per_score = _least(
        lambda weights: torch.nn.functional.binary_cross_entropy_with_logits(
            scores @ weights, was_right
        ),
        [0.0, 0.0],
    )
    return dataclasses.replace(
        settings, log_odds=log_odds, log_odds_per_score=log_odds_per_score
    )


def first_of(span: Sequence[RankedText], settings: SeedSettings) -> RankedText:
    """The text that ranks first with these priors."""

    def score(one: RankedText) -> float:
        if one.seed_score is None:
            return one.likelihood
        prior = settings.prior_nats + settings.prior_nats_per_score * one.seed_score
        return one.likelihood + prior

    return max(span, key=score)


def _features(one: RankedText) -> list[float]:
    if one.seed_score is None:
        return [one.likelihood, 0.0, 0.0]
    return [one.likelihood, 1.0, one.seed_score]


def _least(loss: Callable[[Tensor], Tensor], start: Sequence[float]) -> list[float]:
    """The weights that minimize a convex loss."""
    weights = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        value = loss(weights) + _RIDGE * (weights**2).sum()
        value.backward()
        return value.item()

    optimizer.step(closure)
    return [float(weight) for weight in weights.detach()]
