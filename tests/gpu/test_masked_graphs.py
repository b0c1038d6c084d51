"""Captured steps of a masked model give the numbers of plain ones, while canvases change."""

from __future__ import annotations

import pytest
import torch

from dg_lsp.config import CacheSettings
from dg_lsp.models.loading import load
from dg_lsp.models.qwen2.ladder import PLAIN, check_steps, denoiser_at, sample_steps

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def test_graphs_equal_plain_torch_through_generations(masked_checkpoint):
    loaded = load(str(masked_checkpoint), "cuda")
    captured = loaded.denoiser
    plain = denoiser_at(PLAIN, captured.model, loaded.config, CacheSettings())
    expected = sample_steps(plain)

    assert captured.notes == ()
    for _ in range(3):
        captured.warm_up(400, lambda done, total: None)
        check_steps(sample_steps(captured), expected, torch.bfloat16)
        # All graphs end with their pool, and the next generation starts.
        captured.shrink()
        check_steps(sample_steps(captured), expected, torch.bfloat16)
