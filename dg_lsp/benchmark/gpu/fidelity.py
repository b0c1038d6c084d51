"""Measures how close a packed model is to the original, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.quantization import assemble, expected_shapes, is_packed, skeleton
from dg_lsp.models.nf4.format import Nf4, quantize


def packed_copy(model: TextDiffusionGemma) -> TextDiffusionGemma:
    """The same weights in NF4; weights that are not packed are shared."""
    hollow = skeleton(model.config)
    state = model.state_dict()
    device, dtype = model.lm_head.weight.device, model.dtype

    def weights() -> Iterator[tuple[str, Tensor | Nf4]]:
        for name, shape in expected_shapes(hollow).items():
            tensor = state[name]
            yield name, quantize([tensor], shape, device) if is_packed(name, shape) else tensor

    return assemble(hollow, weights(), device, dtype)


@torch.inference_mode()
def layer_cosines(
    full: TextDiffusionGemma, packed: TextDiffusionGemma, rows: int
) -> list[float]:
    """Mean cosine of each decoder layer's outputs on the full model's inputs, and, as the last
    value, of the whole models' logits.

    With random weights, unlike trained ones, errors grow from layer to layer, so the last value
    is meaningful only for a real checkpoint.
    """
    device = full.lm_head.weight.device
    generator = torch.Generator().manual_seed(0)
    vocab = full.config.text_config.vocab_size
    prompt = torch.randint(4, vocab, (1, rows), generator=generator).to(device)
    canvas = torch.randint(4, vocab, (1, rows), generator=generator).to(device)
    cosines: list[float] = []

    def compare(twin: nn.Module) -> Callable[..., None]:
        def look(module: nn.Module, given: Any, named: Any, output: Tensor) -> None:
            # Call forward directly: the twin may be the hooked layer itself.
            cosines.append(_cosine(output, twin.forward(*given, **named)))

        return look

    twins = zip(full.model.decoder.layers, packed.model.decoder.layers, strict=True)
    hooks = [
        layer.register_forward_hook(compare(twin), with_kwargs=True) for layer, twin in twins
    ]
    try:
        theirs = full(input_ids=prompt, decoder_input_ids=canvas).logits
    finally:
        for hook in hooks:
            hook.remove()
    ours = packed(input_ids=prompt, decoder_input_ids=canvas).logits
    return [*cosines, _cosine(theirs, ours)]


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(nn.functional.cosine_similarity(a.float(), b.float(), dim=-1).mean())
