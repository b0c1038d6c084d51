"""Finds sequences of tokens in the code of many files.

The files of an index are joined into one text, and every token in it is an entry: a hash of it
and the three tokens before it, and its end. The entries are sorted in one array of 64-bit
numbers, so that all places after the same tokens are adjacent. Compare a result with the text
itself, because hashes may collide.

An index is immutable. It takes a little over two bytes per character, in addition to its text.
"""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

from dg_lsp.document.code_tokens import HASHES, token_ends

SLICE_CHARS = 16 * 1024
"""How much text is read at a time while an index is built; takes about three milliseconds."""
CONTEXT_TOKENS, LEAST_TOKENS = 4, 2
"""Number of tokens that an entry is sorted by: the last two together, then one by one."""

_OFFSET_BITS, _TOKEN_BITS, _PAIR_BITS = 28, 8, 20
_TOKEN_MASK, _PAIR_MASK = (1 << _TOKEN_BITS) - 1, (1 << _PAIR_BITS) - 1
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1
MAX_INDEX_CHARS = _OFFSET_MASK

_BETWEEN_FILES = "\n\0\n"


@dataclass(frozen=True, slots=True)
class CodeIndex:
    """Some files and the positions of their tokens."""

    text: str
    paths: tuple[str, ...]
    starts: tuple[int, ...]
    """Where each file begins in the text."""
    entries: array[int]

    def places(self, last_tokens: Sequence[str], most: int) -> list[int]:
        """At most `most` offsets that follow these tokens; some may be hash collisions.

        The tokens are given nearest first. Up to `CONTEXT_TOKENS` of them are used; fewer than
        two are at too many places, so none are returned.
        """
        if len(last_tokens) < LEAST_TOKENS:
            return []
        low, width = _key(last_tokens)
        first = bisect.bisect_left(self.entries, low)
        last = bisect.bisect_left(
            self.entries, low + width, first, min(len(self.entries), first + most)
        )
        return [entry & _OFFSET_MASK for entry in self.entries[first:last]]

    def file_at(self, offset: int) -> tuple[str, int, int]:
        """The path of the file that an offset is in, and where it begins and ends."""
        number = bisect.bisect_right(self.starts, offset) - 1
        follows = number + 1 < len(self.starts)
        end = self.starts[number + 1] - len(_BETWEEN_FILES) if follows else len(self.text)
        return self.paths[number], self.starts[number], end


def build_index(files: Iterable[tuple[str, str]]) -> CodeIndex:
    """The index of files, given as paths and texts."""
    building = building_index(files)
    while True:
        try:
            next(building)
        except StopIteration as done:
            index: CodeIndex = done.value
            return index


def building_index(files: Iterable[tuple[str, str]]) -> Generator[None, None, CodeIndex]:
    """Build an index, yielding every few milliseconds so that other work can continue."""
    paths, starts, texts = [], [], []
    entries: list[int] = []
    size = 0
    for path, text in files:
        paths.append(path)
        starts.append(size)
        texts.append(text)
        before = [0] * (CONTEXT_TOKENS - 1)
        start = 0
        while start < len(text):
            end = _slice_end(text, start)
            ends, words = token_ends(text, start, end)
            hashes = [*before, *map(HASHES.__getitem__, words)]
            before = hashes[-CONTEXT_TOKENS + 1 :]
            made = [
                ((one ^ 3 * two) & _PAIR_MASK) << 44
                | (three & _TOKEN_MASK) << 36
                | (four & _TOKEN_MASK) << 28
                | (size + at)
                for one, two, three, four, at in zip(
                    hashes[3:], hashes[2:], hashes[1:], hashes, ends, strict=False
                )
            ]
            made.sort()
            entries += made
            start = end
            yield
        size += len(text) + len(_BETWEEN_FILES)
    if size > MAX_INDEX_CHARS:
        raise ValueError(f"an index has at most {MAX_INDEX_CHARS} characters, not {size}")
    # Merging sorted runs takes a fraction of the time of sorting everything.
    entries.sort()
    yield
    return CodeIndex(
        _BETWEEN_FILES.join(texts), tuple(paths), tuple(starts), array("Q", entries)
    )


def _key(last_tokens: Sequence[str]) -> tuple[int, int]:
    """The smallest entry for these tokens, given nearest first, and how many there can be."""
    one, two, *others = (HASHES[token] for token in last_tokens[:CONTEXT_TOKENS])
    key = (one ^ 3 * two) & _PAIR_MASK
    for other in others:
        key = key << _TOKEN_BITS | other & _TOKEN_MASK
    unknown = (CONTEXT_TOKENS - 2 - len(others)) * _TOKEN_BITS + _OFFSET_BITS
    return key << unknown, 1 << unknown


def _slice_end(text: str, start: int) -> int:
    """Where a slice ends: between two lines, unless they are too long."""
    end = start + SLICE_CHARS
    if end >= len(text):
        return len(text)
    found = text.find("\n", end, end + SLICE_CHARS)
    # The next slice has the whole line end, with the indentation after it.
    return end if found < 0 else found
