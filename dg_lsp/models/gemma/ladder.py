"""Chooses how a model runs on its device: in the fastest way that passes the self-test.

A way that raises an error, or whose numbers are wrong, gives way to the next. Below the last
one is a smaller model (`models/loading.py`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch

from dg_lsp.config import CacheSettings
from dg_lsp.engine.denoiser import OutOfMemoryError, Prediction
from dg_lsp.hardware import installed, kernel_obstacle
from dg_lsp.models import device as devices
from dg_lsp.models import kernels
from dg_lsp.models.checkpoint import CheckpointError, one_line
from dg_lsp.models.gemma import checking
from dg_lsp.models.gemma.bucketed import BucketedSteps
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.folded import fold
from dg_lsp.models.gemma.fused.compiled import compiled
from dg_lsp.models.gemma.graphs import GraphCapture
from dg_lsp.models.int8_embedding import Int8Rows
from dg_lsp.reason import Reason, ReasonCode, reason_of

DECODED_TOKENS = 32_768
"""Rows of an int8 output layer that compiled code decodes at once: 180 MB of the 26B's."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rung:
    """A way of running a model."""

    name: str
    """In messages to the user."""
    has_kernels: bool = False
    """Products with 4-bit weights run our kernels."""
    is_captured: bool = False
    """Steps are captured in CUDA graphs."""
    is_fused: bool = False
    """Steps run compiled layers and fused kernels."""


PLAIN = Rung("plain torch")
"""Runs everywhere, and is what the others are compared with."""
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


@torch.inference_mode()
def descend(
    rungs: tuple[Rung, ...], model: TextDiffusionGemma, cache: CacheSettings
) -> GemmaDenoiser:
    """The model at the first rung that passes the self-test; the last rung is the reference."""
    *faster, last = rungs
    expected, fault = _tried(last, model, cache, None)
    if fault is not None:
        raise CheckpointError(
            f"the model cannot be run on {model.lm_head.weight.device}: {fault}", fault.code
        )
    refused: list[tuple[Rung, Reason]] = []
    for rung in faster:
        _, fault = _tried(rung, model, cache, expected)
        if fault is None:
            break
        refused.append((rung, fault))
    else:
        rung = last
    # Again, so that nothing of the self-test stays in memory.
    denoiser = denoiser_at(rung, model, cache)
    denoiser.notes = tuple(
        Reason(fault.code, f"{rung.name} is used instead of {tried.name}: {fault}")
        for tried, fault in refused
    )
    for note in denoiser.notes:
        log.warning("%s", note)
    log.info("the model runs as %s", rung.name)
    return denoiser


def _tried(
    rung: Rung,
    model: TextDiffusionGemma,
    cache: CacheSettings,
    expected: list[Prediction] | None,
) -> tuple[list[Prediction] | None, Reason | None]:
    """The steps of the self-test at a rung, or why it cannot be used."""
    device, dtype = model.lm_head.weight.device, model.lm_head.weight.dtype
    try:
        denoiser = denoiser_at(rung, model, cache)
        if rung.has_kernels:
            checking.check_products(model)
        checking.check_attention(denoiser)
        found = checking.sample_steps(denoiser)
        checking.check_steps(found, expected or found, dtype)
        return found, None
    except (OutOfMemoryError, torch.OutOfMemoryError) as error:
        return None, Reason(ReasonCode.OUT_OF_MEMORY, one_line(error))
    except Exception as error:  # Compilers, drivers and captures raise whatever they like.
        log.warning("%s failed the self-test", rung.name, exc_info=True)
        fault = reason_of(error, ReasonCode.KERNEL_FAILED)
        if not devices.works(device):
            raise devices.DeviceLostError(
                f"{device} refuses everything after {rung.name} failed: {one_line(error)}"
            ) from error
        return None, Reason(fault.code, one_line(error))
