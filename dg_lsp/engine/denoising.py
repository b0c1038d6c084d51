"""The denoising loop over anchored canvases.

The steps carry the numbers of transformers' `DiffusionGemmaGenerationMixin.generate`:

    1.a  the encoder reads all that is known before the canvas (done by the caller)
    1.b  canvases are prepared: pinned positions hold the document, free ones noise
    1.c  for each denoising step:
         i    the decoder predicts all positions from the canvases, the cache and the
              self-conditioning logits
         ii   tokens are selected: limits, temperature, a sample and an argmax per position
         iii  the sampler accepts and renoises; pinned positions are never written
         iv   the stopping criterion looks at the free positions
         v    the temperature-scaled logits become self-conditioning
    1.d-f     the caller commits a settled canvas and goes on with the next block

What differs from the reference: only free positions are sampled, accepted, counted and
renoised; a pinned position is exactly its token, in the canvas and in self-conditioning; a
healed position may only hold tokens that agree with the characters typed there, and its noise
is the typed token. With nothing pinned, healed or barred and the same random numbers, the
canvases are the reference's, token for token (a test holds this).

Several canvases ("lanes") go through the decoder in one forward, each blind to the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dg_lsp.config import SamplerSettings
from dg_lsp.engine import sampler
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Denoiser
from dg_lsp.engine.prompt import CanvasPlan
from dg_lsp.engine.stopping import Stopping

PINNED_LOGIT = 1e4
"""Logit of a pinned token: the softmax over its row is exactly one-hot in any dtype."""


@dataclass(slots=True)
class Lane:
    """One canvas under way. Tensors are over its free positions."""

    plan: CanvasPlan
    stopping: Stopping
    argmax: Tensor
    """(free,) best token of each free position."""
    log_probability: Tensor
    """(free,) its log-probability at the step's temperature, float32."""
    free_fit: float = 0.0
    """Mean log-probability of the best tokens as the model gives it: at temperature 1 and
    without limits, so that a healed position tells whether its token belongs there."""
    pinned_fit: float = 0.0
    """The same of the pinned tokens."""
    settled: bool = False
    steps: int = 0


