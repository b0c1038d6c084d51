"""Measures alternatives: a word of a held-out file is replaced by another word of the file, and
the right one is looked for among the alternatives."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dg_lsp.engine.alternatives import alternatives
from dg_lsp.evaluation.spans import UNSEEDED, TrueSpan, job_of
from dg_lsp.models.loading import LoadedModel
from dg_lsp.training.corpus import SourceFile

COUNT = 8
"""As many alternatives as an editor lists."""

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
        job_of(one.span, context=UNSEEDED), replaced=one.wrong, alternatives=COUNT
    )
    infill = alternatives(job, model.denoiser, model.codec, model.family())
    texts = [candidate.text for candidate in infill.candidates]
    others = [candidate for candidate in infill.candidates if candidate.text != one.wrong]
    ranks = [rank for rank, other in enumerate(others) if other.text == one.span.text]
    return Found(
        ranks[0] if ranks else None,
        others[0].confidence if others else 0.0,
        texts[:1] == [one.wrong],
        infill.timings_ms.get("total", 0.0),
    )
