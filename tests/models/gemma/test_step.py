"""The parts of a step."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dg_lsp.models.gemma import step
from dg_lsp.models.gemma.sampling import VOCABULARY_CHUNK
from dg_lsp.models.gemma.step import PLAIN, StepInputs, run_step


@pytest.mark.parametrize(("rows", "chunk"), [(2, 1000), (3, VOCABULARY_CHUNK)])
def test_all_logits_at_once_only_where_there_is_memory_for_them(
    monkeypatch, tiny_model, rows, chunk
):
    monkeypatch.setattr(step, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(step, "decode", lambda *_: (None, None))
    asked = []
    parts = dataclasses.replace(
        PLAIN, end=lambda *given: asked.append(given[-1]), vocabulary_chunk=1000
    )
    none = torch.empty(0)
    inputs = StepInputs(
        none, None, none, {}, none, none, none, none, none, share=torch.rand(rows)
    )

    run_step(tiny_model, None, inputs, parts)

    assert asked == [chunk]
