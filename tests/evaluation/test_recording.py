"""Races with a model in them, and what needs the model to choose a length."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dg_lsp.config import EngineSettings, LengthSettings, PromptSettings, PromptStyle
from dg_lsp.engine.denoiser import Canvases
from dg_lsp.evaluation import EvaluationError
from dg_lsp.evaluation.counting import CountingDenoiser
from dg_lsp.evaluation.recording import read_races, record, write_races
from dg_lsp.evaluation.shifting import LIVE, shifted
from dg_lsp.evaluation.spans import TrueSpan
from dg_lsp.job import ModelInfo
from dg_lsp.models.gemma.family import FAMILY
from dg_lsp.models.loading import LoadedModel
from dg_lsp.models.scripted import ScriptedDenoiser
from dg_lsp.reason import ReasonCode

SPAN = TrueSpan(
    "shapes.py", "def area(radius):\n    return ", " ** 2\n\n\nx = 1\n", "3 * radius", "rest"
)


@pytest.fixture
def model(tiny_codec) -> LoadedModel:
    settings = EngineSettings(
        prompt=PromptSettings(style=PromptStyle.BARE, right_anchor_tokens=8),
        length=LengthSettings(lengths=(2, 4, 7, 12)),
    )
    denoiser = ScriptedDenoiser(tiny_codec, SPAN.prefix + SPAN.text + SPAN.suffix)
    return LoadedModel(
        ModelInfo("own", "cpu", 9, 9), FAMILY, denoiser, tiny_codec, settings, None
    )  # type: ignore[arg-type]


def test_a_race_holds_every_length_and_the_true_one(model) -> None:
    race = record(model, SPAN)

    assert [lane.length for lane in race.lanes] == [2, 4, 7, 12]
    assert race.oracle.length == race.true_length
    assert race.oracle.text == SPAN.text
    for lane in (*race.lanes, race.oracle):
        assert 1 <= lane.steps == len(lane.pinned_fits)
        assert lane.rows > lane.length
        assert lane.span_likelihood < 0
    likelihoods = {lane.text: lane.span_likelihood / lane.tokens for lane in race.lanes}
    assert race.oracle.span_likelihood / race.oracle.tokens >= max(likelihoods.values())


def test_races_are_kept(model, tmp_path) -> None:
    race = record(model, SPAN)
    write_races(tmp_path / "races", [race], [race, race])

    assert read_races(tmp_path / "races") == ([race], [race, race])


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"fitted_on": [{}], "told": []}'])
def test_a_file_without_races(tmp_path, content) -> None:
    (tmp_path / "races").write_text(content)

    with pytest.raises(EvaluationError) as refused:
        read_races(tmp_path / "races")
    assert refused.value.code is ReasonCode.BAD_DATA
    assert str(tmp_path / "races") in str(refused.value)


def test_the_anchor_is_shifted_to_where_the_suffix_fits(model) -> None:
    choice = shifted(model, SPAN)

    assert choice.text == SPAN.text
    assert choice.steps > 4


@pytest.mark.parametrize("name", LIVE)
def test_ways_that_need_the_model_count_what_they_cost(model, name) -> None:
    settings = dataclasses.replace(
        model.settings,
        sampler=dataclasses.replace(model.settings.sampler, max_denoising_steps=6),
    )
    choice = LIVE[name](dataclasses.replace(model, settings=settings), SPAN)

    assert choice.rows > choice.steps > 0


def test_a_counting_denoiser_answers_as_the_one_inside(tiny_codec) -> None:
    inner = ScriptedDenoiser(tiny_codec, "x = 1\n")
    counting = CountingDenoiser(inner)
    encoded = counting.encode(
        [tiny_codec.control.turn_start, *tiny_codec.encode("model\nx = ")]
    )
    canvas = torch.tensor(tiny_codec.encode("ab cd"))
    rows = torch.arange(len(canvas))
    canvases = Canvases(
        (len(canvas),),
        rows,
        rows[:0],
        torch.zeros(1, tiny_codec.vocab_size, dtype=torch.bool),
        torch.zeros_like(rows),
    )
    predicted = counting.denoise(encoded, canvases, canvas, None, 0.5, torch.zeros(len(canvas)))

    assert torch.equal(predicted.argmax, counting.last_logits.argmax(-1))
    assert torch.equal(counting.last_logits, inner.logits(encoded, canvas, [len(canvas)], None))
    assert (counting.rows, counting.steps) == (len(canvas), 1)
    assert len(counting.score(encoded, [[5]])) == 1
