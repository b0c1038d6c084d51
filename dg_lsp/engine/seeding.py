"""Seeds: texts from elsewhere that denoising can start from, and how far to trust each.

A seed is a guess at the text of the span and at its length. In the race, a lane starts from
the seed instead of noise; in the ranking, the unchanged seed competes with what the lanes
wrote. Its prior says how probable it is before the model has read it. The weights of the prior
are part of a checkpoint; `dg-lsp eval seeds` fits them on files that are not used to measure
the model.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from dg_lsp.config import SeedSettings
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.family import FoundText
from dg_lsp.engine.joint_lengths import Option
from dg_lsp.engine.prompt import Prompt, healed_ids, noised
from dg_lsp.job import Candidate, InfillJob, Seed

Rank = Callable[[Sequence[FoundText]], Sequence[Candidate]]
"""Ranks texts, the best first."""


@dataclass(frozen=True, slots=True)
class SeededStart:
    """What the free segments of a canvas start as, one or more of them as seeds."""

    segments: tuple[tuple[int, ...], ...]
    """The ids of each, -1 for noise."""
    seed: int | None
    """The number of its first seed."""
    nats: float
    """The logarithm of the probability that these seeds are right and no others."""
    is_sure: bool
    """Whether every segment starts as a seed of a high score."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Those of all segments."""
        return tuple(itertools.chain(*self.segments))

    def noised(
        self, strength: float, seed: int, old_ids: Sequence[int] = ()
    ) -> list[list[int]]:
        """The ids of each segment, with so large a share as noise of those that are not in a
        text that is rewritten."""
        is_one = len(self.segments) == 1
        return [
            noised(
                *(ids, strength, seed if is_one else f"{seed} {at}"),
                kept=equal_positions(ids, old_ids),
            )
            for at, ids in enumerate(self.segments)
        ]


class SpanSeeds:
    """The seeds of a job with nothing pinned that may become its text."""

    def __init__(self, job: InfillJob, codec: Codec, settings: SeedSettings) -> None:
        self._job, self._codec, self._settings = job, codec, settings
        self._seeds = usable(job, codec)

    def starts(
        self, prompt: Prompt, room: int, cold: Sequence[Sequence[Option]]
    ) -> list[SeededStart]:
        """What canvases with this `room` start as, the best first.

        `cold` are the starts of each segment without a seed, the best first; they stand beside
        the seeds of the other segments.
        """
        starts = []
        for number, seed in itertools.islice(self._seeds.items(), self._settings.lanes):
            ids = tuple(healed_ids(prompt, self._codec, seed.text))
            starts.append(seeded_start([ids], number, seed, self._settings))
        return [one for one in starts if len(one.ids) <= room]

    def compared(self, found: list[FoundText], rank: Rank) -> list[FoundText]:
        """All texts that take part in the ranking, each with its prior."""
        if self._job.instruction is not None:
            # A seed does not follow it, so only what lanes made of seeds is compared.
            return found
        return with_seeds(found, self._seeds, self._settings)


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


def seeded_start(
    segments: Sequence[tuple[int, ...]], number: int, seed: Seed, settings: SeedSettings
) -> SeededStart:
    """Where some segments start as one seed."""
    nats = math.log(confidence(seed, settings))
    return SeededStart(tuple(segments), number, nats, seed.score >= settings.sure_score)


def confidence(seed: Seed, settings: SeedSettings) -> float:
    """How often a seed with such a score is right."""
    log_odds = settings.log_odds + settings.log_odds_per_score * seed.score
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, log_odds))))
