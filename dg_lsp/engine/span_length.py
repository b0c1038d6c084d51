"""Finds the length of the span by a race between lanes of several lengths.

A uniform-state model predicts every position, including the pinned ones. In a lane of the
wrong length, the free tokens stay uncertain, and the pinned suffix is where the model would
not put it. Early on, the least fit lanes are dropped (successive halving); a ranker compares
the lanes that remain at the end. docs/quality.md compares the methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dg_lsp.config import LengthSettings
from dg_lsp.engine.lanes import Lane

PINNED_WEIGHT = 0.5
"""Weight of the pinned tokens' mean log-probability, relative to the free ones."""


Schedule = tuple[tuple[int, int], ...]
"""Pairs of a number of steps and the number of lanes that continue after them."""


@dataclass(frozen=True, slots=True)
class LengthRace:
    """Implements `engine.family.LengthStrategy`."""

    settings: LengthSettings

    def lengths(self, shortest: int, longest: int) -> list[int]:
        return lengths_to_try(self.settings, shortest, longest)

    def near(self, length: int) -> LengthRace:
        most = self.settings.warm_lengths
        lengths = tuple(n for n in self.settings.lengths if abs(n - length) <= most)
        keep_after = self.settings.warm_keep_after
        return LengthRace(replace(self.settings, lengths=lengths, keep_after=keep_after))

    def lengths_around(self, length: int, shortest: int, longest: int) -> list[int]:
        return lengths_around(length, shortest, longest)

    def fittest(self, lanes: Sequence[Lane]) -> list[Lane]:
        return fittest(lanes)

    def segment_fitness(self, free_fit: float, pinned_fit: float) -> float:
        return free_fit + PINNED_WEIGHT * pinned_fit

    def ran_out(self, best: Lane, longest: int) -> bool:
        return best.plan.free_length == longest

    def survivors(self, lanes: Sequence[Lane], step_idx: int, wanted: int) -> list[Lane]:
        return kept(fittest(lanes), self.settings.keep_after, step_idx, wanted)

    def may_drop(self, step_idx: int) -> bool:
        return may_drop(self.settings.keep_after, step_idx)


def kept(lanes: Sequence[Lane], keep_after: Schedule, step_idx: int, wanted: int) -> list[Lane]:
    """The lanes that continue after `step_idx` steps, of lanes that are given best first."""
    return list(lanes[: max(dict(keep_after).get(step_idx, len(lanes)), wanted)])


def may_drop(keep_after: Schedule, step_idx: int) -> bool:
    """Whether lanes may be dropped after more than `step_idx` steps."""
    return any(step > step_idx for step, _ in keep_after)


def fittest(lanes: Sequence[Lane]) -> list[Lane]:
    """Lanes by fitness, best first; of equally fit ones, the shorter first."""
    return sorted(lanes, key=lambda lane: (-fitness(lane), lane.plan.free_length))


def fitness(lane: Lane) -> float:
    """Mean log-probability of the free tokens plus, with less weight, of the pinned ones."""
    return lane.free_fit + PINNED_WEIGHT * lane.pinned_fit


def lengths_to_try(settings: LengthSettings, shortest: int, longest: int) -> list[int]:
    """Lengths of the lanes within the bounds, always with the shortest: nothing is missing."""
    return [shortest, *(n for n in settings.lengths if shortest < n <= longest)]


def lengths_around(length: int, shortest: int, longest: int) -> list[int]:
    """Lengths near a known one, for a rewrite, which may shrink or grow by half."""
    near = {round(length * share) for share in (0.5, 0.75, 1.0, 1.25, 1.5)}
    bounded = {min(max(n, shortest, 1), max(longest, shortest)) for n in near}
    return sorted(bounded)
