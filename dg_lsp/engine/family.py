"""What differs between model families, behind four interfaces.

The engine runs jobs, blocks, lanes and drafts the same way for every model. How a prompt is
laid out, what noise is and what a step commits, which lengths are tried, and how finished texts
are compared belong to the family. A `Family` bundles one implementation of each; `gemma.py`
makes DiffusionGemma's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dg_lsp.engine.prompt import CanvasPlan, Prompt
from dg_lsp.job import Candidate, InfillJob

if TYPE_CHECKING:
    from torch import Tensor

    from dg_lsp.engine.denoiser import Prediction
    from dg_lsp.engine.lanes import Lane, Rows, StepView


@dataclass(frozen=True, slots=True)
class FoundText:
    """One text for the span."""

    text: str
    confidences: tuple[float, ...]
    """Probability of each character of `text`."""
    meets: bool = True
    """Whether it ends where the suffix begins; an open canvas may run out before."""


class PromptLayout(Protocol):
    """Turns a job into token ids around the canvas."""

    def build(self, job: InfillJob, canvas_length: int) -> Prompt:
        """Lay out a job; text beyond the budgets is left out, farthest first.

        `canvas_length` is the longest canvas of the model; at least half of it is the span's.
        """
        ...


class Corruption(Protocol):
    """What noise is, what a step commits, and when a canvas is settled; one for each run."""

    max_steps: int
    control_tokens: frozenset[int]
    """Control tokens that a free position may hold all the same, such as one that stands for
    "nothing here"."""

    def memory(self, plan: CanvasPlan) -> Any:
        """What is kept of a lane between steps, in `Lane.memory`."""
        ...

    def noise(self, rows: Rows) -> Tensor:
        """Ids (free,) that positions hold while nothing is known of them."""
        ...

    def temperature(self, step_idx: int) -> float:
        """Temperature of a step; `step_idx` counts upward from 0."""
        ...

    def share(self, rows: Rows) -> Tensor:
        """Numbers (free,), uniform in [0, 1), that decide what is drawn this step."""
        ...

    def commit(self, canvas: Tensor, predicted: Prediction, rows: Rows) -> Tensor:
        """Ids (free,) that the next step starts from; `canvas` (free,) is what this one had."""
        ...

    def observe(self, lane: Lane, view: StepView) -> Sequence[int] | None:
        """Note in the lane what it shows now and whether it is settled.

        Returns the ids that its free positions hold from now on where their number changes.
        """
        ...


class Corrupt(Protocol):
    """Makes the corruption of one run."""

    def __call__(self, seed: int) -> Corruption: ...


class LengthStrategy(Protocol):
    """Which canvases are tried for a span of unknown length, and which of them go on."""

    def lengths(self, shortest: int, longest: int) -> list[int]:
        """Free lengths of the canvases of an infill, ascending."""
        ...

    def lengths_around(self, length: int, shortest: int, longest: int) -> list[int]:
        """Free lengths of the canvases of a rewrite of `length` tokens, ascending."""
        ...

    def fittest(self, lanes: Sequence[Lane]) -> list[Lane]:
        """The lanes, the best first."""
        ...

    def ran_out(self, best: Lane, longest: int) -> bool:
        """Whether the span may be longer than the longest canvas that was tried."""
        ...

    def survivors(self, lanes: Sequence[Lane], step_idx: int, wanted: int) -> list[Lane]:
        """The lanes that go on after `step_idx` steps, at least `wanted` of them."""
        ...


class Ranker(Protocol):
    """Compares finished texts of different lengths and says how sure each one is."""

    def rank(
        self,
        found: Sequence[FoundText],
        prompt: Prompt,
        encoded: Any,
        *,
        is_rewrite: bool,
    ) -> list[Candidate]:
        """The distinct texts as candidates, the best first."""
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """How one model fills a span: the strategies of its kind, bound to it."""

    layout: PromptLayout
    corrupt: Corrupt
    lengths: LengthStrategy
    ranker: Ranker
