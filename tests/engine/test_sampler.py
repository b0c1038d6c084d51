"""The entropy-bound rule against the plainest way to write it."""

from __future__ import annotations

import math

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


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.floats(-20, 20, width=32), min_size=7, max_size=7), min_size=1, max_size=4
    )
)
def test_entropy_is_that_of_the_distribution(logits):
    log_probabilities = torch.log_softmax(torch.tensor(logits), dim=-1)
    expect = [
        -sum(p * math.log(p) for p in row if p > 0) for row in log_probabilities.exp().tolist()
    ]

    torch.testing.assert_close(
        sampler.entropies(log_probabilities), torch.tensor(expect), atol=1e-4, rtol=0
    )


def test_tokens_that_are_ruled_out_cost_no_entropy_and_are_never_drawn():
    logits = torch.zeros(2, 6)
    logits[0, 3:] = -torch.inf
    logits[1, 1:] = -torch.inf
    log_probabilities = torch.log_softmax(logits, dim=-1)

    entropy = sampler.entropies(log_probabilities)
    assert entropy.tolist() == [pytest.approx(math.log(3)), 0.0]

    generator = torch.Generator().manual_seed(0)
    drawn = [sampler.sample(log_probabilities.exp(), generator) for _ in range(200)]
    assert {int(row[0]) for row in drawn} == {0, 1, 2}
    assert {int(row[1]) for row in drawn} == {0}


def test_tokens_are_drawn_as_often_as_they_are_probable():
    probabilities = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0])
    generator = torch.Generator().manual_seed(1)
    drawn = sampler.sample(probabilities.repeat(20_000, 1), generator)

    shares = torch.bincount(drawn, minlength=6) / len(drawn)
    assert shares.tolist() == pytest.approx(probabilities.tolist(), abs=0.015)
    assert shares[probabilities == 0].sum() == 0


@pytest.mark.parametrize("share", [0.0, 1 - 2**-24])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1.0000001, 7.0])
def test_no_draw_falls_outside_what_is_probable(monkeypatch, share, scale):
    monkeypatch.setattr(torch, "rand", lambda size, **_: torch.full(size, share))
    probabilities = scale * torch.tensor([[0.0, 0.25, 0.5, 0.25, 0.0]])

    assert sampler.sample(probabilities, torch.Generator()).tolist() == [3 if share else 1]


def test_the_same_generator_draws_the_same_tokens():
    probabilities = torch.full((8, 50), 0.02)
    first, second = (
        sampler.sample(probabilities, torch.Generator().manual_seed(3)) for _ in range(2)
    )

    assert torch.equal(first, second)
