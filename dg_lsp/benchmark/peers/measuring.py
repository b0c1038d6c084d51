"""Times methods in turns, and computes from that what an infill takes.

Random weights never become sure of anything, so nobody can say how many tokens a step would
commit. What is measured is therefore the time of a pass through the network, and an infill is
given for a fixed number of tokens committed by each pass.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Scenario:
    """An infill: how many tokens of text are around the span, and how long the span is."""

    context: int
    span: int

    @property
    def prefix(self) -> int:
        """Tokens before the span: three of four."""
        return self.context - self.context // 4


BASE = Scenario(context=512, span=32)
SCENARIOS = (
    BASE,
    Scenario(128, 32),
    Scenario(1024, 32),
    Scenario(512, 8),
    Scenario(512, 64),
)


class Method(Protocol):
    """One way to fill a span."""

    name: str
    weights: str
    """The format of the weights."""
    reads_once: bool
    """Whether the text around the span is read before the first pass, and then reused."""
    commits: tuple[int, ...]
    """For how many tokens committed by each pass an infill is told."""

    def passes(self, scenario: Scenario) -> int:
        """How many passes are timed together."""
        ...

    def read(self, scenario: Scenario) -> None: ...

    def write(self, scenario: Scenario, passes: int) -> None:
        """Passes after the text was read; called any number of times."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """What one method takes for one scenario, in milliseconds; medians."""

    method: str
    weights: str
    context: int
    span: int
    read_ms: float
    """Reading the text around the span, once; 0 for a method that reads it in every pass."""
    pass_ms: float
    infill_ms: dict[int, float]
    """By tokens committed in each pass: all passes, after the text was read."""

    def cold_ms(self, commits: int) -> float:
        """An infill whose text is new."""
        return self.read_ms + self.infill_ms[commits]

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def measure(
    methods: Sequence[Method],
    scenarios: Sequence[Scenario],
    rounds: int,
    told: Callable[[str], None],
) -> list[Row]:
    """Time every method on every scenario, `rounds` times, in turns.

    Before that, every method runs once on the first scenario.
    """
    reads: dict[tuple[int, Scenario], list[float]] = {}
    writes: dict[tuple[int, Scenario], list[float]] = {}
    for round_idx in range(-1, rounds):
        for scenario in scenarios if round_idx >= 0 else scenarios[:1]:
            for number, method in enumerate(methods):
                told(
                    f"{_round_name(round_idx, rounds)}: {scenario.context} tokens, "
                    f"span of {scenario.span}, {method.name}, {method.weights}"
                )
                key, passes = (number, scenario), method.passes(scenario)
                started = time.perf_counter()
                method.read(scenario)
                was_read = time.perf_counter()
                method.write(scenario, passes)
                read_s, write_s = was_read - started, time.perf_counter() - was_read
                if round_idx >= 0:
                    reads.setdefault(key, []).append(read_s)
                    writes.setdefault(key, []).append(write_s / passes)
    return [
        _row(method, scenario, reads[number, scenario], writes[number, scenario])
        for scenario in scenarios
        for number, method in enumerate(methods)
    ]


def _row(method: Method, scenario: Scenario, reads: list[float], writes: list[float]) -> Row:
    read_ms = 1000 * statistics.median(reads) if method.reads_once else 0.0
    pass_ms = 1000 * statistics.median(writes)
    infill_ms = {
        commits: pass_ms * math.ceil(scenario.span / commits) for commits in method.commits
    }
    return Row(
        method.name,
        method.weights,
        scenario.context,
        scenario.span,
        read_ms,
        pass_ms,
        infill_ms,
    )


def _round_name(round_idx: int, rounds: int) -> str:
    return "warming up" if round_idx < 0 else f"round {round_idx + 1} of {rounds}"
