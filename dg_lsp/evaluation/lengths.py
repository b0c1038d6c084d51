"""Compares methods of choosing the length of a span on the same recorded races.

A rule says which lanes continue after which step, by which score, and which text wins in the
end. Its cost is counted in rows: free and pinned tokens, once for each step of a lane.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dg_lsp.config import LengthSettings
from dg_lsp.engine.span_length import PINNED_WEIGHT
from dg_lsp.evaluation.recording import LaneRecord, Race
from dg_lsp.evaluation.scores import edit_similarity, is_match

Early = Callable[[LaneRecord, int], float]
"""Score of a lane after a number of steps."""
Final = Callable[[LaneRecord, Sequence[LaneRecord]], float]
"""Score of a finished lane among the remaining ones."""
Schedule = tuple[tuple[int, int], ...]

LATER: Schedule = ((1, 6), (3, 4))
"""The lanes that continue are chosen a step later than in the engine."""
LENGTHS = ((1, 3), (4, 6), (7, 10), (11, 99))
"""Classes of true length in tokens, healed ones included."""
FIRST_CLIMBED = 8
"""Where hill climbing begins, as in arXiv 2602.00476."""
PATIENCE = 2
"""Lengths on either side that may be worse before the climb ends."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The result of a method for one span."""

    text: str
    rows: int
    steps: int


Rule = Callable[[Race], Choice]


@dataclass(frozen=True, slots=True)
class LengthRow:
    """One line of the table."""

    method: str
    group: str
    """A kind of span, a length in tokens, or all."""
    spans: int
    exact_match: float
    edit_similarity: float
    rows: float
    """Mean rows of all steps together."""
    steps: float


def rules(fitted_on: Sequence[Race], settings: LengthSettings) -> dict[str, Rule]:
    """All rules, the engine's own first; biases are fitted on races that are not reported."""
    fit = functools.partial(_calibrated, {})
    bias = length_bias(fitted_on)
    calibrated = functools.partial(_calibrated, bias)
    schedule, own_reward = settings.keep_after, settings.token_reward_nats

    def raced(early: Early, schedule: Schedule, final: Final) -> Rule:
        return lambda race: choose(race, early, schedule, final)

    return {
        f"race, {own_reward:g} nats a token (ours)": raced(
            fit, schedule, likelihood(own_reward)
        ),
        "oracle": lambda race: _alone(race.oracle),
        "fixed length of 12": lambda race: _alone(_nearest(race, 12)),
        "calibrated first-step confidence": lambda race: climb(race, bias),
        "race, calibrated early": raced(calibrated, schedule, likelihood(own_reward)),
        "race, early score to the end": raced(fit, ((1, 6), (3, 1)), likelihood(0.0)),
        "race, likeliest token by token": raced(fit, schedule, per_token),
        "race, likest to the others": raced(fit, schedule, consensus),
        **{
            f"race, {reward:g} nats a token": raced(fit, schedule, likelihood(reward))
            for reward in (0.0, 0.5, 1.0, 1.5, 2.0)
            if reward != own_reward
        },
        "race, sums early": raced(_summed(own_reward), schedule, likelihood(own_reward)),
        "race, dropped a step later": raced(fit, LATER, likelihood(own_reward)),
        "race of 5 after step 1": raced(fit, ((1, 5),), likelihood(own_reward)),
        "race, none dropped": raced(fit, (), likelihood(own_reward)),
    }


def already_chosen(choices: Mapping[int, Choice]) -> Rule:
    """A rule for methods that need the model: their choice by the identity of the race."""
    return lambda race: choices[id(race)]


def choose(race: Race, early: Early, schedule: Schedule, final: Final) -> Choice:
    """Replay a recorded race with a rule."""
    lanes, rows, done = [*race.lanes], 0, 0
    for step, count in schedule:
        rows += (step - done) * sum(lane.rows for lane in lanes)
        done = step
        lanes = sorted(lanes, key=lambda lane: (-early(lane, step), lane.length))[:count]
    steps = max(lane.steps for lane in lanes)
    rows += max(0, steps - done) * sum(lane.rows for lane in lanes)
    # Something is missing at each of these positions, as when a user asks by hand.
    written = [lane for lane in lanes if lane.text] or lanes
    best = max(written, key=lambda lane: final(lane, written))
    return Choice(best.text, rows, max(steps, done))


def likelihood(reward: float) -> Final:
    """The encoder's log-likelihood of span and suffix, and a reward for each token."""
    return lambda lane, _: _total(lane) + reward * lane.tokens


def per_token(lane: LaneRecord, _: Sequence[LaneRecord]) -> float:
    """The span's own likelihood, token by token."""
    return lane.span_likelihood / max(1, lane.tokens)


