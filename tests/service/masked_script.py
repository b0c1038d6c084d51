"""The scripted masked model with the controls of `models.scripted.ScriptedDenoiser`."""

from __future__ import annotations

import threading
from typing import Any

from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Prediction
from dg_lsp.models.scripted import PATIENCE_S
from tests.engine.masked_model import MaskedDenoiser, Reading


class ScriptedMaskedDenoiser(MaskedDenoiser):
    """Knows several documents, each a prefix, a span and a suffix."""

    def __init__(self, codec: Codec, *documents: tuple[str, str, str]) -> None:
        super().__init__(codec, *documents[0])
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.error: Exception | None = None
        self._known_documents = documents

    def encode(self, ids: Any, document: str = "", after: Any = ()) -> Reading:
        before = b"".join(map(self._codec.token_bytes, ids))
        behind = b"".join(map(self._codec.token_bytes, after))
        for parts in self._known_documents:
            known = "".join(parts).encode()
            if known.startswith(before) and known.endswith(behind):
                self._document, self._suffix = known.decode(), len(parts[2].encode())
                return super().encode(ids, document, after)
        raise ValueError(f"no known document goes on from {before!r}")

    def denoise(self, *args: Any) -> Prediction:
        self.entered.set()
        if not self.gate.wait(PATIENCE_S):
            raise TimeoutError("the gate of the scripted denoiser stayed closed")
        if self.error is not None:
            raise self.error
        return super().denoise(*args)
