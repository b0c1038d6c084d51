"""Masked corruption: noise is the mask token, and what a step decides stays.

Every order but p2 decides the surest masked position of a canvas, and all others that are sure
enough. p2 decides all, keeps the surest share, and masks the rest again, so that it may revise.
Healed positions are decided from the outside to the cursor, because what one accepts follows
from the token before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dg_lsp.config import MaskedSettings, Order
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Prediction
from dg_lsp.engine.lanes import Lane, Rows, StepView
from dg_lsp.engine.masked.rules import NEW, MaskTokens, remasked, resized
from dg_lsp.engine.prompt import CanvasPlan

TYPICAL_WIDTH, WIDEST = 3, 12
"""Characters that a placeholder takes: for a position without a guess, and at most."""


@dataclass(slots=True)
class Position:
    """What is known of one free position of a canvas."""

    log_probability: float = 0.0
    """Of its token, when it was decided; 0 for one that the canvas started with."""
    is_start: bool = False
    """Whether the canvas started with its token."""
    is_healed: bool = False


@dataclass(slots=True)
class CanvasState:
    """The memory of a lane."""

    positions: list[Position]
    ids: list[int]
    longest: int
    budget: int
    """Expands that may still be carried out."""
    lengths: list[int]
    """Free positions of each segment."""
    before: set[tuple[int, ...]] = field(default_factory=set)
    """What the canvas was at first, and after each change of its length."""
    steps: int = 0


class MaskedCorruption:
    """Implements `engine.family.Corruption` for one run."""

    def __init__(
        self,
        settings: MaskedSettings,
        tokens: MaskTokens,
        codec: Codec,
        canvas_length: int,
        device: torch.device,
        seed: int,
    ) -> None:
        self._settings, self._tokens, self._codec = settings, tokens, codec
        self._canvas_length, self._device = canvas_length, device
        self._generator = torch.Generator(device).manual_seed(seed)
        self.max_steps = settings.max_steps

    def memory(self, plan: CanvasPlan) -> CanvasState:
        count = plan.free_length
        positions = [
            Position(
                is_start=token >= 0,
                is_healed=not len(one.left_tokens) <= at < one.length - len(one.right_tokens),
            )
            for one in plan.segments
            for at, token in enumerate(plan.ids[one.start : one.end])
        ]
        ids = [self._tokens.mask if token < 0 else token for token in plan.free_ids]
        # A selection that is longer than the window may still grow a little.
        window = max(self._settings.window, count + count // 2)
        longest = min(window, self._canvas_length - (len(plan.ids) - count))
        lengths = [one.length for one in plan.segments]
        budget = self._settings.expand_budget
        return CanvasState(positions, ids, longest, budget, lengths, before={tuple(ids)})

    def control_tokens(self, lane: Lane) -> frozenset[int]:
        state: CanvasState = lane.memory
        may_grow = state.budget > 0 and len(state.ids) < state.longest
        return frozenset(
            one for one in self._tokens.changing if may_grow or one != self._tokens.expand
        )

    def noise(self, rows: Rows) -> Tensor:
        return torch.full_like(rows.lane_index, self._tokens.mask)

    def temperature(self, step_idx: int) -> float:
        return self._settings.temperature

    def share(self, rows: Rows) -> Tensor:
        drawn = torch.rand(rows.draws, generator=self._generator, device=self._device)
        return drawn[rows.drawn]

    def commit(self, canvas: Tensor, predicted: Prediction, rows: Rows) -> Tensor:
        """Decide masked positions; the others keep their tokens."""
        open_now = _open_now(canvas == self._tokens.mask, rows.healed_sides)
        if self._settings.order is Order.P2:
            return torch.where(open_now, predicted.sampled, canvas)
        sureness = self._sureness(predicted).masked_fill(~open_now, -math.inf)
        taken = torch.zeros_like(open_now)
        for free in rows.free_slices:
            place = torch.arange(free.stop - free.start, device=canvas.device)
            taken[free] = place == sureness[free].argmax()
        least = self._settings.sure_probability
        if least < 1:
            taken |= predicted.free_fit >= math.log(max(least, 1e-9))
        return torch.where(taken & open_now, predicted.sampled, canvas)

    def observe(self, lane: Lane, view: StepView) -> Sequence[Sequence[int]] | None:
        state: CanvasState = lane.memory
        state.steps += 1
        before, ids = state.ids, view.canvas.tolist()
        mask = self._tokens.mask
        log_probability = view.log_probability.tolist()
        for at, position in enumerate(state.positions):
            if before[at] == mask and ids[at] != mask:
                position.log_probability = log_probability[at]
        if self._settings.order is Order.P2:
            ids = self._revised(state, ids, view)
        segments, origins = self._resized(state, ids)
        guesses = view.argmax.tolist()
        widths = [TYPICAL_WIDTH if at == NEW else self._width(guesses[at]) for at in origins]
        state.positions = [Position() if at == NEW else state.positions[at] for at in origins]
        state.ids = [token for segment in segments for token in segment]
        state.lengths = [len(segment) for segment in segments]
        if NEW in origins or len(state.ids) != len(ids):
            # The same canvas again: a model that undoes its expands would do so until nothing
            # is left of the budget.
            if (now := tuple(state.ids)) in state.before:
                state.budget = 0
            state.before.add(now)
        lane.shown = torch.tensor(state.ids, dtype=torch.long)
        lane.log_probability = torch.tensor([one.log_probability for one in state.positions])
        lane.masked = {
            at: width
            for at, (token, width) in enumerate(zip(state.ids, widths, strict=True))
            if token == mask
        }
        lane.settled = not lane.masked
        return segments if state.ids != view.canvas.tolist() else None

    def _resized(
        self, state: CanvasState, ids: Sequence[int]
    ) -> tuple[list[list[int]], list[int]]:
        """The ids of each segment after its deletes and expands, and the origins of all."""
        segments, origins, first = [], [], 0
        room = state.longest - len(ids)
        for length in state.lengths:
            part = state.positions[first : first + length]
            change = resized(
                ids[first : first + length],
                self._tokens,
                longest=length + room,
                budget=state.budget,
                fixed={at for at, one in enumerate(part) if one.is_start or one.is_healed},
            )
            state.budget -= change.expanded
            kept, came_from = (
                change.ids,
                [at if at == NEW else first + at for at in change.origins],
            )
            if not kept:
                # A segment keeps one position; a delete writes no text.
                assert self._tokens.delete is not None
                kept, came_from = [self._tokens.delete], [first]
            room -= len(kept) - length
            segments.append(kept)
            origins += came_from
            first += length
        return segments, origins

    def _revised(self, state: CanvasState, ids: list[int], view: StepView) -> list[int]:
        """The ids with all but the surest masked again."""
        may_revise = self._settings.is_start_revisable
        fixed = {
            at
            for at, one in enumerate(state.positions)
            if one.is_healed or (one.is_start and not may_revise)
        }
        seen = zip(ids, view.argmax.tolist(), view.log_probability.tolist(), strict=True)
        # What the model would now replace is at most as sure as the rest of the distribution.
        sureness = [
            best if token == argmax else math.log(max(1 - math.exp(best), 1e-12))
            for token, argmax, best in seen
        ]
        share = min(1.0, state.steps / self._settings.p2_steps)
        count = math.ceil(share * (len(ids) - len(fixed)))
        revised = remasked(ids, sureness, self._tokens, count, fixed)
        for token, position in zip(revised, state.positions, strict=True):
            position.is_start &= token != self._tokens.mask
        return revised

    def _sureness(self, predicted: Prediction) -> Tensor:
        if self._settings.order is Order.ENTROPY:
            return -predicted.entropy
        if self._settings.order is Order.PROBABILITY:
            return predicted.log_probability
        if predicted.margin is None:
            raise ValueError(
                "order is 'margin', but the model reports no margins; use 'entropy'"
            )
        return predicted.margin

    def _width(self, guess: int) -> int:
        """How wide the placeholder of a position is, by its most probable token."""
        if guess == self._tokens.delete:
            return 0
        if guess == self._tokens.expand:
            return 2 * TYPICAL_WIDTH
        text = self._codec.token_bytes(guess).decode(errors="replace")
        return min(max(1, len(text.rstrip("\n"))), WIDEST)


def _open_now(masked: Tensor, healed_sides: Sequence[range]) -> Tensor:
    """(free,) the masked positions that a step may decide.

    Of the healed positions of each side, only the outermost one that is still masked.
    """
    open_now = masked.clone()
    for side in healed_sides:
        if not side:
            continue
        rows = slice(min(side), max(side) + 1)
        inward = masked[rows].long()
        if side.step < 0:
            inward = inward.flip(0)
        outermost = inward.cumsum(0) * inward == 1
        open_now[rows] = outermost if side.step > 0 else outermost.flip(0)
    return open_now
