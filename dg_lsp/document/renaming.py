"""Renames what a text elsewhere calls differently: `add_user` there is `delete_user` here.

Two sequences of tokens are aligned, such as those of two headers. Where they differ, whole
names are renamed, and so are the parts of names in snake_case and camelCase in which they
differ: after `test_add` and `test_delete`, `addUser` becomes `deleteUser`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from dg_lsp.document.agreement import KEYWORDS, WORD

_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_]+|\d+|_+|\S")
MIN_PART = 2
"""A part of a name that is shorter says too little."""
MAX_PRODUCT = 10_000
"""Two sequences are compared if the product of their lengths is at most this."""

Pair = tuple[str, str]
"""A token there and its counterpart here; one of them is empty if the other has none."""


@functools.lru_cache(maxsize=1024)
def parts_of(word: str) -> tuple[str, ...]:
    """The parts of a name: `addUser_2` has `add`, `User`, `_` and `2`."""
    return tuple(_PART.findall(word))


def aligned(there: Sequence[str], here: Sequence[str]) -> list[Pair]:
    """The tokens of two sequences side by side."""
    if len(there) == len(here):
        return [*zip(there, here, strict=True)]
    first = 0
    while there[first : first + 1] == here[first : first + 1]:
        first += 1
    pairs = [*zip(there[:first], here[:first], strict=True)]
    there, here = there[first:], here[first:]
    if not there or not here or len(there) * len(here) > MAX_PRODUCT:
        return pairs + [(word, "") for word in there] + [("", word) for word in here]
    matcher = SequenceMatcher(None, there, here, autojunk=False)
    for _, first, last, start, end in matcher.get_opcodes():
        if last - first == end - start:
            pairs += zip(there[first:last], here[start:end], strict=True)
        else:
            pairs += [(word, "") for word in there[first:last]]
            pairs += [("", word) for word in here[start:end]]
    return pairs


@dataclass(frozen=True, slots=True)
class Renaming:
    """What is called differently here."""

    names: dict[str, str]
    parts: dict[str, str]
    """In lower case."""

    @classmethod
    def of(cls, pairs: Iterable[Pair], text: str) -> Renaming:
        """What pairs of tokens say about a text; two different answers are none.

        A name that the text has already stays free for what it means there.
        """
        names: dict[str, str] = {}
        parts: dict[str, str] = {}
        for there, here in pairs:
            if not (_is_name(there) and _is_name(here)):
                continue
            _put(names, there, here)
            own, other = parts_of(there), parts_of(here)
            if len(own) == len(other):
                for one, two in zip(own, other, strict=True):
                    if min(len(one), len(two)) >= MIN_PART and one.isalpha() and two.isalpha():
                        _put(parts, one.lower(), two.lower())
        names = {one: two for one, two in names.items() if two and one != two}
        parts = {one: two for one, two in parts.items() if two and one != two}
        if names or parts:
            words = set(WORD.findall(text))
            names = {one: two for one, two in names.items() if two not in words}
        if parts:
            used = {part.lower() for word in words for part in parts_of(word)}
            parts = {one: two for one, two in parts.items() if two not in used}
        return cls(names, parts)

    def apply(self, text: str) -> str:
        """The text with the names of this place."""
        if not (self.names or self.parts):
            return text
        return WORD.sub(lambda word: self._renamed(word[0]), text)

    def _renamed(self, word: str) -> str:
        if word in KEYWORDS:
            return word
        if word in self.names:
            return self.names[word]
        return "".join(map(self._part, parts_of(word))) if self.parts else word

    def _part(self, part: str) -> str:
        lower = part.lower()
        new = self.parts.get(lower)
        if new is None and lower.endswith("s") and lower[:-1] in self.parts:
            new = self.parts[lower[:-1]] + "s"
        if new is None:
            return part
        if part.isupper() and len(part) > 1:
            return new.upper()
        return new.capitalize() if part[0].isupper() else new


def _put(known: dict[str, str], there: str, here: str) -> None:
    """Note a pair; another counterpart of the same name makes it ambiguous, hence empty."""
    if known.setdefault(there, here) != here:
        known[there] = ""


def _is_name(word: str) -> bool:
    return bool(word) and (word[0].isalpha() or word[0] == "_") and word not in KEYWORDS
