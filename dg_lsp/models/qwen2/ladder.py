"""The ways of running a masked Qwen2 on a GPU, and which of them works there."""

from __future__ import annotations

import torch
from transformers import Qwen2ForCausalLM

from dg_lsp.config import CacheSettings
from dg_lsp.engine.denoiser import Canvases
from dg_lsp.hardware import installed, kernel_obstacle
from dg_lsp.models import kernels, ladder
from dg_lsp.models.checking import check_products, tolerance_of, within
from dg_lsp.models.graphs import GraphCapture
from dg_lsp.models.ladder import PLAIN, Rung, Steps
from dg_lsp.models.packed_layers import PackedStack
from dg_lsp.models.qwen2.bucketed import BucketedSteps
from dg_lsp.models.qwen2.config import MaskedQwen2Config
from dg_lsp.models.qwen2.denoiser import Qwen2Denoiser

PACKED = (
    Rung("steps in graphs", has_kernels=True, is_captured=True),
    Rung("steps without graphs", has_kernels=True),
    PLAIN,
)
"""The ways of running weights in 4 bits on a GPU, fastest first."""
UNPACKED = (Rung("steps in graphs", is_captured=True), PLAIN)
"""The same for weights in 16 bits, which torch multiplies itself."""
BEFORE, AFTER = 200, 100
"""Tokens around the canvases of the self-test."""
CANVASES = (16, 9)
TEMPERATURE = 0.7


def settle(
    model: Qwen2ForCausalLM, config: MaskedQwen2Config, cache: CacheSettings
) -> Qwen2Denoiser:
    """The model, run in the fastest way that works; `notes` says why not a faster one.

    Raises `CheckpointError` if none works, and `DeviceLostError` if the device is of no use to
    this process any more.
    """
    if model.model.norm.weight.device.type != "cuda":
        return denoiser_at(PLAIN, model, config, cache)
    if not any(isinstance(module, PackedStack) for module in model.modules()):
        return descend(UNPACKED, model, config, cache)
    obstacle = kernel_obstacle(installed())
    if obstacle is None:
        return descend(PACKED, model, config, cache)
    found = descend((PLAIN,), model, config, cache)
    found.notes = (obstacle, *found.notes)
    return found


def denoiser_at(
    rung: Rung, model: Qwen2ForCausalLM, config: MaskedQwen2Config, cache: CacheSettings
) -> Qwen2Denoiser:
    """The model, run as the rung says."""
    kernels.allow(rung.has_kernels)
    bucketed = BucketedSteps(GraphCapture()) if rung.is_captured else None
    return Qwen2Denoiser(model, config, cache, bucketed)


def descend(
    rungs: tuple[Rung, ...],
    model: Qwen2ForCausalLM,
    config: MaskedQwen2Config,
    cache: CacheSettings,
) -> Qwen2Denoiser:
    """The model at the first rung that passes the self-test; the last rung is the reference."""
    weight = model.model.norm.weight

    def test(rung: Rung, denoiser: Qwen2Denoiser, expected: Steps | None) -> Steps:
        if rung.has_kernels:
            check_products(model.model.layers, weight.dtype)
        found = sample_steps(denoiser)
        check_steps(found, expected or found, weight.dtype)
        return found

    return ladder.descend(
        rungs, weight.device, lambda rung: denoiser_at(rung, model, config, cache), test
    )


def sample_steps(denoiser: Qwen2Denoiser) -> Steps:
    """A step that reads the text around, and two against what was read: of one canvas, and of
    two."""
    vocab, device = denoiser.vocab_size, denoiser.device
    dice = torch.Generator().manual_seed(0)

    def ids(count: int) -> list[int]:
        return torch.randint(vocab, (count,), generator=dice).tolist()

    longest, other = (min(length, denoiser.canvas_length) for length in CANVASES)
    encoded = denoiser.encode(ids(BEFORE), after=ids(AFTER))
    found: Steps = []
    for lengths in ((longest,), (longest,), (longest, other)):
        rows = sum(lengths)
        canvases = Canvases(
            lengths,
            torch.arange(rows, device=device),
            torch.arange(0, device=device),
            (torch.rand(1, vocab, generator=dice) < 0.1).to(device),
            torch.zeros(rows, dtype=torch.long, device=device),
        )
        canvas = torch.tensor(ids(rows), device=device)
        share = torch.rand(rows, generator=dice).to(device)
        found.append(denoiser.denoise(encoded, canvases, canvas, None, TEMPERATURE, share))
    return found


def check_steps(found: Steps, expected: Steps, dtype: torch.dtype) -> None:
    """The steps of `sample_steps` against those of a denoiser that runs plainly."""
    limit = tolerance_of(dtype).step
    for ours, plain in zip(found, expected, strict=True):
        for name in ("log_probability", "entropy", "margin", "free_fit"):
            a, b = getattr(ours, name), getattr(plain, name)
            within(f"{name} of a step", (a - b).abs().mean(), limit)
