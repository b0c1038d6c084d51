"""Keeps the code of many files in indexes of moderate size, and replaces those that change.

A `CodeIndex` is immutable. A file that changes is hidden in its index, and added to a new one
together with the files of other small indexes. A concurrent reader sees the files either as
they were before or as they are afterwards. One thread changes a store; any thread may read it.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass

from dg_lsp.document.code_index import CodeIndex, building_index

INDEX_CHARS = 128 * 1024
"""Approximate size of an index. Merging its entries takes as long as a keystroke may wait, and
a workspace of 20 MB has 160 of them to search."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """An index, and which of its files are out of date."""

    index: CodeIndex
    hidden: frozenset[str] = frozenset()

    def files(self) -> list[tuple[str, str]]:
        """The files that are not hidden, with their texts."""
        index = self.index
        kept = []
        for start in index.starts:
            path, first, last = index.file_at(start)
            if path not in self.hidden:
                kept.append((path, index.text[first:last]))
        return kept


class CodeStore:
    """The files of one workspace."""

    def __init__(self) -> None:
        self.shelves: tuple[Shelf, ...] = ()
        self._sizes: dict[str, int] = {}

    @property
    def size_chars(self) -> int:
        return sum(self._sizes.values())

    @property
    def paths(self) -> Collection[str]:
        return self._sizes.keys()

    def drop(self, paths: Collection[str]) -> None:
        """Forget files."""
        self.shelves = tuple(self._without(frozenset(paths)))
        for path in paths:
            self._sizes.pop(path, None)

    def put(self, files: Sequence[tuple[str, str]]) -> Generator[None, None, None]:
        """Add files, or replace them; yields every few milliseconds."""
        names = frozenset(path for path, _ in files)
        others, merged = [], [*files]
        for shelf in self._without(names):
            live = sum(
                self._sizes[path] for path in shelf.index.paths if path not in shelf.hidden
            )
            if live < INDEX_CHARS // 2:
                merged += shelf.files()
            else:
                others.append(shelf)
        made = []
        while merged:
            taken, size = 0, 0
            while taken < len(merged) and size < INDEX_CHARS:
                size += len(merged[taken][1])
                taken += 1
            index = yield from building_index(merged[:taken])
            made.append(Shelf(index))
            del merged[:taken]
        self._sizes.update((path, len(text)) for path, text in files)
        self.shelves = (*others, *made)

    def _without(self, paths: frozenset[str]) -> list[Shelf]:
        shelves = []
        for shelf in self.shelves:
            hidden = shelf.hidden.union(paths.intersection(shelf.index.paths))
            if len(hidden) < len(shelf.index.paths):
                shelves.append(Shelf(shelf.index, hidden))
        return shelves
