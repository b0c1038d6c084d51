"""The network as the engine sees it: known text is read once, then canvases are denoised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class OutOfMemoryError(RuntimeError):
    """A call needed more memory than there is; the denoiser is as usable as before it."""


@dataclass(frozen=True, slots=True, eq=False)
class Canvases:
    """Canvases that go through the decoder in one forward, one after the other."""

    lengths: tuple[int, ...]
    free: Tensor
    """(free,) rows that are sampled, ascending."""
    pinned: Tensor
    """(pinned,) all other rows, ascending."""
    disallowed: Tensor
    """(constraints, vocab) boolean, tokens that a free row may not hold."""
    constraint: Tensor
    """(free,) which row of `disallowed` holds for a free row."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What one denoising step found, all on the device; float32 unless said otherwise.

    "Limited" is at the step's temperature and within the constraints; a fit is the
    log-probability at temperature 1 and without constraints.
    """

    sampled: Tensor
    """(free,) a token drawn from the limited distribution, int64."""
    argmax: Tensor
    """(free,) its best token, int64."""
    log_probability: Tensor
    """(free,) limited log-probability of the best token."""
    entropy: Tensor
    """(free,) of the limited distribution, in nats."""
    free_fit: Tensor
    """(free,) fit of the best token."""
    pinned_fit: Tensor
    """(pinned,) fit of the pinned token."""
    conditioning: Tensor | None
    """(rows, hidden) what the next step is told of this one: the mean embedding of the
    limited distribution where a row is free, exactly the embedding of its token where it is
    pinned. In the model's own dtype; `None` for a model without self-conditioning."""


class Denoiser(Protocol):
    """One model. Called from one thread only; may raise `OutOfMemoryError`."""

    vocab_size: int
    canvas_length: int
    """Longest canvas the model was trained on."""
    device: torch.device

    def encode(self, ids: Sequence[int], document: str = "", after: Sequence[int] = ()) -> Any:
        """Read what stands before a canvas, and after it where the family reads both sides.

        The result is opaque and never changed by the other calls. What the newest prompt of
        `document` has in common with this one need not be read again.
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
        """Predict every canvas position, each canvas seeing the prompt and itself only.

        `canvas` (rows,) token ids; `conditioning` (rows, hidden) of the step before; `share`
        (free,) uniform in [0, 1), which decides what is drawn. Does not wait for the device.
        """
        ...

    def logits(
        self,
        encoded: Any,
        canvas: Tensor,
        lengths: Sequence[int],
        conditioning: Tensor | None,
    ) -> Tensor:
        """All soft-capped logits (rows, vocab), float32: for evaluation, as they are large."""
        ...

    def shrink(self) -> int:
        """Give up all that is kept to be faster; returns how many bytes that were."""
        ...


class CausalDenoiser(Denoiser, Protocol):
    """A network whose encoder reads causally, and so is a language model as well."""

    def score(self, encoded: Any, continuations: Sequence[Sequence[int]]) -> list[Tensor]:
        """Log-probability of each token of each continuation of the prompt, read causally.

        Returns one float32 tensor (tokens,) per continuation.
        """
        ...
