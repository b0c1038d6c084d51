"""The denoising loop against transformers' own, and what pinning and healing promise."""

from __future__ import annotations

import pytest
import torch

from dg_lsp.config import SamplerSettings
from dg_lsp.engine.codec import ControlTokens
from dg_lsp.engine.denoising import Denoising
from dg_lsp.engine.prompt import CanvasPlan
from dg_lsp.models.denoiser import GemmaDenoiser

PROMPT = [2, 40, 41, 50, 51, 52, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 80, 81]


class NothingBarred:
    """A codec in whose eyes every token is text, as the reference sampler sees it."""

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.control = ControlTokens(bos=2, turn_start=3, turn_end=4, pad=0, barred=())


def open_plan(length: int) -> CanvasPlan:
    return CanvasPlan((-1,) * length, 0, length, None, None)


@pytest.fixture
def denoiser(tiny_model):
    return GemmaDenoiser(tiny_model)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("entropy_bound", [0.1, 20.0])
def test_reproduces_the_reference_sampler_token_for_token(
    tiny_model, denoiser, seed, entropy_bound
):
    from transformers.models.diffusion_gemma.generation_diffusion_gemma import (
        DiffusionGemmaGenerationConfig,
        EntropyBoundSamplerConfig,
    )

    drafts: list[torch.Tensor] = []

    class Streamer:
        def put_draft(self, value):
            drafts.append(value[0].clone())

        def put(self, value):
            pass

        def end(self):
            pass

    length = tiny_model.config.canvas_length
    reference = DiffusionGemmaGenerationConfig(
        max_new_tokens=length,
        max_denoising_steps=10,
        sampler_config=EntropyBoundSamplerConfig(entropy_bound=entropy_bound),
        t_min=0.4,
        t_max=0.8,
        stability_threshold=1,
        confidence_threshold=3.0,
        pad_token_id=0,
    )
    torch.manual_seed(seed)
    tiny_model.generate(
        torch.tensor([PROMPT]), generation_config=reference, streamer=Streamer()
    )

    ours = Denoising(
        denoiser,
        denoiser.encode(PROMPT),
        [open_plan(length)],
        NothingBarred(denoiser.vocab_size),
        SamplerSettings(
            max_denoising_steps=10, entropy_bound=entropy_bound, confidence_threshold=3.0
        ),
        seed=seed,
    )
    ours_drafts = []
    while not ours.done:
        ours.step()
        ours_drafts.append(ours.lanes[0].argmax.clone())
    assert len(drafts) == len(ours_drafts)
    assert torch.equal(torch.stack(drafts), torch.stack(ours_drafts))
