"""Lengths that are tried, lanes that go on, and which of them wins."""

from __future__ import annotations

import pytest
import torch

from dg_lsp.config import LengthSettings, PromptSettings, PromptStyle, SamplerSettings
from dg_lsp.engine.conversation import build_prompt
from dg_lsp.engine.denoising import Denoising, alone, run
from dg_lsp.engine.lanes import Lane
from dg_lsp.engine.prompt import CanvasPlan, plan_canvas
from dg_lsp.engine.span_length import (
    LengthRace,
    fitness,
    fittest,
    lengths_around,
    lengths_to_try,
)
from dg_lsp.engine.stopping import Stopping
from dg_lsp.engine.uniform import UniformCorruption
from dg_lsp.job import InfillJob
from dg_lsp.models.scripted import ScriptedDenoiser

PREFIX, SPAN, SUFFIX = "def area(self, radius):\n    return ", "3.14 * radius", " ** 2\n"


@pytest.mark.parametrize(
    ("shortest", "longest", "expect"),
    [
        (1, 99, [1, 2, 4, 8]),
        (3, 8, [3, 4, 8]),
        (2, 2, [2]),
        (5, 7, [5]),
        (9, 99, [9]),
        (3, 1, [3]),
    ],
)
def test_lengths_to_try(shortest, longest, expect):
    assert lengths_to_try(LengthSettings(lengths=(2, 4, 8)), shortest, longest) == expect


@pytest.mark.parametrize(
    ("length", "shortest", "longest", "expect"),
    [
        (8, 1, 99, [4, 6, 8, 10, 12]),
        (8, 1, 9, [4, 6, 8, 9]),
        (8, 5, 99, [5, 6, 8, 10, 12]),
        (2, 2, 99, [2, 3]),
        (1, 0, 99, [1, 2]),
        (0, 0, 99, [1]),
    ],
)
def test_lengths_around(length, shortest, longest, expect):
    assert lengths_around(length, shortest, longest) == expect


def lane(free: list[float], pinned: float = 0.0) -> Lane:
    count = len(free)
    return Lane(
        CanvasPlan((-1,) * count, 0, count, (), (), is_open=True),
        Stopping(SamplerSettings()),
        shown=torch.zeros(count, dtype=torch.long),
        log_probability=torch.tensor(free),
        free_fit=sum(free) / count,
        pinned_fit=pinned,
    )


def test_the_fittest_lane_is_sure_of_its_span_and_of_the_suffix():
    sure = lane([-0.5, -0.5], pinned=-1.0)
    unsure_suffix = lane([-0.5, -0.5], pinned=-3.0)
    unsure_span = lane([-2.0, -2.0], pinned=-1.0)
    long = lane([-0.5, -0.5, -0.5], pinned=-1.0)

    assert fittest([unsure_span, long, unsure_suffix, sure]) == [
        sure,
        long,
        unsure_suffix,
        unsure_span,
    ]
    assert fitness(sure) == fitness(long)


def scripted_race(codec, keep_after=(), wanted=1, after_step=lambda: None):
    """Race lengths 2 to 12 for six steps; the lanes, best first, and how many each step had."""
    denoiser = ScriptedDenoiser(codec, PREFIX + SPAN + SUFFIX)
    prompt = build_prompt(
        InfillJob(PREFIX, SUFFIX), codec, PromptSettings(style=PromptStyle.BARE)
    )
    denoising = Denoising(
        denoiser,
        denoiser.encode(prompt.ids),
        [plan_canvas(prompt, length) for length in range(2, 13)],
        codec,
        UniformCorruption(
            SamplerSettings(max_denoising_steps=6, stability_threshold=6),
            denoiser.device,
            seed=0,
        ),
    )
    strategy = LengthRace(LengthSettings(keep_after=keep_after))
    lanes = alone(run(denoising, strategy, wanted, after_step), denoiser)
    return lanes, [len(canvases) for canvases in denoiser.canvases]


@pytest.mark.parametrize("keep_after", [(), ((1, 4), (2, 1)), ((3, 2),)])
def test_the_lane_of_the_true_length_wins(tiny_codec, keep_after):
    lanes, _ = scripted_race(tiny_codec, keep_after)

    written = b"".join(tiny_codec.token_bytes(i) for i in lanes[0].shown.tolist())
    assert written.decode() == f" {SPAN} **"
    assert [fitness(one) for one in lanes] == sorted(map(fitness, lanes), reverse=True)


@pytest.mark.parametrize(
    ("wanted", "lanes_per_step", "left"),
    [(1, [11, 11, 6, 6, 3, 3], 3), (4, [11, 11, 6, 6, 4, 4], 4), (20, [11] * 6, 11)],
)
def test_lanes_are_dropped_on_the_way_but_never_below_what_is_wanted(
    tiny_codec, wanted, lanes_per_step, left
):
    lanes, counts = scripted_race(tiny_codec, ((2, 6), (4, 3)), wanted)

    assert counts == lanes_per_step
    assert len(lanes) == left


def test_what_is_called_after_each_step_may_end_the_race(tiny_codec):
    calls = []

    def stop_at_third() -> None:
        calls.append(len(calls))
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scripted_race(tiny_codec, after_step=stop_at_third)
    assert len(calls) == 3


def test_lanes_are_dropped_only_after_the_steps_that_the_settings_name():
    race = LengthRace(LengthSettings(keep_after=((1, 6), (3, 4))))

    assert [race.may_drop(step) for step in range(5)] == [True, True, True, False, False]
    assert not LengthRace(LengthSettings(keep_after=())).may_drop(0)


def test_near_a_known_length_fewer_lanes_race():
    near = LengthRace(LengthSettings()).near(6)

    assert near.lengths(2, 40) == [2, 4, 5, 6, 8]
    assert near.lengths(1, 5) == [1, 4, 5]
    assert [near.may_drop(step) for step in range(4)] == [True, True, False, False]
