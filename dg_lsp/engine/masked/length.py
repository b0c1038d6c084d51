"""Which lengths a masked model tries.

A model that can delete and expand positions starts with more masks than most spans need. Any
other one starts canvases of a few lengths; after the first step, those continue whose best
tokens are the most probable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dg_lsp.config import MaskedSettings
from dg_lsp.engine.lanes import Lane
from dg_lsp.engine.span_length import kept, may_drop


@dataclass(frozen=True, slots=True)
class MaskedLengths:
    """Implements `engine.family.LengthStrategy`."""

    settings: MaskedSettings
    can_delete: bool

    def lengths(self, shortest: int, longest: int) -> list[int]:
        tried = self.settings.start_masks if self.can_delete else self.settings.race_masks
        if self.can_delete:
            # A healed position cannot expand.
            shortest = min(shortest + 1, longest)
        return sorted({max(shortest, min(length, longest)) for length in tried})

    def near(self, length: int) -> MaskedLengths:
        return self

    def lengths_around(self, length: int, shortest: int, longest: int) -> list[int]:
        # The decided tokens of a selection stay, so that nothing may be cut off.
        longer = [] if self.can_delete else [math.ceil(1.25 * length)]
        least = max(shortest, length, 1)
        return sorted({least, *(max(least, min(one, longest)) for one in longer)})

    def fittest(self, lanes: Sequence[Lane]) -> list[Lane]:
        return sorted(lanes, key=lambda lane: (-self._fitness(lane), lane.plan.free_length))

    def segment_fitness(self, free_fit: float, pinned_fit: float) -> float:
        # A pinned token is seen while it is predicted, so that its fit says nothing.
        return free_fit

    def ran_out(self, best: Lane, longest: int) -> bool:
        return False

    def survivors(self, lanes: Sequence[Lane], step_idx: int, wanted: int) -> list[Lane]:
        return kept(self.fittest(lanes), self.settings.keep_after, step_idx, wanted)

    def may_drop(self, step_idx: int) -> bool:
        return may_drop(self.settings.keep_after, step_idx)

    def _fitness(self, lane: Lane) -> float:
        if self.can_delete:
            # The surer of two texts; how long a canvas is says nothing.
            return float(lane.log_probability.mean()) - len(lane.masked)
        return lane.free_fit
