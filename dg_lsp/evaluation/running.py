"""Fills problems one after the other and judges the answers.

It shows progress, continues an interrupted log, and estimates the time beforehand.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from dg_lsp.evaluation import SeedSource
from dg_lsp.evaluation.data import Problem
from dg_lsp.evaluation.elsewhere import Contexts, contexts
from dg_lsp.evaluation.methods import Outcome, infiller
from dg_lsp.evaluation.results import Result, ResultLog, completed
from dg_lsp.evaluation.sandbox import Sandbox
from dg_lsp.evaluation.scores import edit_similarity, is_match, stays_valid
from dg_lsp.evaluation.spans import AS_ASKED, job_of
from dg_lsp.models.loading import LoadedModel

WARM_UPS = 1
"""Number of first problems whose time does not count, because of one-time work."""
TRIED_FOR_ESTIMATE = 3

Fill = Callable[[Problem], Outcome]
Match = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class Judging:
    """How answers are judged."""

    match: Match = is_match
    sandbox: Sandbox | None = None
    """Runs the tests, if there are any and they should be run."""
    syntax: bool = False
    """Whether to parse Python documents with the answer."""


@dataclass(frozen=True, slots=True)
class Filler:
    """Answers problems."""

    name: str
    device: str | None
    identity: str
    """Identifies everything that may change answers; only the same one continues a log."""
    fill: Fill
    measure: Callable[[str], int]
    """How many tokens a text has."""


CANONICAL = Filler(
    name="canonical solutions",
    device=None,
    identity="canonical",
    fill=lambda problem: Outcome(problem.span.text, 1.0, 0, 0.0, 0.0),
    measure=lambda text: 0,
)
"""Answers with the true text, which the harness must always judge as right."""


def filler_of(
    model: LoadedModel,
    max_tokens: int,
    min_confidence: float,
    context_of: Contexts | None = None,
) -> Filler:
    """Answers with the engine, using the model's settings; without `context_of`, no seeds."""
    context_of = context_of or contexts(SeedSource.NONE)
    settings = dataclasses.replace(model.settings, min_confidence=min_confidence)
    options = dataclasses.replace(AS_ASKED, max_tokens=max_tokens)
    return Filler(
        name=model.info.name,
        device=model.info.device,
        identity=f"{model.info.name} {settings} {max_tokens}",
        fill=lambda problem: infiller(
            settings, job_of(problem.span, options, context_of(problem.span)), model
        ),
        measure=lambda text: len(model.codec.encode(text)),
    )


def run(
    problems: Sequence[Problem],
    filler: Filler,
    judging: Judging,
    log: ResultLog | None = None,
    console: Console | None = None,
) -> list[Result]:
    """All results, in the order of the problems."""
    by_name = {problem.name: problem for problem in problems}

    def work(name: str) -> Result:
        problem = by_name[name]
        return judge(problem, filler.fill(problem), judging, filler.measure)

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console or Console(stderr=True),
    ) as progress:
        return list(
            progress.track(
                completed(by_name, log, work), total=len(by_name), description="infilling"
            )
        )


def judge(
    problem: Problem, outcome: Outcome, judging: Judging, measure: Callable[[str], int]
) -> Result:
    span, text = problem.span, outcome.text
    verdict, detail = None, ""
    if judging.sandbox is not None and problem.test:
        found = judging.sandbox.run(problem.program(text))
        verdict, detail = found.ending.value, found.detail
    return Result(
        name=problem.name,
        kind=span.kind,
        language=span.language,
        cluster=problem.cluster,
        text=text,
        is_quiet=not text,
        is_exact=judging.match(span.text, text),
        similarity=edit_similarity(span.text, text),
        confidence=outcome.confidence,
        steps=outcome.steps,
        milliseconds=outcome.milliseconds,
        tokens=measure(text),
        verdict=verdict,
        detail=detail,
        parses=stays_valid(span, text) if judging.syntax else None,
    )


def estimate_s(problems: Sequence[Problem], filler: Filler) -> float:
    """Estimated seconds for all problems, measured on a few."""
    step = max(1, len(problems) // (WARM_UPS + TRIED_FOR_ESTIMATE))
    tried = [*problems[::step]][: WARM_UPS + TRIED_FOR_ESTIMATE]
    times = [filler.fill(problem).milliseconds for problem in tried]
    return statistics.fmean(times[WARM_UPS:] or times) / 1e3 * len(problems)


def spread(problems: Sequence[Problem], limit: int | None) -> list[Problem]:
    """`limit` of the problems, evenly from first to last."""
    count = len(problems) if limit is None else min(limit, len(problems))
    return [problems[n * len(problems) // count] for n in range(count)]
