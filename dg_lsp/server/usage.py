"""Counts what becomes of suggestions: shown, accepted, accepted in part, kept after a while.

The editor's edits tell: a suggestion was accepted when one edit inserts it where it was shown.
That works in every editor. What is recorded has no text of the user's, only its length.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

KEPT_AFTER_S = 30.0
LEAST_CHARS = 2
"""An edit that inserts fewer characters is a key, not an accept."""

Record = dict[str, Any]


@dataclass(slots=True)
class Shown:
    """The suggestions that a document shows, and what has been inserted of them."""

    document: str
    """The text when they appeared."""
    start: int
    end: int
    """The range that they replace."""
    texts: tuple[str, ...]
    language: str
    model: str
    inserted: str = ""
    is_partly_accepted: bool = False

    def inserted_in(self, text: str) -> str | None:
        """What a later text has in place of the range, if nothing else has changed."""
        before, after = self.document[: self.start], self.document[self.end :]
        length = len(text) - len(before) - len(after)
        if length < 0 or not text.startswith(before) or not text.endswith(after):
            return None
        return text[len(before) : len(before) + length]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A text that was accepted, to be looked at again later."""

    text: str
    copies: int
    """How often the document had it right after."""
    language: str
    model: str


class Usage:
    """What becomes of the suggestions of one session."""

    def __init__(
        self, record: Callable[[Record], None], look_later: Callable[[str, Accepted], None]
    ) -> None:
        self._record, self._look_later = record, look_later
        self._shown: dict[str, Shown] = {}

    def show(
        self,
        uri: str,
        document: str,
        span: tuple[int, int],
        texts: Sequence[str],
        language: str,
        model: str,
    ) -> None:
        """An answer went to the editor."""
        shown = Shown(document, *span, tuple(texts), language, model)
        before = self._shown.get(uri)
        if before is not None:
            inserted = before.inserted_in(document[: span[0]] + document[span[1] :])
            rest = {inserted + text for text in texts} if inserted is not None else set()
            if rest and rest <= set(before.texts):
                # The rest of what was shown already.
                return
        self._shown[uri] = shown
        self._say("shown", shown, len(texts[0]))

    def text_changed(self, uri: str, document: str) -> None:
        """The user edited a document."""
        shown = self._shown.get(uri)
        if shown is None:
            return
        inserted = shown.inserted_in(document)
        fitting = [text for text in shown.texts if inserted and text.startswith(inserted)]
        if not inserted or not fitting:
            if inserted != shown.document[shown.start : shown.end]:
                self.forget(uri)
            else:
                shown.inserted = ""
            return
        added = inserted[len(shown.inserted) :]
        shown.inserted = inserted
        # An editor indents the next line by itself.
        is_accept = len(added) >= LEAST_CHARS and bool(added.strip())
        if not is_accept:
            if inserted in shown.texts:
                self.forget(uri)
            return
        if inserted in shown.texts:
            self.forget(uri)
            self._say(
                "completed" if shown.is_partly_accepted else "accepted", shown, len(added)
            )
        elif not shown.is_partly_accepted:
            shown.is_partly_accepted = True
            self._say("partly", shown, len(added))
        copies = document.count(added)
        self._look_later(uri, Accepted(added, copies, shown.language, shown.model))

    def note(self, event: str, about: Accepted) -> None:
        """Record what became of something that this class does not follow itself."""
        self._say(event, about, len(about.text))

    def look_again(self, accepted: Accepted, document: str) -> None:
        """Record whether an accepted text is still there."""
        is_kept = document.count(accepted.text) >= accepted.copies
        self._say("kept" if is_kept else "changed", accepted, len(accepted.text))

    def forget(self, uri: str) -> None:
        """Nothing of what the document shows will be accepted."""
        self._shown.pop(uri, None)

    def _say(self, event: str, about: Shown | Accepted, chars: int) -> None:
        self._record(
            {
                "time": round(time.time()),
                "event": event,
                "language": about.language[:40],
                "model": about.model[:100],
                "chars": chars,
            }
        )
