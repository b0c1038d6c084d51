"""Seeds: texts from elsewhere that denoising starts from, and what speaks for each beforehand.

A seed is a guess of what the span holds and of how long it is. It takes part in the race as a
lane that starts as its text instead of noise, and in the ranking as it stands. How far it is
to be believed, before the model has read it, is its prior: a checkpoint holds the weights,
found by `dg-lsp eval seeds` on files that its figures are not measured on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from dg_lsp.config import SeedSettings
from dg_lsp.engine.family import FoundText
from dg_lsp.job import Seed


def usable(seeds: Sequence[Seed], replaced: str | None) -> dict[int, Seed]:
    """The distinct seeds that say something and are whole, as models see text.

    Each has its number in the job, which other seeds may have been left out of.
    """
    distinct: dict[str, tuple[int, Seed]] = {}
    for number, seed in enumerate(seeds):
        text = seed.text.replace("\r\n", "\n")
        if text.strip() and "\ufffd" not in text and text != replaced:
            distinct.setdefault(text, (number, dataclasses.replace(seed, text=text)))
    return dict(distinct.values())


def with_seeds(
    found: Sequence[FoundText], seeds: Mapping[int, Seed], settings: SeedSettings
) -> list[FoundText]:
    """The texts that lanes wrote and the seeds as they stand, each seed with its prior."""
    numbers = {seed.text: number for number, seed in seeds.items()}
    texts = [_believed(one, seeds, numbers.pop(one.text, None), settings) for one in found]
    for text, number in numbers.items():
        share = _confidence(seeds[number], settings)
        alone = FoundText(text, (share,) * len(text))
        texts.append(_believed(alone, seeds, number, settings))
    return texts


def _believed(
    found: FoundText, seeds: Mapping[int, Seed], number: int | None, settings: SeedSettings
) -> FoundText:
    """A text with what speaks for it as the seed with a number, if it is one."""
    if number is None:
        return found
    seed = seeds[number]
    prior = settings.prior_nats + settings.prior_nats_per_score * seed.score
    confidence = _confidence(seed, settings)
    return dataclasses.replace(found, seed=number, prior_nats=prior, confidence=confidence)


def _confidence(seed: Seed, settings: SeedSettings) -> float:
    """How often a seed with such a score is right."""
    log_odds = settings.log_odds + settings.log_odds_per_score * seed.score
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, log_odds))))
