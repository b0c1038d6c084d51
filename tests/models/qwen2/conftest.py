"""Parts of the tiny masked checkpoint."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def masked_checkpoint_config(masked_checkpoint):
    from dg_lsp.models.qwen2.config import read_config

    return read_config(masked_checkpoint)


@pytest.fixture
def masked_denoiser(masked_checkpoint, masked_checkpoint_config):
    import torch

    from dg_lsp.models.qwen2.denoiser import Qwen2Denoiser
    from dg_lsp.models.qwen2.weights import load_weights

    model = load_weights(
        masked_checkpoint, masked_checkpoint_config.network, torch.device("cpu"), torch.float32
    )
    return Qwen2Denoiser(model, masked_checkpoint_config)
