"""The ways of running DiffusionGemma on a GPU, and which of them works there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from dg_lsp.config import CacheSettings
from dg_lsp.engine.denoiser import Canvases, OutOfMemoryError, Prediction, StepRequest
from dg_lsp.hardware import installed, kernel_obstacle
from dg_lsp.models import device as devices
from dg_lsp.models import kernels
from dg_lsp.models.checking import check_products
from dg_lsp.models.checkpoint import one_line
from dg_lsp.models.gemma import checking
from dg_lsp.models.gemma.bucketed import BucketedSteps
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.folded import fold
from dg_lsp.models.gemma.fused.compiled import compiled
from dg_lsp.models.gemma.prefix_cache import Encoded
from dg_lsp.models.gemma.trial import (
    Trial,
    check_prepared,
    check_scores,
    check_shared,
    check_steps,
    check_trial,
    run_trial,
)
from dg_lsp.models.graphs import GraphCapture
from dg_lsp.models.int8_embedding import Int8Rows
from dg_lsp.models.ladder import (
    PLAIN,
    Rung,
    fault_of,
    first_that_works,
    left_of,
    notes_of,
    on_the_last,
    tried,
    without_graphs,
)
from dg_lsp.models.padding import cached_sizes, rounded
from dg_lsp.models.prepared import PreparingMemoryError
from dg_lsp.reason import Reason, ReasonCode

DECODED_TOKENS = 32_768
"""Rows of an int8 output layer that compiled code decodes at once: 180 MB of the 26B's."""

T = TypeVar("T")

log = logging.getLogger(__name__)

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
        return LadderDenoiser(model, cache, LADDER)
    found = LadderDenoiser(model, cache, (PLAIN,))
    found.notes = (obstacle, *found.notes)
    return found


def denoiser_at(rung: Rung, model: TextDiffusionGemma, cache: CacheSettings) -> GemmaDenoiser:
    """The model, run as the rung says; a denoiser of the same model that was made before can no
    longer be used."""
    kernels.allow(rung.has_kernels)
    return GemmaDenoiser(model, cache, _buckets(rung, model))


def _buckets(rung: Rung, model: TextDiffusionGemma) -> BucketedSteps | None:
    if not rung.is_captured:
        return None
    parts = compiled(_tokens_at_once(model)) if rung.is_fused else None
    return BucketedSteps(GraphCapture(), parts)


def _tokens_at_once(model: TextDiffusionGemma) -> int:
    """Tokens of the vocabulary whose logits are computed at once in compiled code."""
    vocabulary: int = model.config.text_config.vocab_size
    if isinstance(model.lm_head.weight, Int8Rows):
        # They are decoded first, and all of them would take more than int8 saves.
        return min(vocabulary, DECODED_TOKENS)
    return vocabulary


