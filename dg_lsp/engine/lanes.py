"""Canvases that are denoised together, and the index of their positions among all rows.

Lanes go through the decoder in one forward pass. `Rows` says of each position whether it is
free or pinned, which lane it belongs to, and which tokens it accepts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Canvases
from dg_lsp.engine.prompt import CanvasPlan


@dataclass(slots=True)
class Lane:
    """One canvas that is being denoised. Tensors cover its free positions, on the host."""

    plan: CanvasPlan
    memory: Any
    """The corruption's data for this lane."""
    shown: Tensor
    """(free,) the token that a draft shows at each free position, -1 before the first step."""
    log_probability: Tensor
    """(free,) its log-probability at the step's temperature, float32."""
    free_fit: float = 0.0
    """Mean log-probability of the best tokens, at temperature 1 and without constraints, so
    that it shows whether the token of a healed position belongs there."""
    pinned_fit: float = 0.0
    """The same for the pinned tokens."""
    settled: bool = False
    steps: int = 0


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
    """The index of some lanes' positions; tensors are int64, on the device."""

    canvases: Canvases
    lane_index: Tensor
    """(free,) number of the lane that each free row belongs to."""
    typed_rows: Tensor
    """(healed,) indices into the free rows."""
    typed_ids: Tensor
    """(healed,) the token that the user typed there."""
    free_slices: tuple[slice, ...]
    """The free rows of each lane."""
    pinned_slices: tuple[slice, ...]


def arrange(lanes: Sequence[Lane], constraints: Constraints, device: torch.device) -> Rows:
    """Index the rows of all lanes."""
    free: list[int] = []
    pinned: list[int] = []
    lane_index: list[int] = []
    typed: list[tuple[int, int]] = []
    free_slices: list[slice] = []
    pinned_slices: list[slice] = []
    constraint: list[int] = []
    start = 0
    for number, lane in enumerate(lanes):
        plan = lane.plan
        first = len(free)
        last = first + plan.free_length - 1
        constraint += constraints.of(plan)
        if plan.left_token is not None:
            typed.append((first, plan.left_token))
        if plan.right_token is not None and last > first:
            typed.append((last, plan.right_token))
        free += range(start + plan.free_start, start + plan.free_end)
        lane_index += [number] * plan.free_length
        free_slices.append(slice(first, len(free)))
        before = len(pinned)
        pinned += range(start, start + plan.free_start)
        pinned += range(start + plan.free_end, start + len(plan.ids))
        pinned_slices.append(slice(before, len(pinned)))
        start += len(plan.ids)

    def tensor(values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=device)

    return Rows(
        canvases=Canvases(
            lengths=tuple(len(lane.plan.ids) for lane in lanes),
            free=tensor(free),
            pinned=tensor(pinned),
            disallowed=constraints.table(device),
            constraint=tensor(constraint),
        ),
        lane_index=tensor(lane_index),
        typed_rows=tensor([row for row, _ in typed]),
        typed_ids=tensor([token for _, token in typed]),
        free_slices=tuple(free_slices),
        pinned_slices=tuple(pinned_slices),
    )


class Constraints:
    """Which tokens are disallowed at the free positions of some canvases.

    The lanes of one job are healed in the same way and share their constraints.
    """

    def __init__(self, codec: Codec, vocab_size: int, allowed_control: frozenset[int]) -> None:
        self._codec = codec
        disallowed = torch.zeros(vocab_size, dtype=torch.bool)
        disallowed[[i for i in codec.control.disallowed if i not in allowed_control]] = True
        disallowed[codec.vocab_size :] = True
        self._rows = [disallowed]
        self._numbers: dict[tuple[int | None, int | None], int] = {}
        self._table: Tensor | None = None

    def of(self, plan: CanvasPlan) -> list[int]:
        """The constraint of each free position; constraint 0 disallows only control tokens."""
        constraints = [0] * plan.free_length
        if not constraints:
            return constraints
        if len(constraints) == 1:
            constraints[0] = self._number(plan.left_token, plan.right_token)
        else:
            constraints[0] = self._number(plan.left_token, None)
            constraints[-1] = self._number(None, plan.right_token)
        return constraints

    def table(self, device: torch.device) -> Tensor:
        """(constraints, vocab) boolean, true where a token is disallowed."""
        if self._table is None or len(self._table) != len(self._rows):
            self._table = torch.stack(self._rows).to(device)
        return self._table

    def _number(self, left: int | None, right: int | None) -> int:
        if left is None and right is None:
            return 0
        if (left, right) not in self._numbers:
            allowed = self._allowed(left, right)
            if not allowed:
                raise ValueError("no token matches the text on both sides of the cursor")
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
        # One token has to contain both typed pieces side by side.
        both = set(codec.starting_with(before)) & set(codec.ending_with(after))
        return [i for i in both if len(codec.token_bytes(i)) >= len(before) + len(after)]
