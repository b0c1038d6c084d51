"""A denoiser without a network, for unit tests only, which has memorized its documents.

At every canvas position, it predicts the token at that position of the document, with a
confidence that rises at every step. It raises an error for a prompt that matches none of its
documents, and without any documents it is uncertain of everything. It is made for the default
layout, where the model's turn begins with the text before the span.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Canvases, Prediction
from dg_lsp.models.gemma.sampling import Head, select

CAP = 30.0
PATIENCE_S = 20.0
"""How long a call waits at a closed gate, so that a failing test does not hang."""


@dataclass(slots=True)
class Reading:
    """A prompt that was read: the text that continues it, and the number of steps so far."""

    rest: bytes
    steps: int = 0


class ScriptedDenoiser:
    """Implements `engine.denoiser.Denoiser`; for unit tests only.

    `certainty` is the logit of the known token above all others at each step; the last value
    applies to all later steps. `denoise` sets `entered`, waits until `gate` is set, and raises
    `error` if it is set. `canvases` records the ids of all lanes of every call, `prompts` those
    of every encoded prompt.
    """

    def __init__(
        self,
        codec: Codec,
        *documents: str,
        canvas_length: int = 64,
        certainty: Sequence[float] = (4.0, 8.0, 12.0, 16.0, 20.0),
    ) -> None:
        self.vocab_size = codec.vocab_size
        self.canvas_length = canvas_length
        self.device = torch.device("cpu")
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.prompts: list[tuple[int, ...]] = []
        self.canvases: list[list[list[int]]] = []
        self._codec, self._certainty = codec, tuple(certainty)
        self._documents = [document.encode() for document in documents]

    def encode(
        self, ids: Sequence[int], document: str = "", after: Sequence[int] = ()
    ) -> Reading:
        self.prompts.append(tuple(ids))
        turn = len(ids) - 1 - list(reversed(ids)).index(self._codec.control.turn_start)
        written = self._bytes(ids[turn:]).removeprefix(b"model\n")
        closing = b""
        if written.startswith(b"```"):
            written, closing = written.split(b"\n", 1)[1], b"\n```"
        for known in self._documents:
            # The beginning of a prefix that exceeds its budget is missing.
            start = 0 if known.startswith(written) else known.find(written)
            if start >= 0:
                return Reading(known[start + len(written) :] + closing)
        if not self._documents:
            return Reading(b"")
        raise ValueError(f"no known document goes on from {written[-40:]!r}")

    def denoise(
        self,
        encoded: Reading,
        canvases: Canvases,
        canvas: Tensor,
        conditioning: Tensor | None,
        temperature: float,
        share: Tensor,
    ) -> Prediction:
        self.canvases.append([lane.tolist() for lane in canvas.split(list(canvases.lengths))])
        self.entered.set()
        if not self.gate.wait(PATIENCE_S):
            raise TimeoutError("the gate of the scripted denoiser stayed closed")
        if self.error is not None:
            raise self.error
        encoded.steps = 0 if conditioning is None else encoded.steps + 1
        logits = self.logits(encoded, canvas, canvases.lengths, conditioning)
        # The soft-cap turns these hidden states into the logits.
        hidden = torch.atanh(logits / CAP) * CAP
        free = len(canvases.free)
        selection = select(
            Head(torch.eye(self.vocab_size), CAP),
            hidden[torch.cat([canvases.free, canvases.pinned])],
            canvas[canvases.pinned],
            canvases.disallowed,
            canvases.constraint,
            torch.tensor(temperature),
            share,
        )
        return Prediction(
            selection.sampled,
            selection.argmax,
            selection.log_probability,
            selection.entropy,
            selection.fit[:free],
            selection.fit[free:],
            conditioning=hidden,
        )

    def logits(
        self,
        encoded: Reading,
        canvas: Tensor,
        lengths: Sequence[int],
        conditioning: Tensor | None,
    ) -> Tensor:
        logits = torch.zeros(len(canvas), self.vocab_size)
        lanes = [lane.tolist() for lane in canvas.split(list(lengths))]
        known = [i for lane in lanes for i in self._known(encoded.rest, lane)]
        certainty = self._certainty[min(encoded.steps, len(self._certainty) - 1)]
        logits[torch.arange(len(canvas)), torch.tensor(known)] = certainty
        return logits

    def score(self, encoded: Reading, continuations: Sequence[Sequence[int]]) -> list[Tensor]:
        scores = []
        for continuation in continuations:
            true = [
                self._goes_on(encoded.rest, continuation[: end + 1])
                for end in range(len(continuation))
            ]
            scores.append(torch.tensor([-0.05 if known else -8.0 for known in true]))
        return scores

    def _goes_on(self, rest: bytes, ids: Sequence[int]) -> bool:
        """Whether the known text begins so; it ends at its end only."""
        written = self._bytes(ids)
        if ids[-1] == self._codec.control.turn_end:
            return rest == written
        return rest.startswith(written)

    def shrink(self) -> int:
        return 0

    def _known(self, rest: bytes, lane: list[int]) -> list[int]:
        """The token at each position of a canvas, located by the tokens pinned at its end."""
        for start in range(len(lane)):
            at = rest.find(tail := self._bytes(lane[start:]))
            if self._codec.control.turn_end in lane[start:]:
                at = len(rest) - len(tail) if rest.endswith(tail) else -1
            while at >= 0:
                head = self._tokens(rest[:at])
                if len(head) == start:
                    return [*head, *lane[start:]]
                at = rest.find(tail, at + 1) if tail else -1
        beyond = [self._codec.control.turn_end] * len(lane)
        return [*self._tokens(rest), *beyond][: len(lane)]

    def _tokens(self, piece: bytes) -> list[int]:
        """Ids of tokens that may begin or end within a character."""
        try:
            return self._codec.encode(piece.decode())
        except UnicodeDecodeError as error:
            ids = self._codec.encode(piece[: error.start].decode())
            for at in range(error.start, error.end):
                holding = self._codec.starting_with(piece[at : at + 1])
                ids.append(min(holding, key=lambda i: len(self._codec.token_bytes(i))))
            return ids + self._tokens(piece[error.end :])

    def _bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(self._codec.token_bytes(i) for i in ids)
