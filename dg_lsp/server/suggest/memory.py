"""The answers of one document, or all rewrites, that the user may come back to.

An answer is found again by the request it was given to: the same text on both sides of the
cursor, or that text with the beginning of a suggestion typed. Backspace, undo, and a cursor
that moves away and back therefore restore what was shown. Nothing here can be out of date:
other settings, another model and edits of other documents empty it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dg_lsp.server.suggest.decide import KnownAnswer

MOST_ANSWERS = 32
MOST_CHARS = 2_000_000
"""Of the text on both sides of the cursor, in all answers together."""


class Memory:
    """The last answers, the newest first."""

    def __init__(self, most_answers: int = MOST_ANSWERS, most_chars: int = MOST_CHARS) -> None:
        self._most_answers, self._most_chars = most_answers, most_chars
        self._answers: list[KnownAnswer] = []

    def __iter__(self) -> Iterator[KnownAnswer]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def num_chars(self) -> int:
        return sum(map(_num_chars, self._answers))

    def clear(self) -> None:
        self._answers = []

    def drop(self, is_stale: Callable[[KnownAnswer], bool]) -> None:
        self._answers = [one for one in self._answers if not is_stale(one)]

    def add(self, answer: KnownAnswer) -> None:
        """Remember an answer instead of an earlier one to the same request."""
        others = [one for one in self._answers if one.request != answer.request]
        self._answers = [answer]
        left = self._most_chars - _num_chars(answer)
        for other in others[: self._most_answers - 1]:
            left -= _num_chars(other)
            if left < 0:
                return
            self._answers.append(other)


def _num_chars(answer: KnownAnswer) -> int:
    site = answer.request.site
    return len(site.prefix) + len(site.suffix)
