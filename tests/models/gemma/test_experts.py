"""All experts at once, against the loop over experts of the class."""

from __future__ import annotations

import pytest
import torch
from transformers.models.diffusion_gemma.modeling_diffusion_gemma import (
    DiffusionGemmaTextExperts,
)

from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.experts import ALL_EXPERTS


@pytest.mark.parametrize("rows", [1, 7, 64])
@pytest.mark.parametrize("top_k", [1, 2, 4])
@torch.inference_mode()
def test_equals_the_loop_over_experts(tiny_config, rows, top_k):
    config = tiny_config.text_config
    torch.manual_seed(rows)
    experts = DiffusionGemmaTextExperts(config)
    for parameter in experts.parameters():
        parameter.normal_(std=0.2)
    hidden = torch.randn(rows, config.hidden_size)
    weights, index = torch.rand(rows, config.num_experts).topk(top_k)

    def run(implementation: str) -> torch.Tensor:
        config._experts_implementation = implementation
        try:
            return experts(hidden, index, weights)
        finally:
            config._experts_implementation = "eager"

    torch.testing.assert_close(run(ALL_EXPERTS), run("eager"), atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_a_whole_model_predicts_the_same_with_it(tiny_config):
    torch.manual_seed(3)
    model = TextDiffusionGemma(tiny_config).eval()
    prompt, canvas = torch.randint(5, 300, (1, 20)), torch.randint(5, 300, (1, 12))

    def logits(implementation: str) -> torch.Tensor:
        model.set_experts_implementation(implementation)
        return model(input_ids=prompt, decoder_input_ids=canvas).logits

    try:
        torch.testing.assert_close(logits(ALL_EXPERTS), logits("eager"), atol=1e-4, rtol=0)
    finally:
        model.set_experts_implementation("eager")


def test_gradients_are_the_same_too(tiny_config):
    config = tiny_config.text_config
    torch.manual_seed(0)
    experts = DiffusionGemmaTextExperts(config)
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.normal_(std=0.2)
    hidden = torch.randn(9, config.hidden_size)
    weights, index = torch.rand(9, config.num_experts).topk(2)

    def gradients(implementation: str) -> list[torch.Tensor]:
        config._experts_implementation = implementation
        try:
            loss = experts(hidden, index, weights).square().sum()
        finally:
            config._experts_implementation = "eager"
        return list(torch.autograd.grad(loss, list(experts.parameters())))

    for ours, theirs in zip(gradients(ALL_EXPERTS), gradients("eager"), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-4)