class LadderDenoiser(GemmaDenoiser):
    """A denoiser that goes down a ladder as far as it has to.

    A call that fails on one rung is made again on a lower one, which gives the same result but
    for rounding.
    """

    @torch.inference_mode()
    def __init__(
        self, model: TextDiffusionGemma, cache: CacheSettings, rungs: tuple[Rung, ...]
    ) -> None:
        """On the first rung that passes the self-test; the last rung is the reference."""
        super().__init__(model, cache)
        self._rungs, self._refused = left_of(rungs)
        self._cache = cache
        self._expected = on_the_last(rungs, self.device, self._made, _test)
        self._sizes: tuple[int, ...] | None = None
        """The numbers of cached tokens that steps were prepared for."""
        self._is_preparing = self._was_short = False
        self._settle(self._rungs)

    @torch.inference_mode()
    def warm_up(self, prompt_tokens: int, on_progress: Callable[[int, int], None]) -> None:
        while self.rung.is_captured:
            self._is_preparing = True
            try:
                super().warm_up(prompt_tokens, on_progress)
                longest = rounded(prompt_tokens)
                sizes = cached_sizes(prompt_tokens)
                check_prepared(self, [size for size in sizes if size <= longest])
                check_shared(self)
                self._sizes = sizes
                return
            except Exception as error:  # As in the self-test.
                fault = fault_of(error, self.rung, self.device)
            finally:
                self._is_preparing = False
            self.shrink()
            self._refused.append((self.rung, fault))
            is_short = fault.code is ReasonCode.OUT_OF_MEMORY
            # Other graphs need as much memory.
            self._settle(without_graphs(self._below) if is_short else self._below)

    def encode(
        self, ids: Sequence[int], document: str = "", after: Sequence[int] = ()
    ) -> Encoded:
        return self._lasting(lambda: GemmaDenoiser.encode(self, ids, document, after))

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
        return self._lasting(
            lambda: GemmaDenoiser.denoise(self, *given),
            lambda ours, plain: check_steps([ours], [plain], self._dtype),
        )

    def denoise_together(self, requests: Sequence[StepRequest]) -> list[Prediction]:
        return self._lasting(
            lambda: GemmaDenoiser.denoise_together(self, requests),
            lambda ours, plain: check_steps(ours, plain, self._dtype),
        )

    def score(self, encoded: Encoded, continuations: Sequence[Sequence[int]]) -> list[Tensor]:
        return self._lasting(
            lambda: GemmaDenoiser.score(self, encoded, continuations),
            lambda ours, plain: check_scores(ours, plain, self._dtype),
        )

    @property
    def _below(self) -> tuple[Rung, ...]:
        return self._rungs[self._rungs.index(self.rung) + 1 :]

    def _settle(self, rungs: tuple[Rung, ...]) -> None:
        """Stand on the first rung that passes the self-test, or on the last one."""
        rung, refused = first_that_works(
            rungs, lambda one: tried(one, self.device, self._made, _test, self._expected)[1]
        )
        self._refused += refused
        self._stand_on(rung)

    def _made(self, rung: Rung) -> GemmaDenoiser:
        """One for the self-test, so that nothing of it stays in memory."""
        return denoiser_at(rung, self.model, self._cache)

    def _stand_on(self, rung: Rung) -> None:
        self.rung, self.runs_as = rung, rung.name
        kernels.allow(rung.has_kernels)
        bucketed = _buckets(rung, self.model)
        if bucketed is not None and self._sizes is not None:
            bucketed.sizes = self._sizes
        self.run_in(bucketed)
        said = notes_of(rung, self._refused)
        for note in said[len(self.notes) :]:
            log.warning("%s", note)
        self.notes = said
        log.info("the model runs as %s", rung.name)

    def _lasting(
        self, call: Callable[[], T], compare: Callable[[T, T], None] | None = None
    ) -> T:
        """The result of a call, on a lower rung if the call fails on this one."""
        if self._is_preparing:
            return call()
        first, refused = self.rung, [*self._refused]
        while True:
            try:
                return self._checked(call, compare)
            except OutOfMemoryError as error:
                if not isinstance(error, PreparingMemoryError):
                    # The engine frees all caches and runs the job again.
                    raise
                if not self._was_short:
                    # What the cache holds may be enough, and others may give memory back.
                    self._was_short = True
                    self.prefixes.clear()
                    continue
                fault = Reason(ReasonCode.OUT_OF_MEMORY, one_line(error))
            except Exception as error:  # As in the self-test.
                if not devices.works(self.device):
                    raise
                if not without_graphs(self._below):
                    if self.rung != first:
                        # What fails on every rung says nothing about them.
                        self._refused = refused
                        self._stand_on(first)
                    raise
                fault = fault_of(error, self.rung, self.device)
            self._refused.append((self.rung, fault))
            # No self-test and no graphs: somebody waits for the job.
            self._stand_on(without_graphs(self._below)[0])

    def _checked(self, call: Callable[[], T], compare: Callable[[T, T], None] | None) -> T:
        """The result of a call. If something had to be prepared for it, which nobody has
        checked, it is compared with the result of the call without that."""
        bucketed = self._bucketed
        if bucketed is None or compare is None or self._sizes is None:
            return call()
        before = bucketed.times_prepared
        found = call()
        if bucketed.times_prepared > before:
            with self.unpadded(), torch.inference_mode():
                compare(found, call())
        return found


def _test(rung: Rung, denoiser: GemmaDenoiser, expected: Trial | None) -> Trial:
    """The self-test of a rung, which raises if the rung cannot be used."""
    model, dtype = denoiser.model, denoiser.model.lm_head.weight.dtype
    if rung.has_kernels:
        check_products(model.model.decoder.layers, dtype)
    checking.check_attention(denoiser)
    found = run_trial(denoiser)
    check_trial(found, expected or found, dtype)
    return found
