"""A denoiser that counts the work it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from dg_lsp.engine.denoiser import Canvases, CausalDenoiser, Prediction


class CountingDenoiser:
    """Forwards every call, counts rows, and can give all logits of the last step."""

    def __init__(self, inner: CausalDenoiser) -> None:
        self._inner = inner
        self.vocab_size, self.canvas_length = inner.vocab_size, inner.canvas_length
        self.device = inner.device
        self.rows, self.steps = 0, 0
        self._again: Callable[[], Tensor] = lambda: torch.empty(0)

    @property
    def last_logits(self) -> Tensor:
        """(rows, vocab) of the last step, which is run again for this."""
        return self._again()

    def encode(self, ids: Sequence[int], document: str = "", after: Sequence[int] = ()) -> Any:
        return self._inner.encode(ids, document, after)

    def score(self, encoded: Any, continuations: Sequence[Sequence[int]]) -> list[Tensor]:
        return self._inner.score(encoded, continuations)

    def logits(
        self,
        encoded: Any,
        canvas: Tensor,
        lengths: Sequence[int],
        conditioning: Tensor | None,
    ) -> Tensor:
        return self._inner.logits(encoded, canvas, lengths, conditioning)

    def shrink(self) -> int:
        return self._inner.shrink()

    def denoise(
        self,
        encoded: Any,
        canvases: Canvases,
        canvas: Tensor,
        conditioning: Tensor | None,
        temperature: float,
        share: Tensor,
    ) -> Prediction:
        self.rows += len(canvas)
        self.steps += 1
        # The canvas is written in place after the step.
        before = canvas.clone()
        self._again = lambda: self.logits(encoded, before, canvases.lengths, conditioning)
        return self._inner.denoise(encoded, canvases, canvas, conditioning, temperature, share)
