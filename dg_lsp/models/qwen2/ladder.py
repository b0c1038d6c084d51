"""The ways of running a masked Qwen2 on a GPU, and which of them works there."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import Qwen2ForCausalLM

from dg_lsp.config import CacheSettings
from dg_lsp.engine.denoiser import Canvases, OutOfMemoryError, Prediction
from dg_lsp.hardware import installed, kernel_obstacle
from dg_lsp.models import device as devices
from dg_lsp.models import kernels
from dg_lsp.models.checking import check_products, tolerance_of, within
from dg_lsp.models.graphs import GraphCapture
from dg_lsp.models.ladder import (
    PLAIN,
    Refused,
    Rung,
    Steps,
    descend,
    fault_of,
    notes_of,
    without_graphs,
)
from dg_lsp.models.packed_layers import PackedStack
from dg_lsp.models.prepared import PreparingMemoryError
from dg_lsp.models.qwen2.bucketed import BucketedSteps
from dg_lsp.models.qwen2.config import MaskedQwen2Config
from dg_lsp.models.qwen2.denoiser import Encoded, Qwen2Denoiser

log = logging.getLogger(__name__)

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
        return LadderDenoiser(model, config, cache, UNPACKED)
    obstacle = kernel_obstacle(installed())
    if obstacle is None:
        return LadderDenoiser(model, config, cache, PACKED)
    found = LadderDenoiser(model, config, cache, (PLAIN,))
    found.notes = (obstacle, *found.notes)
    return found


def denoiser_at(
    rung: Rung, model: Qwen2ForCausalLM, config: MaskedQwen2Config, cache: CacheSettings
) -> Qwen2Denoiser:
    """The model, run as the rung says."""
    kernels.allow(rung.has_kernels)
    return Qwen2Denoiser(model, config, cache, _buckets(rung))


def _buckets(rung: Rung) -> BucketedSteps | None:
    return BucketedSteps(GraphCapture()) if rung.is_captured else None


class LadderDenoiser(Qwen2Denoiser):
    """A denoiser that goes down a ladder as far as it has to.

    A step that fails on one rung is made again on a lower one, which gives the same result but
    for rounding.
    """

    def __init__(
        self,
        model: Qwen2ForCausalLM,
        config: MaskedQwen2Config,
        cache: CacheSettings,
        rungs: tuple[Rung, ...],
    ) -> None:
        """On the first rung that passes the self-test; the last rung is the reference."""
        weight = model.model.norm.weight

        def test(rung: Rung, denoiser: Qwen2Denoiser, expected: Steps | None) -> Steps:
            if rung.has_kernels:
                check_products(model.model.layers, weight.dtype)
            found = sample_steps(denoiser)
            check_steps(found, expected or found, weight.dtype)
            return found

        # Each rung is tried with a denoiser of its own, of which nothing stays in memory.
        self._rung, refused = descend(
            rungs, weight.device, lambda rung: denoiser_at(rung, model, config, cache), test
        )
        super().__init__(model, config, cache, _buckets(self._rung))
        self._below = rungs[rungs.index(self._rung) + 1 :]
        self._stand_on(self._rung, refused)

    def warm_up(self, prompt_tokens: int, on_progress: Callable[[int, int], None]) -> None:
        try:
            super().warm_up(prompt_tokens, on_progress)
        except Exception as error:  # As in the self-test.
            self._step_down(error)

    def denoise(
        self,
        encoded: Encoded,
        canvases: Canvases,
        canvas: Tensor,
        conditioning: Tensor | None,
        temperature: float,
        share: Tensor,
    ) -> Prediction:
        given = encoded, canvases, canvas, conditioning, temperature, share
        before = self._rung, self._below, self._bucketed, self.runs_as, self.notes
        while True:
            try:
                return super().denoise(*given)
            except Exception as error:  # As in the self-test.
                is_short = isinstance(error, OutOfMemoryError)
                # Out of memory, the engine frees all caches and runs the job again.
                if is_short and not isinstance(error, PreparingMemoryError):
                    raise
                if not devices.works(self.device):
                    raise
                if not without_graphs(self._below):
                    # What fails on every rung says nothing about them.
                    self._rung, self._below, self._bucketed, self.runs_as, self.notes = before
                    kernels.allow(self._rung.has_kernels)
                    raise
                self._step_down(error)

    def _step_down(self, error: Exception) -> None:
        """Stand on the next rung that needs nothing to be prepared; raises the error again if
        there is none, and `DeviceLostError` if the device refuses everything."""
        below = without_graphs(self._below)
        if not below:
            raise error
        failed, fault = self._rung, fault_of(error, self._rung, self.device)
        self.shrink()
        self._rung, self._below, self._bucketed = below[0], below[1:], None
        self._stand_on(self._rung, [(failed, fault)])

    def _stand_on(self, rung: Rung, refused: Refused) -> None:
        kernels.allow(rung.has_kernels)
        more = notes_of(rung, refused)
        for note in more:
            log.warning("%s", note)
        self.notes += more
        self.runs_as = rung.name
        log.info("the model runs as %s", rung.name)


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
