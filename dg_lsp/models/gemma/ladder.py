"""The ways of running DiffusionGemma on a GPU, and which of them works there."""

from __future__ import annotations

from dg_lsp.config import CacheSettings
from dg_lsp.hardware import installed, kernel_obstacle
from dg_lsp.models import kernels, ladder
from dg_lsp.models.checking import check_products
from dg_lsp.models.gemma import checking
from dg_lsp.models.gemma.bucketed import BucketedSteps
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.folded import fold
from dg_lsp.models.gemma.fused.compiled import compiled
from dg_lsp.models.graphs import GraphCapture
from dg_lsp.models.int8_embedding import Int8Rows
from dg_lsp.models.ladder import PLAIN, Rung, Steps

DECODED_TOKENS = 32_768
"""Rows of an int8 output layer that compiled code decodes at once: 180 MB of the 26B's."""


LADDER = (
    Rung("fused steps in graphs", has_kernels=True, is_captured=True, is_fused=True),
    Rung("steps in graphs", has_kernels=True, is_captured=True),
    Rung("steps without graphs", has_kernels=True),
    PLAIN,
)
"""The ways of running a model on a GPU, fastest first."""


def settle(model: TextDiffusionGemma, cache: CacheSettings) -> GemmaDenoiser:
    """The model, run in the fastest way that works; `notes` says why not a faster one.

    Raises `CheckpointError` if none works, and `DeviceLostError` if the device is of no use to
    this process any more.
    """
    if model.lm_head.weight.device.type == "cpu":
        return GemmaDenoiser(model, cache, folded=fold(model))
    obstacle = kernel_obstacle(installed())
    if obstacle is None:
        return descend(LADDER, model, cache)
    found = descend((PLAIN,), model, cache)
    found.notes = (obstacle, *found.notes)
    return found


def denoiser_at(rung: Rung, model: TextDiffusionGemma, cache: CacheSettings) -> GemmaDenoiser:
    """The model, run as the rung says; a denoiser of the same model that was made before can no
    longer be used."""
    kernels.allow(rung.has_kernels)
    bucketed = None
    if rung.is_captured:
        parts = compiled(_tokens_at_once(model)) if rung.is_fused else None
        bucketed = BucketedSteps(GraphCapture(), parts)
    return GemmaDenoiser(model, cache, bucketed)


def _tokens_at_once(model: TextDiffusionGemma) -> int:
    """Tokens of the vocabulary whose logits are computed at once in compiled code."""
    vocabulary: int = model.config.text_config.vocab_size
    if isinstance(model.lm_head.weight, Int8Rows):
        # They are decoded first, and all of them would take more than int8 saves.
        return min(vocabulary, DECODED_TOKENS)
    return vocabulary


def descend(
    rungs: tuple[Rung, ...], model: TextDiffusionGemma, cache: CacheSettings
) -> GemmaDenoiser:
    """The model at the first rung that passes the self-test; the last rung is the reference."""
    weight = model.lm_head.weight

    def test(rung: Rung, denoiser: GemmaDenoiser, expected: Steps | None) -> Steps:
        if rung.has_kernels:
            check_products(model.model.decoder.layers, weight.dtype)
        checking.check_attention(denoiser)
        found = checking.sample_steps(denoiser)
        checking.check_steps(found, expected or found, weight.dtype)
        return found

    return ladder.descend(
        rungs, weight.device, lambda rung: denoiser_at(rung, model, cache), test
    )
