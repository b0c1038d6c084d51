"""The four interfaces for everything that differs between model families.

The engine runs jobs, blocks, lanes and drafts in the same way for every model. The family
decides how a prompt is laid out, what noise is and what a step commits, which lengths are
tried, and how finished texts are compared. A `Family` bundles one implementation of each;
`gemma.py` builds DiffusionGemma's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dg_lsp.engine.prompt import CanvasPlan, Prompt
from dg_lsp.job import Candidate, InfillJob, MaskedPlace

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
    """Whether it ends where the suffix begins; an open canvas may run out before that."""
    seed: int | None = None
    """Number of the job's seed that it started as, whether or not it was changed."""
    prior_nats: float = 0.0
    """What speaks for it besides its likelihood."""
    confidence: float | None = None
    """How sure one may be of it, where that is known without its likelihood."""
    is_decided: bool = True
    """Whether all its tokens are decided; if not, it can only be a draft."""
    masked: tuple[MaskedPlace, ...] = ()
    """Where tokens of its text are missing."""
    segments: tuple[str, ...] = ()
    """Its free segments, if the job has pinned texts."""


class PromptLayout(Protocol):
    """Turns a job into token ids around the canvas."""

    def build(self, job: InfillJob, canvas_length: int) -> Prompt:
        """Lay out a job; text beyond the budgets is left out, farthest first.

        `canvas_length` is the model's longest canvas; at least half of it is for the span.
        """
        ...


class Corruption(Protocol):
    """What noise is, what a step commits, and when a canvas has settled; one per run."""

    max_steps: int

    def memory(self, plan: CanvasPlan) -> Any:
        """The initial `Lane.memory`, which keeps data of a lane between steps."""
        ...

    def control_tokens(self, lane: Lane) -> frozenset[int]:
        """Control tokens that a lane accepts at its next step nevertheless, such as one that
        means "nothing here"."""
        ...

    def noise(self, rows: Rows) -> Tensor:
        """Initial ids (free,) of positions about which nothing is known."""
        ...

    def temperature(self, step_idx: int) -> float:
        """Temperature of a step; `step_idx` counts upward from 0."""
        ...

    def share(self, rows: Rows) -> Tensor:
        """Numbers (free,), uniform in [0, 1), that decide this step's sample."""
        ...

    def commit(self, canvas: Tensor, predicted: Prediction, rows: Rows) -> Tensor:
        """Ids (free,) that the next step starts from; `canvas` (free,) are this step's ids."""
        ...

    def observe(self, lane: Lane, view: StepView) -> Sequence[Sequence[int]] | None:
        """Record in the lane what it shows now and whether it has settled.

        If free positions change otherwise than `commit` said, possibly in number, returns the
        new ids of each segment.
        """
        ...


class Corrupt(Protocol):
    """Creates the corruption of one run."""

    def __call__(self, seed: int) -> Corruption: ...


class LengthStrategy(Protocol):
    """Which canvases are tried for a span of unknown length, and which of them continue."""

    def lengths(self, shortest: int, longest: int) -> list[int]:
        """Free lengths of the canvases of an infill, ascending."""
        ...

    def near(self, length: int) -> LengthStrategy:
        """The strategy for a span that probably has about `length` tokens."""
        ...

    def lengths_around(self, length: int, shortest: int, longest: int) -> list[int]:
        """Free lengths of the canvases of a rewrite of `length` tokens, ascending."""
        ...

    def fittest(self, lanes: Sequence[Lane]) -> list[Lane]:
        """The lanes, best first."""
        ...

    def segment_fitness(self, free_fit: float, pinned_fit: float) -> float:
        """How well its length suits a segment with these fits, of which see `Lane`."""
        ...

    def ran_out(self, best: Lane, longest: int) -> bool:
        """Whether the span may be longer than the longest canvas tried."""
        ...

    def survivors(self, lanes: Sequence[Lane], step_idx: int, wanted: int) -> list[Lane]:
        """The lanes that continue after `step_idx` steps, at least `wanted` of them."""
        ...

    def may_drop(self, step_idx: int) -> bool:
        """Whether lanes may be dropped after more than `step_idx` steps."""
        ...


class Ranker(Protocol):
    """Compares finished texts of different lengths and gives each one a confidence."""

    def rank(
        self,
        found: Sequence[FoundText],
        prompt: Prompt,
        encoded: Any,
        known: dict[str, Any],
        *,
        is_rewrite: bool,
    ) -> list[Candidate]:
        """The distinct texts as candidates, best first.

        `known` is empty at the first call for a prompt; the ranker may keep there, by text,
        what it need not compute again.
        """
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """How one model fills a span: the strategies of its family, bound to the model."""

    layout: PromptLayout
    corrupt: Corrupt
    lengths: LengthStrategy
    ranker: Ranker
    seed_strength: float = 0.0
    """The share of a seed's tokens that starts as noise; 0 if the model may revise them all."""
