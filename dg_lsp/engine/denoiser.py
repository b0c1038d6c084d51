"""The network as the engine sees it: an encoder that fills a cache, a decoder that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Denoiser(Protocol):
    """One model. Called from one thread only."""

    vocab_size: int
    canvas_length: int
    """Longest canvas the model was trained on."""
    device: torch.device

    def encode(self, ids: Sequence[int]) -> Any:
        """Read a prompt causally. The result is opaque and never changed by the other calls."""
        ...

    def denoise(
        self,
        encoded: Any,
        canvas: Tensor,
        lengths: Sequence[int],
        conditioning: Tensor | None,
    ) -> Tensor:
        """Predict every canvas position, each canvas seeing the prompt and itself only.

        `canvas` (rows,) holds canvases of `lengths` one after the other; `conditioning`
        (rows, vocab) is the temperature-scaled logits of the step before.
        Returns soft-capped logits (rows, vocab), float32.
        """
        ...

    def score(self, encoded: Any, continuations: Sequence[Sequence[int]]) -> list[Tensor]:
        """Log-probability of each token of each continuation of the prompt, read causally.

        Returns one float32 tensor (tokens,) per continuation.
        """
        ...
