"""What is left of a suggestion after the user has typed something else.

Where the user departs within a word, the end of the suggested word is in doubt, and what
follows it still stands. Where the user has already typed past that word, the rest is what
follows it, if both go on alike.
"""

from __future__ import annotations

import re

from dg_lsp.document.position import common_length
from dg_lsp.job import Earlier

MOST_CHARS = 40
"""After more than this, typed beside a suggestion, nothing of it is believed."""
_WORD = re.compile(r"\w*")


def departure(suggested: str, typed: str) -> Earlier | None:
    """The rest of a suggestion, from which the typed text differs; None if it says nothing
    about what follows, or if the user has not departed from it."""
    same = common_length(suggested, typed, min(len(suggested), len(typed)))
    left, other = suggested[same:], typed[same:]
    if not left or not other or len(other) > MOST_CHARS:
        return None
    word, other_word = _leading_word(left), _leading_word(other)
    beyond = other[len(other_word) :]
    if not beyond:
        # Still in the word: its other characters are in doubt.
        past = min(len(word), len(other_word))
        rest, doubtful = left[past:], len(word) - past
    elif left.startswith(beyond, len(word)):
        rest, doubtful = left[len(word) + len(beyond) :], 0
    elif not word and not other_word and len(beyond) == 1:
        rest, doubtful = left[1:], 0
    else:
        return None
    return Earlier(rest, doubtful) if rest.strip() else None


def _leading_word(text: str) -> str:
    found = _WORD.match(text)
    return found.group() if found else ""
