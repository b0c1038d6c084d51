"""The entropy-bound rule against the plainest way to write it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.config import SamplerSettings
from dg_lsp.engine import sampler

# Sums of these are exact in float32, so that the bound is met or not met without rounding.
ENTROPY = st.integers(0, 1280).map(lambda n: n / 128)
LANE = st.lists(ENTROPY, min_size=1, max_size=12)
BOUND = st.integers(1, 2560).map(lambda n: n / 128)


def accept(lanes: list[list[float]], bound: float) -> list[list[bool]]:
    entropy = torch.tensor([each for lane in lanes for each in lane])
    index = torch.tensor([number for number, lane in enumerate(lanes) for _ in lane])
    accepted = sampler.accept(entropy, index, bound)
    return [list(map(bool, lane)) for lane in accepted.split([len(lane) for lane in lanes])]


def accept_one_by_one(lane: list[float], bound: float) -> list[bool]:
    accepted = [False] * len(lane)
    spent = 0.0
    for position in sorted(range(len(lane)), key=lambda n: (lane[n], n)):
        if spent > bound:
            break
        accepted[position] = True
        spent += lane[position]
    return accepted


@pytest.mark.parametrize(
    ("entropy", "bound", "expect"),
    [
        ([0.0, 0.0, 5.0], 0.1, [True, True, True]),
        ([0.0, 0.2, 5.0], 0.1, [True, True, False]),
        ([9.0, 8.0, 9.0], 0.1, [False, True, False]),
        ([0.5, 0.25, 0.25], 0.25, [False, True, True]),
        ([3.0, 3.0, 3.0], 4.0, [True, True, False]),
    ],
)
def test_takes_the_surest_until_the_bound_is_spent(entropy, bound, expect):
    assert accept([entropy], bound) == [expect]


@settings(deadline=None)
@given(lane=LANE, bound=BOUND)
def test_agrees_with_taking_them_one_by_one(lane, bound):
    accepted = accept([lane], bound)[0]

    assert accepted == accept_one_by_one(lane, bound)
    assert any(accepted)
    assert sum(
        h for h, kept in sorted(zip(lane, accepted, strict=True)) if kept
    ) <= bound + max(lane)


@settings(deadline=None)
@given(lanes=st.lists(LANE, min_size=1, max_size=5), bound=BOUND)
def test_lanes_know_nothing_of_each_other(lanes, bound):
    assert accept(lanes, bound) == [accept([lane], bound)[0] for lane in lanes]


@pytest.mark.parametrize("steps", [1, 2, 48])
def test_temperature_falls_from_the_highest_towards_the_lowest(steps):
    given_settings = SamplerSettings(max_denoising_steps=steps, t_max=0.8, t_min=0.4)
    schedule = [sampler.temperature(given_settings, step_idx) for step_idx in range(steps)]

    assert schedule[0] == 0.8
    assert schedule == sorted(schedule, reverse=True)
    # The lowest itself would come with the first step that is no more made.
    assert schedule[-1] == pytest.approx(0.4 + 0.4 / steps)
    assert sampler.temperature(given_settings, steps) == 0.4
