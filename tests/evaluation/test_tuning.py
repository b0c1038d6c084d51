"""Variants of the settings differ in the one thing that their names say."""

from __future__ import annotations

from dg_lsp.config import EngineSettings
from dg_lsp.evaluation import masked_tuning, tuning


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
