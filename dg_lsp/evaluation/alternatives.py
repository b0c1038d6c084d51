"""Measures alternatives: a word of a held-out file is replaced by another word of the file, and
the right one is looked for among the alternatives."""

from __future__ import annotations

import dataclasses
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from dg_lsp.engine.alternatives import alternatives, shares_of
from dg_lsp.evaluation.spans import UNSEEDED, TrueSpan, job_of
from dg_lsp.job import MAX_CANDIDATES
from dg_lsp.models.loading import LoadedModel
from dg_lsp.training.corpus import SourceFile

_WORD = re.compile(r"[^\W\d]\w+")


@dataclass(frozen=True, slots=True)
class WrongWord:
    """A word of a file with another one in its place."""

    span: TrueSpan
    """The right word."""
    wrong: str


@dataclass(frozen=True, slots=True)
class Found:
    """Where the right word is among the alternatives."""

    rank: int | None
    """From 0; `None` if it is not there."""
    probability: float
    """What is said of the first one."""
    is_kept: bool
    """Whether the wrong word is the likeliest of all."""
    milliseconds: float
    scores: tuple[float, ...] = ()
    """Log-likelihoods of all texts; the first alternative's is the first."""


def wrong_words(files: Sequence[SourceFile], count: int, seed: int) -> list[WrongWord]:
    """As many places, the same for the same seed."""
    rng = random.Random(seed)
    found: list[WrongWord] = []
    while len(found) < count:
        file = rng.choice(files)
        words = [*_WORD.finditer(file.text)]
        if len(words) < 2:
            continue
        right, other = rng.choice(words), rng.choice(words)
        if right[0] == other[0]:
            continue
        before, after = file.text[: right.start()], file.text[right.end() :]
        found.append(WrongWord(TrueSpan(file.path, before, after, right[0], "word"), other[0]))
    return found


def look(model: LoadedModel, one: WrongWord) -> Found:
    """Ask for alternatives of the wrong word."""
    job = dataclasses.replace(
        job_of(one.span, context=UNSEEDED), replaced=one.wrong, alternatives=MAX_CANDIDATES
    )
    temperature = model.settings.alternatives_temperature
    infill = alternatives(job, model.denoiser, model.codec, model.family(), temperature)
    texts = [candidate.text for candidate in infill.candidates]
    others = [candidate for candidate in infill.candidates if candidate.text != one.wrong]
    own = [candidate for candidate in infill.candidates if candidate.text == one.wrong]
    ranks = [rank for rank, other in enumerate(others) if other.text == one.span.text]
    return Found(
        ranks[0] if ranks else None,
        others[0].confidence if others else 0.0,
        texts[:1] == [one.wrong],
        infill.timings_ms.get("total", 0.0),
        tuple(candidate.score for candidate in (*others, *own)) if others else (),
    )


def fitted_temperature(found: Sequence[Found]) -> float:
    """The temperature at which the first alternative is said to be right as often as it is.

    By bisection; the probability of the first falls as the temperature rises.
    """
    asked = [one.scores for one in found if one.scores]
    right = sum(one.rank == 0 for one in found)
    low, high = 0.1, 100.0
    for _ in range(40):
        middle = math.sqrt(low * high)
        said = sum(shares_of(scores, middle)[0] for scores in asked)
        low, high = (middle, high) if said > right else (low, middle)
    return low


def calibration_error(found: Sequence[Found], bins: int = 5) -> float:
    """Mean distance between what is said of the first alternative and how often it is right,
    in groups of about equal size by what is said (Naeini et al., AAAI 2015)."""
    ordered = sorted(found, key=lambda one: one.probability)
    ends = [round(len(ordered) * at / bins) for at in range(bins + 1)]
    groups = [ordered[start:end] for start, end in pairwise(ends) if end > start]
    return sum(
        abs(sum(one.probability - (one.rank == 0) for one in group)) for group in groups
    ) / max(1, len(ordered))