def consensus(lane: LaneRecord, others: Sequence[LaneRecord]) -> float:
    """Similarity to all remaining texts, weighted by the encoder's likelihood."""
    best = max(map(_total, others))
    return sum(
        math.exp(_total(other) - best) * edit_similarity(other.text, lane.text)
        for other in others
    )


def climb(race: Race, bias: dict[tuple[int, int], float]) -> Choice:
    """Climb from a middle length to the nearest peak of calibrated first-step confidence."""
    lanes = sorted(race.lanes, key=lambda lane: lane.length)
    scores = [_calibrated(bias, lane, 1) for lane in lanes]
    start = lanes.index(_nearest(race, FIRST_CLIMBED))
    best, seen = start, {start}
    for direction in (-1, 1):
        at, worse = start + direction, 0
        while 0 <= at < len(lanes) and worse < PATIENCE:
            seen.add(at)
            worse = 0 if scores[at] > scores[best] else worse + 1
            best = at if scores[at] > scores[best] else best
            at += direction
    chosen = lanes[best]
    rows = sum(lanes[at].rows for at in seen) + (chosen.steps - 1) * chosen.rows
    # Lengths are examined one after the other; doing so in parallel would be equivalent.
    return Choice(chosen.text, rows, chosen.steps)


def length_bias(races: Sequence[Race]) -> dict[tuple[int, int], float]:
    """Mean early score of lanes whose length is wrong, by step and length."""
    scores: dict[tuple[int, int], list[float]] = {}
    for race in races:
        for lane in race.lanes:
            if abs(lane.length - race.true_length) > 1:
                for step in range(1, 5):
                    score = _calibrated({}, lane, step)
                    scores.setdefault((step, lane.length), []).append(score)
    return {key: statistics.fmean(values) for key, values in scores.items()}


def rows_of(methods: Mapping[str, Rule], races: Sequence[Race]) -> list[LengthRow]:
    """The figures of each method on all races, by kind of span, and by true length."""
    groups = {"all": list(races)}
    for race in races:
        groups.setdefault(race.span.kind, []).append(race)
    for least, most in LENGTHS:
        inside = [race for race in races if least <= race.true_length <= most]
        if inside:
            groups[f"{least} to {most} tokens" if most < 99 else f"{least} tokens or more"] = (
                inside
            )
    chosen = {name: {id(race): rule(race) for race in races} for name, rule in methods.items()}
    return [
        _row(name, group, own, [choices[id(race)] for race in own])
        for group, own in groups.items()
        for name, choices in chosen.items()
    ]


def length_table(rows: Sequence[LengthRow]) -> str:
    """The rows in Markdown."""
    lines = [
        "| method | spans | n | exact match | edit similarity | rows | steps |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.method} | {row.group} | {row.spans} | {row.exact_match:.1%} | "
        f"{row.edit_similarity:.3f} | {row.rows:.0f} | {row.steps:.1f} |"
        for row in rows
    ]
    return "\n".join(lines)


def _row(
    method: str, group: str, races: Sequence[Race], choices: Sequence[Choice]
) -> LengthRow:
    """Means over the races of a group."""
    pairs = [(race.span.text, one.text) for race, one in zip(races, choices, strict=True)]
    return LengthRow(
        method,
        group,
        len(races),
        exact_match=statistics.fmean(is_match(*pair) for pair in pairs),
        edit_similarity=statistics.fmean(edit_similarity(*pair) for pair in pairs),
        rows=statistics.fmean(choice.rows for choice in choices),
        steps=statistics.fmean(choice.steps for choice in choices),
    )


def _alone(lane: LaneRecord) -> Choice:
    return Choice(lane.text, lane.rows * lane.steps, lane.steps)


def _nearest(race: Race, length: int) -> LaneRecord:
    return min(race.lanes, key=lambda lane: abs(lane.length - length))


def _total(lane: LaneRecord) -> float:
    return lane.span_likelihood + lane.suffix_likelihood


def _calibrated(bias: dict[tuple[int, int], float], lane: LaneRecord, step: int) -> float:
    """The engine's fitness minus the usual fitness of a lane of that length."""
    score = _at(lane.free_fits, step) + PINNED_WEIGHT * _at(lane.pinned_fits, step)
    return score - bias.get((step, lane.length), 0.0)


def _summed(reward: float) -> Early:
    """The summed likelihood of all free tokens, with a reward for each."""
    return lambda lane, step: (_at(lane.free_fits, step) + reward) * lane.length


def _at(fits: tuple[float, ...], step: int) -> float:
    """A settled lane keeps its last score."""
    return fits[min(step, len(fits)) - 1]
