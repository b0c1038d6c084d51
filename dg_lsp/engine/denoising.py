"""The denoising loop over anchored canvases.

The steps carry the numbers of transformers' `DiffusionGemmaGenerationMixin.generate`:

    1.a  the encoder reads all that is known before the canvas (done by the caller)
    1.b  canvases are prepared: pinned positions hold the document, free ones noise
    1.c  for each denoising step:
         i    the decoder predicts all positions from the canvases, the cache and the
              self-conditioning of the step before
         ii   tokens are selected: limits, temperature, a sample and an argmax per position
         iii  the sampler accepts and renoises; pinned positions are never written
         iv   the stopping criterion looks at the free positions
         v    what was predicted becomes self-conditioning, as soft embeddings
    1.d-f     the caller commits a settled canvas and goes on with the next block

What differs from the reference: only free positions are sampled, accepted, counted and
renoised; a pinned position is exactly its token, in the canvas and in self-conditioning; a
healed position may only hold tokens that agree with the characters typed there, and its noise
is the typed token. With nothing pinned, healed or barred and the same random numbers, the
canvases are the reference's, token for token (a test holds this).

Several canvases ("lanes") go through the decoder in one forward, each blind to the others.
A step waits for the device once, for what stopping and drafts look at.
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
from dg_lsp.engine.denoiser import Canvases, Denoiser, Prediction
from dg_lsp.engine.prompt import CanvasPlan
from dg_lsp.engine.stopping import Stopping


@dataclass(slots=True)
class Lane:
    """One canvas under way. Tensors are over its free positions, on the host."""

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
        self._noise_ids = torch.nonzero(~barred).squeeze(-1).to(self._device)
        self._rules = _Rules(codec, barred)
        self.step_idx = 0
        self.lanes: list[Lane] = []
        for plan in plans:
            if plan.free_length < 1:
                raise ValueError("a canvas needs at least one free position")
            empty = torch.zeros(plan.free_length)
            self.lanes.append(Lane(plan, Stopping(settings), empty.long() - 1, empty))
            self._rules.of(plan)
        self._barred = self._rules.table().to(self._device)
        self._arrange()
        start = torch.tensor([i for plan in plans for i in plan.ids], device=self._device)
        self._canvas = torch.where(start < 0, 0, start)
        noise = self._noise()
        free_start = start[self._canvases.free]
        self._canvas[self._canvases.free] = torch.where(free_start < 0, noise, free_start)
        self._conditioning: Tensor | None = None

    @property
    def done(self) -> bool:
        """Whether every lane is settled or the steps are used up."""
        used_up = self.step_idx >= self._settings.max_denoising_steps
        return used_up or all(lane.settled for lane in self.lanes)

    def step(self) -> None:
        """One denoising step (1.c) of all lanes; settled lanes stay as they are."""
        free = self._canvases.free
        # i., ii. and v.
        predicted = self._denoiser.denoise(
            self._encoded,
            self._canvases,
            self._canvas,
            self._conditioning,
            sampler.temperature(self._settings, self.step_idx),
            torch.rand(len(free), generator=self._generator, device=self._device),
        )
        # iii.
        accepted = sampler.accept(
            predicted.entropy, self._lane_index, self._settings.entropy_bound
        )
        self._canvas[free] = torch.where(accepted, predicted.sampled, self._noise())
        # iv.
        self._conditioning = predicted.conditioning
        self.step_idx += 1
        self._look(predicted)

    def _look(self, predicted: Prediction) -> None:
        """Let every lane see its own part, in one transfer from the device."""
        # Ids of a vocabulary are exact in float32 up to 2 ** 24.
        parts = (
            predicted.argmax.float(),
            predicted.log_probability,
            predicted.entropy,
            predicted.free_fit,
            predicted.pinned_fit,
        )
        sizes = [len(part) for part in parts]
        argmax, log_probability, entropy, free_fit, pinned_fit = (
            torch.cat(parts).cpu().split(sizes)
        )
        argmax = argmax.long()
        for lane, free, own_pinned in zip(
            self.lanes, self._free_slices, self._pinned_slices, strict=True
        ):
            if lane.settled:
                continue
            lane.argmax, lane.log_probability = argmax[free], log_probability[free]
            lane.steps = self.step_idx
            lane.free_fit = float(free_fit[free].mean())
            if own_pinned.stop > own_pinned.start:
                lane.pinned_fit = float(pinned_fit[own_pinned].mean())
            lane.settled = lane.stopping.settled(lane.argmax, entropy[free])

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
        size = (len(self._canvases.free),)
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
        rule: list[int] = []
        start = 0
        for number, lane in enumerate(self.lanes):
            plan = lane.plan
            first = len(free)
            last = first + plan.free_length - 1
            rule += self._rules.of(plan)
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

        self._canvases = Canvases(
            lengths=tuple(len(lane.plan.ids) for lane in self.lanes),
            free=tensor(free),
            pinned=tensor(pinned),
            barred=self._barred,
            rule=tensor(rule),
        )
        self._lane_index = tensor(lane_index)
        self._typed_rows = tensor([row for row, _ in typed])
        self._typed_ids = tensor([token for _, token in typed])


class _Rules:
    """Which tokens the free positions of some canvases may not hold.

    Lanes of one job are healed alike, so a rule is made once for all of them.
    """

    def __init__(self, codec: Codec, barred: Tensor) -> None:
        self._codec = codec
        self._rows = [barred]
        self._numbers: dict[tuple[int | None, int | None], int] = {}

    def of(self, plan: CanvasPlan) -> list[int]:
        """The rule of each free position of a canvas; rule 0 bars control tokens only."""
        rules = [0] * plan.free_length
        if plan.free_length == 1:
            rules[0] = self._number(plan.left_token, plan.right_token)
        else:
            rules[0] = self._number(plan.left_token, None)
            rules[-1] = self._number(None, plan.right_token)
        return rules

    def table(self) -> Tensor:
        """(rules, vocab) boolean, true where a token is barred."""
        return torch.stack(self._rows)

    def _number(self, left: int | None, right: int | None) -> int:
        if left is None and right is None:
            return 0
        if (left, right) not in self._numbers:
            allowed = self._allowed(left, right)
            if not allowed:
                raise ValueError("no token holds the text on both sides of the cursor")
            row = torch.ones_like(self._rows[0])
            row[allowed] = False
            self._numbers[left, right] = len(self._rows)
            self._rows.append(row | self._rows[0])
        return self._numbers[left, right]

    def _allowed(self, left: int | None, right: int | None) -> list[int]:
        codec = self._codec
        before = b"" if left is None else codec.token_bytes(left)
        after = b"" if right is None else codec.token_bytes(right)
        if right is None:
            return codec.starting_with(before)
        if left is None:
            return codec.ending_with(after)
        # One token has to hold both typed pieces side by side.
        both = set(codec.starting_with(before)) & set(codec.ending_with(after))
        return [i for i in both if len(codec.token_bytes(i)) >= len(before) + len(after)]
