"""Jobs that start from the suggestion that the user departed from."""

from __future__ import annotations

import dataclasses

import pytest

from dg_lsp.config import PromptSettings
from dg_lsp.engine.conversation import build_prompt
from dg_lsp.engine.healing import text_of
from dg_lsp.engine.warm_start import warm_starts
from dg_lsp.job import Earlier, InfillJob
from tests.engine.test_infilling import AREA, fill


def started(codec, earlier, prefix="    return ", suffix=" ** 2\n", room=64):
    """What the canvases start as, with `~` for each position of noise."""
    prompt = build_prompt(InfillJob(prefix, suffix), codec, PromptSettings())
    return [
        "".join("~" if i < 0 else codec.token_bytes(i).decode() for i in plan.free_ids)
        for plan in warm_starts(prompt, codec, earlier, room)
    ]


def test_canvases_hold_the_rest_in_a_few_lengths(tiny_codec):
    whole = started(tiny_codec, Earlier("3.14 * radius"))

    assert len(whole) == 3
    assert {text.lstrip("~ ") for text in whole} == {"3.14 * radius **"}
    assert [text.count("~") for text in whole] == [0, 1, 2]


def test_noise_stands_where_the_suggestion_is_in_doubt(tiny_codec):
    first, *others = started(tiny_codec, Earlier("self.radius * radius", doubtful=4))

    left = first.lstrip("~")
    noised = len(first) - len(left)
    assert left.startswith((".radius", "radius"))
    assert noised >= 1
    assert sorted(text.count("~") - noised for text in others) == [-1, 1, 2]
    assert {text.lstrip("~") for text in others} == {left}


@pytest.mark.parametrize(
    "earlier", [None, Earlier(""), Earlier("  \n"), Earlier("x * 3 " * 50)]
)
def test_without_a_suggestion_that_fits_it_is_a_cold_start(tiny_codec, earlier):
    assert started(tiny_codec, earlier) == []


def test_the_model_corrects_what_no_longer_fits(tiny_codec):
    warm = fill(tiny_codec, AREA, earlier=Earlier("3.14 * area"), length={"lengths": ()})

    assert warm.texts == ["3.14 * radius"]


def test_fewer_lanes_start_from_noise(tiny_codec):
    cold = fill(tiny_codec, AREA)
    warm = fill(tiny_codec, AREA, earlier=Earlier("3.14 * radius"))

    assert warm.texts == cold.texts == ["3.14 * radius"]
    assert len(warm.denoiser.canvases[0]) < len(cold.denoiser.canvases[0])
    assert len(warm.denoiser.canvases[-1]) <= 2


def test_line_ends_are_those_that_models_know(tiny_codec):
    marked = AREA.replace("<|3.14 * radius|>", "<|3.14 * (\n        radius)|>")
    earlier = Earlier("3.14 * (\r\n        radius)")
    filled = fill(tiny_codec, marked, earlier=earlier, length={"lengths": ()})

    assert filled.texts == ["3.14 * (\n        radius)"]
    assert not any(
        b"\r" in text_of(tiny_codec, [i for i in lane if i >= 0])
        for lane in filled.denoiser.canvases[0]
    )


def test_a_rewrite_does_not_start_from_it(tiny_codec):
    plain = fill(tiny_codec, AREA, replaced="2 * radius")
    earlier = fill(tiny_codec, AREA, replaced="2 * radius", earlier=Earlier("3.14 * radius"))

    assert earlier.denoiser.canvases == plain.denoiser.canvases


def test_the_text_depends_on_the_job_alone(tiny_codec):
    job = {"earlier": Earlier("2 * radius"), "seed": 7}
    first, second = (fill(tiny_codec, AREA, **job) for _ in range(2))

    assert first.denoiser.canvases == second.denoiser.canvases
    assert [dataclasses.astuple(one) for one in first.infill.candidates] == [
        dataclasses.astuple(one) for one in second.infill.candidates
    ]
