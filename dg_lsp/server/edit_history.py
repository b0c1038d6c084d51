"""The last edits of each document, and the next edit that is offered for it.

What the user accepts is none of the user's own edits: nothing new follows from it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from dg_lsp.document.recent_edits import RecentEdit, moved, noted

MAX_CHARS = 400_000
"""The edits of a longer document are not kept."""


@dataclass(slots=True)
class Offer:
    """A next edit that went to the editor."""

    id: str
    text: str
    """What it would insert."""
    language: str
    then: str
    """The document with it."""
    is_shown: bool = False


@dataclass(slots=True)
class _History:
    text: str
    edits: tuple[RecentEdit, ...] = ()
    offer: Offer | None = None


class EditHistory:
    """The edits of one session; `count` is told what becomes of offers."""

    def __init__(self, count: Callable[[str, str, Offer], None]) -> None:
        self._count = count
        self._histories: dict[str, _History] = {}
        self._numbers = itertools.count(1)

    def open(self, uri: str, text: str) -> None:
        """Follow a document from now on."""
        self._histories[uri] = _History(text)

    def forget(self, uri: str) -> None:
        self._histories.pop(uri, None)

    def text_changed(self, uri: str, text: str) -> None:
        """The document has another text."""
        history = self._histories.get(uri)
        if history is None:
            self.open(uri, text)
            return
        offer, history.offer = history.offer, None
        if max(len(text), len(history.text)) > MAX_CHARS:
            history.edits = ()
        elif offer is not None and offer.then == text:
            self._accepted(uri, offer)
            history.edits = moved(history.edits, history.text, text)
        else:
            history.edits = noted(history.edits, history.text, text)
        history.text = text

    def edits(self, uri: str) -> tuple[RecentEdit, ...]:
        """The last edits of a document, newest first."""
        history = self._histories.get(uri)
        return () if history is None else history.edits

    def offered(self, uri: str, text: str, language: str, then: str) -> Offer:
        """A next edit goes to the editor."""
        offer = Offer(str(next(self._numbers)), text, language, then)
        if (history := self._histories.get(uri)) is not None:
            earlier = history.offer
            if earlier is not None and earlier.then == then:
                return earlier
            history.offer = offer
        return offer

    def shown(self, offer_id: str) -> None:
        """The editor shows a next edit."""
        for uri, history in self._histories.items():
            if history.offer is not None and history.offer.id == offer_id:
                self._shown(uri, history.offer)

    def dismissed(self, offer_id: str) -> bool:
        """The user does not want a next edit: nothing follows until another edit."""
        for history in self._histories.values():
            if history.offer is not None and history.offer.id == offer_id:
                history.edits, history.offer = (), None
                return True
        return False

    def _shown(self, uri: str, offer: Offer) -> None:
        if not offer.is_shown:
            offer.is_shown = True
            self._count("shown", uri, offer)

    def _accepted(self, uri: str, offer: Offer) -> None:
        # Not every client says what it shows.
        self._shown(uri, offer)
        self._count("accepted", uri, offer)
