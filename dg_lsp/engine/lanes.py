"""Canvases that are denoised together, and the index of their positions among all rows.

Lanes go through the decoder in one forward pass. `Rows` says of each position whether it is
free or pinned, which lane it belongs to, and which tokens it accepts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Canvases
from dg_lsp.engine.healing import Healed, Limit, allowed, heal
from dg_lsp.engine.prompt import CanvasPlan


@dataclass(slots=True)
class Lane:
    """One canvas that is being denoised. Tensors cover its free positions, on the host."""

    plan: CanvasPlan
    memory: Any
    """The corruption's data for this lane."""
    shown: Tensor
    """(free,) the token that a draft shows at each free position; before the first step, what
    the canvas starts as, -1 for noise."""
    log_probability: Tensor
    """(free,) its log-probability at the step's temperature, float32."""
    free_fit: float = 0.0
    """Mean log-probability of the best tokens, at temperature 1 and without constraints, so
    that it shows whether the token of a healed position belongs there."""
    pinned_fit: float = 0.0
    """The same for the pinned tokens, at the last step that computed it."""
    segment_fits: tuple[tuple[float, float], ...] = ()
    """Both fits of each segment and of the pinned tokens right after it, if there are several
    segments."""
    settled: bool = False
    steps: int = 0
    control_tokens: frozenset[int] = frozenset()
    """Control tokens that its free positions accept at the next step."""
    masked: dict[int, int] = field(default_factory=dict)
    """For each free position that is not decided, how many characters it probably takes."""


@dataclass(frozen=True, slots=True)
class StepView:
    """The result of one step at the free positions of one lane, on the host; all (free,)."""

    canvas: Tensor
    """The ids that the next step starts from, int64."""
    argmax: Tensor
    """The best tokens, int64."""
    log_probability: Tensor
    """Their log-probabilities at the step's temperature."""
    entropy: Tensor
    """Entropy of the limited distribution, in nats."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The index of the positions of lanes that have not settled; tensors are int64, on the
    device."""

    lanes: tuple[Lane, ...]
    canvases: Canvases
    lane_index: Tensor
    """(free,) number of the lane that each free row belongs to."""
    draws: int
    """How many random numbers are drawn at a time: one for each free position of all lanes,
    so that what a lane becomes does not depend on when others settle."""
    drawn: Tensor
    """(free,) which of them a row takes."""
    typed_rows: Tensor
    """(healed,) indices into the free rows."""
    typed_ids: Tensor
    """(healed,) the token that the user typed there."""
    limits: tuple[tuple[Limit, ...], ...]
    """The limits of the healed positions of each lane."""
    healed_sides: tuple[range, ...]
    """Adjacent healed free rows, each from the outermost to the cursor."""
    control_tokens: tuple[frozenset[int], ...]
    """The control tokens that each lane accepts."""
    free_slices: tuple[slice, ...]
    """The free rows of each lane."""
    pinned_slices: tuple[slice, ...]


