"""Uniform-state corruption: noise is random tokens, and every position may be revised.

Source: transformers' `DiffusionGemmaGenerationMixin.generate`, steps ii to iv. What differs:
pinned positions are never written, and a healed position's noise is the typed token.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dg_lsp.config import SamplerSettings
from dg_lsp.engine import sampler
from dg_lsp.engine.denoiser import Prediction
from dg_lsp.engine.lanes import Lane, Rows, StepView
from dg_lsp.engine.prompt import CanvasPlan
from dg_lsp.engine.stopping import Stopping


class UniformCorruption:
    """Implements `engine.family.Corruption` for one run."""

    def __init__(self, settings: SamplerSettings, device: torch.device, seed: int) -> None:
        self._settings = settings
        self.max_steps = settings.max_denoising_steps
        self._device = device
        self._generator = torch.Generator(device).manual_seed(seed)
        self._text_tokens: Tensor | None = None

    def memory(self, plan: CanvasPlan) -> Stopping:
        return Stopping(self._settings)

    def control_tokens(self, lane: Lane) -> frozenset[int]:
        return frozenset()

    def noise(self, rows: Rows) -> Tensor:
        """Random text tokens; the typed tokens at healed positions."""
        if self._text_tokens is None:
            # Constraint 0 disallows only control tokens, and all lanes of a run share it.
            self._text_tokens = torch.nonzero(~rows.canvases.disallowed[0]).squeeze(-1)
        drawn = torch.randint(
            *(len(self._text_tokens), (rows.draws,)),
            generator=self._generator,
            device=self._device,
        )
        noise = self._text_tokens[drawn[rows.drawn]]
        noise[rows.typed_rows] = rows.typed_ids
        return noise

    def temperature(self, step_idx: int) -> float:
        return sampler.temperature(self._settings, step_idx)

    def share(self, rows: Rows) -> Tensor:
        drawn = torch.rand(rows.draws, generator=self._generator, device=self._device)
        return drawn[rows.drawn]

    def commit(self, canvas: Tensor, predicted: Prediction, rows: Rows) -> Tensor:
        """Accept the most certain positions and renoise all others."""
        accepted = sampler.accept(
            predicted.entropy, rows.lane_index, self._settings.entropy_bound
        )
        return torch.where(accepted, predicted.sampled, self.noise(rows))

    def observe(self, lane: Lane, view: StepView) -> None:
        lane.shown, lane.log_probability = view.argmax, view.log_probability
        lane.settled = lane.memory.settled(view.argmax, view.entropy)