class Denoising:
    """Step by step from noise to text, for canvases that share one prompt."""

    def __init__(
        self,
        denoiser: Denoiser,
        encoded: Any,
        plans: Sequence[CanvasPlan],
        codec: Codec,
        settings: SamplerSettings,
        seed: int,
    ) -> None:
        """Step 1.b. Raises `ValueError` for a canvas with no free position."""
        self._denoiser, self._encoded, self._settings = denoiser, encoded, settings
        self._device = denoiser.device
        self._generator = torch.Generator(self._device).manual_seed(seed)
        barred = torch.zeros(denoiser.vocab_size, dtype=torch.bool)
        barred[list(codec.control.barred)] = True
        barred[codec.vocab_size :] = True
        self._barred = barred.to(self._device)
        self._noise_ids = torch.nonzero(~barred).squeeze(-1).to(self._device)
        self._codec = codec
        self.step_idx = 0
        self.lanes: list[Lane] = []
        for plan in plans:
            if plan.free_length < 1:
                raise ValueError("a canvas needs at least one free position")
            empty = torch.zeros(plan.free_length, device=self._device)
            self.lanes.append(Lane(plan, Stopping(settings), empty.long() - 1, empty))
        self._arrange()
        start = torch.tensor([i for plan in plans for i in plan.ids], device=self._device)
        self._canvas = torch.where(start < 0, 0, start)
        noise = self._noise()
        free_start = start[self._free]
        self._canvas[self._free] = torch.where(free_start < 0, noise, free_start)
        self._conditioning: Tensor | None = None

    @property
    def done(self) -> bool:
        """Whether every lane is settled or the steps are used up."""
        used_up = self.step_idx >= self._settings.max_denoising_steps
        return used_up or all(lane.settled for lane in self.lanes)

    def step(self) -> None:
        """One denoising step (1.c) of all lanes; settled lanes stay as they are."""
        # i.
        logits = self._denoiser.denoise(
            self._encoded, self._canvas, self._lengths, self._conditioning
        )
        # ii.
        free_logits = logits[self._free].masked_fill(self._barred, -torch.inf)
        for row, disallowed in self._limits:
            free_logits[row] = free_logits[row].masked_fill(disallowed, -torch.inf)
        free_logits /= sampler.temperature(self._settings, self.step_idx)
        log_probabilities = torch.log_softmax(free_logits, dim=-1)
        sampled = sampler.sample(log_probabilities.exp(), self._generator)
        argmax_log_probability, argmax = log_probabilities.max(dim=-1)
        entropy = sampler.entropies(log_probabilities)
        # iii.
        accepted = sampler.accept(entropy, self._lane_index, self._settings.entropy_bound)
        self._canvas[self._free] = torch.where(accepted, sampled, self._noise())
        # iv.
        best = self._canvas.clone()
        best[self._free] = argmax
        fit = logits.gather(1, best[:, None]).squeeze(1) - logits.logsumexp(dim=-1)
        free_fit, pinned_fit = fit[self._free], fit[self._pinned]
        self.step_idx += 1
        for lane, free, own_pinned in zip(
            self.lanes, self._free_slices, self._pinned_slices, strict=True
        ):
            if lane.settled:
                continue
            lane.argmax, lane.log_probability = argmax[free], argmax_log_probability[free]
            lane.steps = self.step_idx
            lane.free_fit = float(free_fit[free].mean())
            if own_pinned.stop > own_pinned.start:
                lane.pinned_fit = float(pinned_fit[own_pinned].mean())
            lane.settled = lane.stopping.settled(lane.argmax, entropy[free])
        # v.
        if self._conditioning is None:
            self._conditioning = torch.full_like(logits, -PINNED_LOGIT)
            own = self._canvas[self._pinned][:, None]
            rows = self._conditioning[self._pinned].scatter(1, own, PINNED_LOGIT)
            self._conditioning[self._pinned] = rows
        self._conditioning[self._free] = free_logits

    def keep(self, lanes: Sequence[Lane]) -> None:
        """Go on with these lanes only, in the order they have."""
        rows = []
        start = 0
        for lane in self.lanes:
            end = start + len(lane.plan.ids)
            if any(lane is kept for kept in lanes):
                rows.append(torch.arange(start, end, device=self._device))
            start = end
        self.lanes = [lane for lane in self.lanes if any(lane is kept for kept in lanes)]
        index = torch.cat(rows)
        self._canvas = self._canvas[index]
        if self._conditioning is not None:
            self._conditioning = self._conditioning[index]
        self._arrange()

    def _noise(self) -> Tensor:
        """Random text tokens for all free positions; typed tokens where they are healed."""
        size = (len(self._free),)
        drawn = torch.randint(
            len(self._noise_ids), size, generator=self._generator, device=self._device
        )
        noise = self._noise_ids[drawn]
        noise[self._typed_rows] = self._typed_ids
        return noise

    def _arrange(self) -> None:
        """Index the rows of all lanes: free and pinned, whose lane, which limits."""
        free: list[int] = []
        pinned: list[int] = []
        lane_index: list[int] = []
        typed: list[tuple[int, int]] = []
        self._free_slices: list[slice] = []
        self._pinned_slices: list[slice] = []
        self._limits: list[tuple[int, Tensor]] = []
        self._lengths = [len(lane.plan.ids) for lane in self.lanes]
        start = 0
        for number, lane in enumerate(self.lanes):
            plan = lane.plan
            first = len(free)
            last = first + plan.free_length - 1
            self._limits += self._limits_of(plan, first, last)
            if plan.left_token is not None:
                typed.append((first, plan.left_token))
            if plan.right_token is not None and last > first:
                typed.append((last, plan.right_token))
            free += range(start + plan.free_start, start + plan.free_end)
            lane_index += [number] * plan.free_length
            self._free_slices.append(slice(first, len(free)))
            before = len(pinned)
            pinned += range(start, start + plan.free_start)
            pinned += range(start + plan.free_end, start + len(plan.ids))
            self._pinned_slices.append(slice(before, len(pinned)))
            start += len(plan.ids)

        def tensor(values: list[int]) -> Tensor:
            return torch.tensor(values, dtype=torch.long, device=self._device)

        self._free, self._pinned = tensor(free), tensor(pinned)
        self._lane_index = tensor(lane_index)
        self._typed_rows = tensor([row for row, _ in typed])
        self._typed_ids = tensor([token for _, token in typed])

    def _limits_of(self, plan: CanvasPlan, first: int, last: int) -> list[tuple[int, Tensor]]:
        """Tokens that the healed positions of a lane must not hold."""
        left = right = None
        if plan.left_token is not None:
            left = self._codec.starting_with(self._codec.token_bytes(plan.left_token))
        if plan.right_token is not None:
            right = self._codec.ending_with(self._codec.token_bytes(plan.right_token))
        if first == last and left is not None and right is not None:
            # One token has to hold both typed pieces side by side.
            least = sum(
                len(self._codec.token_bytes(token or 0))
                for token in (plan.left_token, plan.right_token)
            )
            both = set(left) & set(right)
            left = [i for i in both if len(self._codec.token_bytes(i)) >= least]
            right = None
        limits = []
        for row, allowed in ((first, left), (last, right)):
            if allowed is None:
                continue
            if not allowed:
                raise ValueError("no token holds the text on both sides of the cursor")
            disallowed = torch.ones(self._denoiser.vocab_size, dtype=torch.bool)
            disallowed[allowed] = False
            limits.append((row, disallowed.to(self._device)))
        return limits