def arrange(
    lanes: Sequence[Lane],
    constraints: Constraints,
    device: torch.device,
    fits_pinned: bool = True,
) -> Rows:
    """Index the rows of lanes, of which one or more have not settled.

    What healed positions accept follows from what is shown. Without `fits_pinned`, the fit of
    pinned rows is not computed.
    """
    free: list[int] = []
    pinned: list[int] = []
    lane_index: list[int] = []
    typed: list[tuple[int, int]] = []
    free_slices: list[slice] = []
    pinned_slices: list[slice] = []
    constraint: list[int] = []
    limits: list[tuple[Limit, ...]] = []
    sides: list[range] = []
    start = draws = 0
    drawn: list[int] = []
    running = tuple(lane for lane in lanes if not lane.settled)
    for lane in lanes:
        if not lane.settled:
            drawn += range(draws, draws + lane.plan.free_length)
        draws += lane.plan.free_length
    for number, lane in enumerate(running):
        plan = lane.plan
        first = len(free)
        constraint += [constraints.unhealed(lane)] * plan.free_length
        healed = constraints.healed(lane)
        for one in healed:
            typed.append((first + one.position, one.typed))
            constraint[first + one.position] = constraints.number(one.limit)
        limits.append(tuple(one.limit for one in healed))
        sides += _healed_sides(plan, healed, first)
        is_free = [False] * len(plan.ids)
        for segment in plan.segments:
            is_free[segment.start : segment.end] = [True] * segment.length
        free += (start + at for at, one in enumerate(is_free) if one)
        lane_index += [number] * plan.free_length
        free_slices.append(slice(first, len(free)))
        before = len(pinned)
        if fits_pinned:
            pinned += (start + at for at, one in enumerate(is_free) if not one)
        pinned_slices.append(slice(before, len(pinned)))
        start += len(plan.ids)

    def tensor(values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=device)

    return Rows(
        lanes=running,
        canvases=Canvases(
            lengths=tuple(len(lane.plan.ids) for lane in running),
            free=tensor(free),
            pinned=tensor(pinned),
            disallowed=constraints.table(device),
            constraint=tensor(constraint),
        ),
        lane_index=tensor(lane_index),
        draws=draws,
        drawn=tensor(drawn),
        typed_rows=tensor([row for row, _ in typed]),
        typed_ids=tensor([token for _, token in typed]),
        limits=tuple(limits),
        healed_sides=tuple(sides),
        control_tokens=tuple(lane.control_tokens for lane in running),
        free_slices=tuple(free_slices),
        pinned_slices=tuple(pinned_slices),
    )


def _healed_sides(plan: CanvasPlan, healed: Sequence[Healed], first: int) -> Iterator[range]:
    """The sides of all segments; `first` is the row of the first free position."""
    offset = first
    for segment in plan.segments:
        end = first + segment.length
        limits = [one.limit for one in healed if first <= one.position + offset < end]
        on_left = sum(bool(limit.start) for limit in limits)
        yield range(first, first + on_left)
        yield range(end - 1, end - 1 - (len(limits) - on_left), -1)
        first = end


class Constraints:
    """Which tokens are disallowed at the free positions of some canvases.

    Constraint 0 disallows all control tokens and nothing else. The lanes of one job are healed
    in the same way and share their constraints.
    """

    def __init__(self, codec: Codec, vocab_size: int) -> None:
        self._codec = codec
        disallowed = torch.zeros(vocab_size, dtype=torch.bool)
        disallowed[torch.tensor(codec.control.disallowed, dtype=torch.long)] = True
        disallowed[codec.vocab_size :] = True
        self._rows = [disallowed]
        self._numbers: dict[Limit | frozenset[int], int] = {frozenset(): 0}
        self._table: Tensor | None = None

    def healed(self, lane: Lane) -> list[Healed]:
        """The healed positions of a lane, by the tokens that it shows."""
        return heal(lane.plan, self._codec, lane.shown.tolist())

    def unhealed(self, lane: Lane) -> int:
        """The constraint of the positions of a lane that are not healed."""
        control = lane.control_tokens
        if control not in self._numbers:
            row = self._rows[0].clone()
            row[torch.tensor(sorted(control), dtype=torch.long)] = False
            self._numbers[control] = len(self._rows)
            self._rows.append(row)
        return self._numbers[control]

    def number(self, limit: Limit) -> int:
        """The constraint of a limit. Raises `ValueError` if it accepts no token."""
        if limit not in self._numbers:
            self._numbers[limit] = len(self._rows)
            self._rows.append(self._row(limit))
        return self._numbers[limit]

    def table(self, device: torch.device) -> Tensor:
        """(constraints, vocab) boolean, true where a token is disallowed."""
        if self._table is None or len(self._table) != len(self._rows):
            self._table = torch.stack(self._rows).to(device)
        return self._table

    def _row(self, limit: Limit) -> Tensor:
        ids = torch.as_tensor(allowed(self._codec, limit), dtype=torch.long)
        if not len(ids) and limit.typed is None:
            raise ValueError("no token matches the text on both sides of the cursor")
        row = torch.ones_like(self._rows[0])
        row[ids] = False
        if limit.typed is not None:
            row[limit.typed] = False
        return row
