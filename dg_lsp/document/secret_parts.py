"""Tells quickly which of many fixed texts occur in a text.

Secrets are found by some hundred such texts, hardly any of which occurs anywhere. What a line
contains is cached, so after a keystroke only one line is searched.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable

CACHED_LINES = 2048
_COMMON = " etanirosldcupfmhgbyv_.,()=\"'wxk:-"
"""The most common characters of code, in order."""


class Parts:
    """Some fixed texts, none of which contains a line end."""

    def __init__(self, parts: Iterable[str]) -> None:
        grouped: defaultdict[str, set[str]] = defaultdict(set)
        for part in parts:
            if not part or "\n" in part:
                raise ValueError(f"{part!r} is no part of a line")
            # Most lines lack the rarest character, and with it all parts of that group.
            grouped[max(part, key=_rarity)].add(part)
        self._groups = tuple((sign, tuple(group)) for sign, group in grouped.items())
        self._in_line = functools.lru_cache(CACHED_LINES)(self._search)

    def present_in(self, text: str) -> frozenset[str]:
        """Those that occur in a text."""
        in_line = self._in_line
        return frozenset().union(
            *[found for line in text.split("\n") if (found := in_line(line))]
        )

    def _search(self, line: str) -> tuple[str, ...]:
        return tuple(
            part
            for sign, group in self._groups
            if sign in line
            for part in group
            if part in line
        )


def _rarity(sign: str) -> int:
    found = _COMMON.find(sign)
    return found if found >= 0 else len(_COMMON)
