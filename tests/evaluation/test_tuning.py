"""Variants of the settings differ in the one thing that their names say."""

from __future__ import annotations

from typing import Any

import pytest

from dg_lsp.config import EngineSettings
from dg_lsp.evaluation import masked_tuning, tuning
from dg_lsp.evaluation.spans import TrueSpan
from dg_lsp.models.loading import load
from dg_lsp.models.qwen2.denoiser import Qwen2Denoiser


def test_every_variant_has_a_name_of_its_own():
    names = [
        name
        for variants in (
            tuning.sampler_variants,
            tuning.length_variants,
            tuning.prompt_variants,
        )
        for name, _ in variants(EngineSettings())
    ]

    assert len(names) == len(set(names)) > 20


def test_without_a_right_anchor_nothing_is_raced():
    names = [name for name, _ in tuning.prompt_variants(EngineSettings())]

    assert "oracle length, suffix in the prompt only" in names
    assert "race, suffix in the prompt only" not in names
    assert "race, suffix in the canvas only" in names


def test_every_variant_of_a_masked_model_has_a_name_of_its_own():
    names = [
        name
        for variants in (
            masked_tuning.cache_variants,
            masked_tuning.commit_variants,
            masked_tuning.length_variants,
        )
        for name, _ in variants(EngineSettings())
    ]

    assert len(names) == len(set(names)) > 20


def test_cached_steps_read_the_context_less_often_than_exact_ones(masked_checkpoint):
    model = load(str(masked_checkpoint), "cpu")
    span = TrueSpan("a.py", "def area(r):\n    return ", " ** 2\n", "3.14 * r", "1-4 words")
    passes = {}
    for name, fill in masked_tuning.cache_variants(model.settings):
        if name.startswith("true length"):
            made: list[Any] = []
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Qwen2Denoiser, "_whole", _counting(made))
                steps = fill(model, span).steps
            passes[name.removeprefix("true length, ")] = (len(made), steps)

    exact, once = passes["exact steps"], passes["context read once"]
    assert exact[0] >= exact[1]
    assert once[0] < once[1]
    assert once[0] <= passes["context refreshed every 4 steps"][0] <= exact[0]


def _counting(made: list[Any]) -> Any:
    """The denoiser's full pass, with a note of each."""
    whole = Qwen2Denoiser._whole

    def counted(self: Qwen2Denoiser, *arguments: Any) -> Any:
        made.append(arguments)
        return whole(self, *arguments)

    return counted
