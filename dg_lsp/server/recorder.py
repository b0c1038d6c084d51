"""Records typing sessions, if the user has switched that on with `dg-lsp record --on`.

A document that is excluded, or that has a secret anywhere at any time, is not recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dg_lsp.document.position import common_edges
from dg_lsp.document.secrets import mask_secrets

LEAST_EDITS = 10
"""A shorter session is not worth keeping."""

REACH_CHARS = 2_000
"""How far around an edit secrets are looked for."""

Edit = tuple[int, int, int, str]
"""Milliseconds since the edit before, offset, number of characters removed, text inserted."""


@dataclass(slots=True)
class _Session:
    language: str
    text: str
    now: str
    last_s: float
    edits: list[Edit] = field(default_factory=list)
    num_chars: int = 0


class Recorder:
    """The recordings of one session; `keep` stores one."""

    def __init__(
        self,
        keep: Callable[[str, str, list[Edit]], None],
        most_edits: int,
        most_chars: int,
    ) -> None:
        self._keep, self._most_edits, self._most_chars = keep, most_edits, most_chars
        self._sessions: dict[str, _Session] = {}

    def open(self, uri: str, language: str, text: str, now_s: float) -> None:
        """A document was opened that may be recorded."""
        if len(text) <= self._most_chars and mask_secrets(text) == text:
            self._sessions[uri] = _Session(language, text, text, now_s)

    def text_changed(self, uri: str, text: str, now_s: float) -> None:
        """The user edited a document."""
        session = self._sessions.get(uri)
        if session is None or len(session.edits) >= self._most_edits:
            return
        before, session.now = session.now, text
        same, end = common_edges(before, text)
        inserted = text[same : len(text) - end]
        session.num_chars += len(inserted)
        around = text[max(0, same - REACH_CHARS) : same + len(inserted) + REACH_CHARS]
        if session.num_chars > self._most_chars or mask_secrets(around) != around:
            # The edits would hold a secret even if it were taken back later.
            self.drop(uri)
            return
        after_ms = round((now_s - session.last_s) * 1e3)
        session.last_s = now_s
        session.edits.append((after_ms, same, len(before) - same - end, inserted))

    def drop(self, uri: str) -> None:
        """Forget what was recorded of a document, because it must not be kept."""
        self._sessions.pop(uri, None)

    def close(self, uri: str) -> None:
        """The document was closed."""
        session = self._sessions.pop(uri, None)
        if session is None or len(session.edits) < LEAST_EDITS:
            return
        if mask_secrets(session.now) == session.now:
            self._keep(session.language, session.text, session.edits)

    def close_all(self) -> None:
        for uri in [*self._sessions]:
            self.close(uri)
