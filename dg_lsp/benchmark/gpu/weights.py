"""Creates models of a given shape with random weights, directly on the device.

The values keep activations finite through thirty layers. Random weights route tokens almost
evenly, so a step uses more experts than with real text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from transformers import DiffusionGemmaConfig

from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.quantization import (
    assemble,
    expected_shapes,
    is_packed,
    skeleton,
)
from dg_lsp.models.nf4.format import BLOCK, SCALE_BLOCK, Nf4, bitsandbytes, to_bitsandbytes
from dg_lsp.models.packed_layers import PackedStack
from dg_lsp.models.w4a16.format import PER_WORD, Int4

SPREAD = 0.02


def packed_model(
    config: DiffusionGemmaConfig,
    device: torch.device,
    pack: Callable[[tuple[int, ...], torch.device], Nf4 | Int4] | None = None,
) -> TextDiffusionGemma:
    """4 bits as in a pulled model: our NF4, or what `pack` makes for a shape."""
    pack = pack or random_nf4
    model = skeleton(config)
    shapes = expected_shapes(model)

    def weights() -> Iterator[tuple[str, Tensor | Nf4 | Int4]]:
        for name, shape in shapes.items():
            if is_packed(name, shape):
                yield name, pack(shape, device)
            else:
                yield name, random_tensor(name, shape, device)

    return assemble(model, weights(), device, dtype_on(device))


def full_model(config: DiffusionGemmaConfig, device: torch.device) -> TextDiffusionGemma:
    """bfloat16 everywhere, with transformers' own grouped products."""
    model = skeleton(config)
    shapes = expected_shapes(model)
    weights = ((name, random_tensor(name, shape, device)) for name, shape in shapes.items())
    assemble(model, weights, device, dtype_on(device))
    model.set_experts_implementation("grouped_mm")
    return model


def parametrize(model: TextDiffusionGemma) -> TextDiffusionGemma:
    """Use bitsandbytes' parametrization for the experts, which decodes at every access."""
    library = bitsandbytes()
    from bitsandbytes.nn.parametrize import replace_parameter_4bit_prequantized

    for layer in model.model.decoder.layers:
        for name in ("gate_up_proj", "down_proj"):
            stack: PackedStack = getattr(layer.experts, name)
            stored = stack.stored
            assert isinstance(stored, Nf4)
            state = to_bitsandbytes(stored, model.lm_head.weight.dtype)
            delattr(layer.experts, name)
            packed = nn.Parameter(stored.packed[:, None], requires_grad=False)
            layer.experts.register_parameter(name, packed)
            replace_parameter_4bit_prequantized(
                layer.experts, name, state.as_dict(packed=True), packed.device
            )
    assert library is not None
    model.set_experts_implementation("grouped_mm")
    return model


def random_nf4(
    shape: tuple[int, ...], device: torch.device, generator: torch.Generator | None = None
) -> Nf4:
    """Random codes, and scales that spread the values about as `random_tensor` does."""
    values = torch.Size(shape).numel()
    blocks = values // BLOCK
    # Sixteen codes at a time, because each random number takes as long as any other.
    codes = torch.empty(values // 16, dtype=torch.int64, device=device)
    codes.random_(torch.iinfo(torch.int64).min, None, generator=generator)
    absmax = torch.empty(blocks, dtype=torch.uint8, device=device)
    return Nf4(
        codes.view(torch.uint8),
        absmax.random_(generator=generator),
        torch.full((-(-blocks // SCALE_BLOCK),), SPREAD / 4, device=device),
        torch.linspace(-1, 1, 256, device=device),
        torch.full((-(-blocks // SCALE_BLOCK),), 2 * SPREAD, device=device),
        shape,
    )


def random_int4(shape: tuple[int, ...], device: torch.device, group: int = 32) -> Int4:
    """Random codes, and scales that spread the values about as `random_tensor` does."""
    few, many = torch.iinfo(torch.int32).min, torch.iinfo(torch.int32).max
    words = (*shape[:-1], shape[-1] // PER_WORD)
    scales = (*shape[:-1], shape[-1] // group)
    return Int4(
        torch.randint(few, many, words, dtype=torch.int32, device=device),
        torch.full(scales, SPREAD / 4, dtype=torch.bfloat16, device=device),
    )


def random_tensor(name: str, shape: tuple[int, ...], device: torch.device) -> Tensor:
    if "norm" in name or "scal" in name:
        return torch.ones(shape, dtype=dtype_on(device), device=device)
    return torch.empty(shape, dtype=dtype_on(device), device=device).normal_(std=SPREAD)


def dtype_on(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "cpu" else torch.bfloat16
