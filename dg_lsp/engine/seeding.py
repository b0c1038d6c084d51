"""Seeds: texts from elsewhere that denoising can start from, and how far to trust each.

A seed is a guess at the text of the span and at its length. In the race, a lane starts from
the seed instead of noise; in the ranking, the unchanged seed competes with what the lanes
wrote. Its prior says how probable it is before the model has read it. The weights of the prior
are part of a checkpoint; `dg-lsp eval seeds` fits them on files that are not used to measure
the model.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

from dg_lsp.config import SeedSettings
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.family import FoundText
from dg_lsp.job import InfillJob, Seed


def usable(job: InfillJob, codec: Codec) -> dict[int, Seed]:
    """The seeds of a job that may become its text, by their number in the job.

    They are distinct, neither blank nor damaged, and not shown before. For an infill, they are
    within the token budget; for a rewrite, they change no more of the selection than its
    strength allows.
    """
    old_ids = None if job.replaced is None else codec.encode(job.replaced)
    distinct: dict[str, tuple[int, Seed]] = {}
    for number, seed in enumerate(job.seeds):
        text = seed.text.replace("\r\n", "\n")
        if not text.strip() or "\ufffd" in text or text == job.replaced:
            continue
        if job.was_shown(text):
            continue
        ids = codec.encode(text)
        fits = len(ids) <= job.max_tokens
        if fits if old_ids is None else _is_near(ids, old_ids, job.strength):
            distinct.setdefault(text, (number, dataclasses.replace(seed, text=text)))
    return dict(distinct.values())


def _is_near(ids: Sequence[int], old_ids: Sequence[int], strength: float) -> bool:
    """Whether a text changes at most this share of the old one, or else of itself."""
    longest = max(len(ids), len(old_ids))
    least = (1 - strength) * longest - 1e-6
    return min(len(ids), len(old_ids)) >= least and len(equal_positions(ids, old_ids)) >= least


def equal_positions(ids: Sequence[int], others: Sequence[int]) -> frozenset[int]:
    """The positions of ids that two texts have in common, in the same order."""
    blocks = SequenceMatcher(None, ids, others, autojunk=False).get_matching_blocks()
    return frozenset(block.a + at for block in blocks for at in range(block.size))


def with_seeds(
    found: Sequence[FoundText], seeds: Mapping[int, Seed], settings: SeedSettings
) -> list[FoundText]:
    """The texts that the lanes wrote and the unchanged seeds, each seed with its prior."""
    numbers = {seed.text: number for number, seed in seeds.items()}
    texts = [_believed(one, seeds, numbers.pop(one.text, None), settings) for one in found]
    for text, number in numbers.items():
        share = confidence(seeds[number], settings)
        alone = FoundText(text, (share,) * len(text))
        texts.append(_believed(alone, seeds, number, settings))
    return texts


def _believed(
    found: FoundText, seeds: Mapping[int, Seed], number: int | None, settings: SeedSettings
) -> FoundText:
    """A text with the prior and the confidence of the seed that it is, if it is one."""
    if number is None:
        return found
    seed = seeds[number]
    return dataclasses.replace(
        found,
        seed=number,
        prior_nats=prior_nats(seed, settings),
        confidence=confidence(seed, settings),
    )


def prior_nats(seed: Seed, settings: SeedSettings) -> float:
    """What speaks for a seed besides its likelihood."""
    return settings.prior_nats + settings.prior_nats_per_score * seed.score


def confidence(seed: Seed, settings: SeedSettings) -> float:
    """How often a seed with such a score is right."""
    log_odds = settings.log_odds + settings.log_odds_per_score * seed.score
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, log_odds))))
