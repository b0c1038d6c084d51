"""A denoiser that counts what it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dg_lsp.engine.denoiser import Denoiser


class CountingDenoiser:
    """Passes everything on, counts rows and keeps the last prediction."""

    def __init__(self, inner: Denoiser) -> None:
        self._inner = inner
        self.vocab_size, self.canvas_length = inner.vocab_size, inner.canvas_length
        self.device = inner.device
        self.rows, self.steps = 0, 0
        self.logits = torch.empty(0)

    def encode(self, ids: Sequence[int]) -> Any:
        return self._inner.encode(ids)

    def score(self, encoded: Any, continuations: Sequence[Sequence[int]]) -> list[Tensor]:
        return self._inner.score(encoded, continuations)

    def denoise(
        self,
        encoded: Any,
        canvas: Tensor,
        lengths: Sequence[int],
        conditioning: Tensor | None,
    ) -> Tensor:
        self.rows += len(canvas)
        self.steps += 1
        self.logits = self._inner.denoise(encoded, canvas, lengths, conditioning)
        return self.logits
