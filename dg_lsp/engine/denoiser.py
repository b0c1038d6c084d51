"""The interface of a network: it reads the known text once, then denoises canvases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class OutOfMemoryError(RuntimeError):
    """A call needed more memory than there is; the denoiser remains usable."""


@dataclass(frozen=True, slots=True, eq=False)
class Canvases:
    """Canvases that go through the decoder in one forward pass, concatenated."""

    lengths: tuple[int, ...]
    free: Tensor
    """(free,) rows that are sampled, ascending."""
    pinned: Tensor
    """(pinned,) other rows, those whose fit is computed, ascending."""
    disallowed: Tensor
    """(constraints, vocab) boolean, true where a token is disallowed."""
    constraint: Tensor
    """(free,) which row of `disallowed` applies to a free row."""
    is_scored: bool = False
    """Whether they hold texts that are being scored, instead of being denoised."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The result of one denoising step, on the device; float32 unless stated otherwise.

    The "limited" distribution is at the step's temperature and within the constraints; a
    "fit" is the log-probability at temperature 1 and without constraints.
    """

    sampled: Tensor
    """(free,) a token drawn from the limited distribution, int64."""
    argmax: Tensor
    """(free,) the most probable token, int64."""
    log_probability: Tensor
    """(free,) limited log-probability of the best token."""
    entropy: Tensor
    """(free,) entropy of the limited distribution, in nats."""
    free_fit: Tensor
    """(free,) fit of the best token."""
    pinned_fit: Tensor
    """(pinned,) fit of the pinned token."""
    conditioning: Tensor | None
    """(rows, hidden) self-conditioning of the next step: for a free row, the mean embedding of
    the limited distribution; for a pinned row, exactly the embedding of its token. In the
    model's own dtype; `None` for a model without self-conditioning."""
    margin: Tensor | None = None
    """(free,) limited probability of the best token minus that of the second-best; `None` if
    the model does not report it."""


@dataclass(frozen=True, slots=True, eq=False)
class StepRequest:
    """What `Denoiser.denoise` is given, as a value."""

    encoded: Any
    canvases: Canvases
    canvas: Tensor
    conditioning: Tensor | None
    temperature: float
    share: Tensor

    @property
    def rows(self) -> int:
        return sum(self.canvases.lengths)

    @property
    def given(self) -> tuple[Any, Canvases, Tensor, Tensor | None, float, Tensor]:
        """The arguments of `Denoiser.denoise`."""
        return (
            self.encoded,
            self.canvases,
            self.canvas,
            self.conditioning,
            self.temperature,
            self.share,
        )

    def on(self, denoiser: Denoiser) -> Prediction:
        """The answer, for this request alone."""
        return denoiser.denoise(*self.given)


class Denoiser(Protocol):
    """One model. Called from one thread only; may raise `OutOfMemoryError`."""

    vocab_size: int
    canvas_length: int
    """Longest canvas the model was trained on."""
    device: torch.device

    def encode(self, ids: Sequence[int], document: str = "", after: Sequence[int] = ()) -> Any:
        """Read the text before a canvas, and after it if the family reads both sides.

        The result is opaque, and other calls never change it. The beginning that this prompt
        shares with the newest prompt of `document` need not be read again.
        """
        ...

    def denoise(
        self,
        encoded: Any,
        canvases: Canvases,
        canvas: Tensor,
        conditioning: Tensor | None,
        temperature: float,
        share: Tensor,
    ) -> Prediction:
        """Predict every canvas position; each canvas sees only the prompt and itself.

        `canvas` (rows,) token ids; `conditioning` (rows, hidden) from the previous step;
        `share` (free,) uniform in [0, 1), which decides the sample. Does not wait for the
        device.
        """
        ...

    def logits(
        self,
        encoded: Any,
        canvas: Tensor,
        lengths: Sequence[int],
        conditioning: Tensor | None,
    ) -> Tensor:
        """All soft-capped logits (rows, vocab), float32; only for evaluation, being large."""
        ...

    def shrink(self) -> int:
        """Free all caches; returns the number of bytes freed."""
        ...


@runtime_checkable
class SharingDenoiser(Denoiser, Protocol):
    """A network that denoises canvases of several prompts in one forward pass."""

    @property
    def prompts_together(self) -> int:
        """For how many prompts at a time there is memory."""
        ...

    def denoise_together(self, requests: Sequence[StepRequest]) -> list[Prediction]:
        """The answer to each request, the same as alone up to rounding."""
        ...


class CausalDenoiser(Denoiser, Protocol):
    """A network whose encoder reads causally, so that it is also a language model."""

    def score(self, encoded: Any, continuations: Sequence[Sequence[int]]) -> list[Tensor]:
        """Causal log-probability of each token of each continuation of the prompt.

        Returns one float32 tensor (tokens,) per continuation.
        """
        ...
