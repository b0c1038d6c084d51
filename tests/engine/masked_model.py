"""A masked model without a network that knows whole documents by heart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dg_lsp.config import EngineSettings, MaskedSettings
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Canvases, Prediction
from dg_lsp.engine.masked import MaskTokens

SURE, UNSURE = -0.01, -0.5
WRONG = -5.0


def mask_tokens(codec: Codec) -> MaskTokens:
    """Control tokens of the tiny tokenizer in other roles."""
    return MaskTokens(codec.control.pad, codec.control.turn_end, codec.control.turn_start)


@dataclass(frozen=True, slots=True)
class Reading:
    """A prompt that was read: the tokens that belong between, and how many end the suffix."""

    span: list[int]
    on_right: int


class MaskedDenoiser:
    """Says "delete" past the end of the span, and "expand" where masks run short.

    It takes the known token of a position if it is allowed, and otherwise the first that is.
    Where it scores an empty text, "delete" is as sure as `empty`. It has no `score`, as there
    is no causal encoder.
    """

    def __init__(
        self, codec: Codec, prefix: str, span: str, suffix: str, empty: float = WRONG
    ) -> None:
        self.vocab_size, self.canvas_length = codec.vocab_size, 64
        self.device = torch.device("cpu")
        self.read: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        self.canvases: list[list[list[int]]] = []
        """The canvases of each denoising step."""
        self.calls = 0
        self._codec, self._tokens, self._document = (
            codec,
            mask_tokens(codec),
            prefix + span + suffix,
        )
        self._empty, self._suffix = empty, len(suffix.encode())

    def encode(
        self, ids: Sequence[int], document: str = "", after: Sequence[int] = ()
    ) -> Reading:
        self.read.append((tuple(ids), tuple(after)))
        before = b"".join(map(self._codec.token_bytes, ids))
        behind = b"".join(map(self._codec.token_bytes, after))
        known = self._document.encode()
        assert known.startswith(before), before
        assert known.endswith(behind), behind
        span = self._codec.encode(known[len(before) : len(known) - len(behind)].decode())
        healed, on_right = self._suffix - len(behind), 0
        while healed > 0:
            on_right += 1
            healed -= len(self._codec.token_bytes(span[-on_right]))
        return Reading(span, on_right)

    def denoise(
        self,
        encoded: Reading,
        canvases: Canvases,
        canvas: Tensor,
        conditioning: Tensor | None,
        temperature: float,
        share: Tensor,
    ) -> Prediction:
        assert conditioning is None
        self.calls += 1
        held = [part.tolist() for part in canvas.split(canvases.lengths)]
        is_scoring = canvases.is_scored
        best = torch.tensor(self._written(encoded, canvases))[canvases.free]
        allowed = ~canvases.disallowed[canvases.constraint]
        is_allowed = allowed.gather(1, best[:, None]).squeeze(1)
        argmax = torch.where(is_allowed, best, allowed.long().argmax(1))
        # The left end is the surest, so that tokens are decided in the order of the text.
        sureness = torch.linspace(SURE, UNSURE, len(best)) + (~is_allowed) * WRONG
        if is_scoring:
            alone = torch.tensor([n == 1 for n in canvases.lengths for _ in range(n)])
            sureness[alone[canvases.free]] = self._empty
        else:
            self.canvases.append(held)
        return self.prediction(argmax, sureness, len(canvases.pinned))

    @staticmethod
    def prediction(best: Tensor, sureness: Tensor, pinned: int) -> Prediction:
        """These tokens (free,) with these log-probabilities, all else following from them."""
        fits = torch.zeros(pinned)
        return Prediction(
            *(best, best.clone(), sureness, -sureness, sureness, fits, None),
            margin=sureness.exp(),
        )

    def _written(self, encoded: Reading, canvases: Canvases) -> list[int]:
        """What it would write into all canvases, one after the other."""
        on_right = 0 if canvases.is_scored else encoded.on_right
        return [
            token
            for count in canvases.lengths
            for token in self._known(encoded.span, on_right, count)
        ]

    def _known(self, span: list[int], on_right: int, count: int) -> list[int]:
        """What it would write into so many positions, `on_right` of them right of the span."""
        left, right = span[: len(span) - on_right], span[len(span) - on_right :]
        short = len(span) - count
        if short > 0:
            assert self._tokens.expand is not None
            return [*left[: max(0, count - 1 - on_right)], self._tokens.expand, *right][:count]
        assert self._tokens.delete is not None
        return [*left, *[self._tokens.delete] * -short, *right]

    def logits(
        self, encoded: Reading, canvas: Tensor, lengths: Sequence[int], conditioning: None
    ) -> Tensor:
        logits = torch.zeros(len(canvas), self.vocab_size)
        known = [
            token
            for count in lengths
            for token in self._known(encoded.span, encoded.on_right, count)
        ]
        logits[torch.arange(len(canvas)), torch.tensor(known)] = -WRONG
        return logits

    def shrink(self) -> int:
        return 0


def settings_of(length: int, **masked: Any) -> EngineSettings:
    """Settings that start with so many masks and decide one of them at a time."""
    return EngineSettings(
        masked=MaskedSettings(
            **{"start_masks": (length,), "sure_probability": 1.0, **masked},
        )
    )
