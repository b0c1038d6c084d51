"""Variants of the settings differ in the one thing that their names say."""

from __future__ import annotations

from dg_lsp.config import EngineSettings
from dg_lsp.evaluation import tuning


def test_every_variant_has_a_name_of_its_own():
    names = [
        name
        for variants in (tuning.sampler_variants, tuning.length_variants)
        for name, _ in variants(EngineSettings())
    ]

    assert len(names) == len(set(names)) > 20
