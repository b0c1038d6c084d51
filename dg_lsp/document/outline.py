"""Cuts a long document down to what is around the cursor, by its syntax.

`read` parses a whole document, which takes 100 ms for 120 kB, and keeps where its items begin
and end: the functions, classes and statements that follow each other. It is meant for a thread,
and lets other threads run. `around` then finds the items beside the cursor in any later version
of the document, without parsing: an item that no edit has touched is still whole. A long item
around the cursor is cut down in the same way, to its first item, those beside the cursor, and
its last one.
"""

from __future__ import annotations

import bisect
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from dg_lsp.document.position import common_edges
from dg_lsp.document.trees import LANGUAGES, MOST_CHARS, encoded, is_loaded, load, whole_tree

if TYPE_CHECKING:
    from tree_sitter import Node

SHORT_CHARS = 4_000
"""A shorter document is not cut, and need not be read."""
LONG_BYTES = 1_000
"""A longer item is cut down to the items in it."""
FEWEST_ITEMS = 4
"""A shorter sequence of items is not cut."""
FRESH_CHARS = 2_000
"""A document is read again when more than this has changed."""
MOST_KEPT = 8
"""Number of documents per language that are kept."""

_SEPARATORS = (";", ",", "\n")


class Item(NamedTuple):
    """`[start, end)` of an item."""

    start: int
    end: int
    is_whole: bool
    """Whether it has no syntax error."""
    inner: Items | None
    """The items in it, if it is long."""

    def moved(self, shift: int) -> Item:
        return self._replace(start=self.start + shift, end=self.end + shift)


class Items(NamedTuple):
    """Items that follow each other."""

    items: tuple[Item, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]


# Compared by identity, because hashing all items takes long.
@dataclass(frozen=True, slots=True, eq=False)
class _Outline:
    text: str
    items: Items | None
    is_root: bool
    """Whether the document consists of these items alone."""
    is_given_up: bool = False
    """Whether its tree would take too long."""


class _Edit(NamedTuple):
    """What has changed since the document was read: `[start, end)` of the old text."""

    start: int
    end: int
    shift: int
    """How much longer the document has become."""

    @property
    def length(self) -> int:
        return max(self.end - self.start, self.end - self.start + self.shift)


_kept: dict[str, tuple[_Outline, ...]] = {}


def is_read(prefix: str, suffix: str, language: str) -> bool:
    """Whether nothing is left for `read` to do: little has changed since it was called."""
    if not is_loaded(language):
        return language not in LANGUAGES
    text = prefix + suffix
    if not SHORT_CHARS < len(text) <= MOST_CHARS:
        return True
    edits = [_edit(outline.text, text) for outline in _kept.get(language, ())]
    return any(edit is not None and edit.length <= FRESH_CHARS for edit in edits)


def read(prefix: str, suffix: str, language: str) -> None:
    """Load the grammar of a language, if there is one, and note the items of a document."""
    if is_read(prefix, suffix, language) or not load(language):
        return
    text = prefix + suffix
    if not SHORT_CHARS < len(text) <= MOST_CHARS:
        return
    source = encoded(text)
    tree = whole_tree(source, language)
    if tree is None:
        found = _Outline(text, None, False, is_given_up=True)
    else:
        sequence = _sequence(tree.root_node)
        offsets = _Offsets(source, len(source) == len(text))
        items = _items(sequence, offsets) if sequence else None
        is_root = bool(sequence) and sequence[0].parent == tree.root_node
        found = _Outline(text, items, is_root)
    others = [one for one in _kept.get(language, ()) if _edit(one.text, text) is None]
    _kept[language] = (*others[1 - MOST_KEPT :], found)


def around(prefix: str, suffix: str, language: str) -> tuple[str, str] | None:
    """Both sides of the cursor, cut down to what is around it; None if a long document has not
    been read, or takes too long to read."""
    if len(prefix) + len(suffix) <= SHORT_CHARS:
        return prefix, suffix
    return _around(prefix, suffix, _kept.get(language, ()))


# Cached, because every draft and candidate of a job is judged at the same cursor.
@functools.lru_cache(maxsize=4)
def _around(prefix: str, suffix: str, outlines: tuple[_Outline, ...]) -> tuple[str, str] | None:
    text, at = prefix + suffix, len(prefix)
    for outline in reversed(outlines):
        edit = _edit(outline.text, text)
        if edit is not None and outline.is_given_up:
            return None
        if edit is not None:
            cuts = _cuts(outline, edit, at, len(text))
            return _without(text, 0, at, cuts), _without(text, at, len(text), cuts)
    return None


def _edit(old: str, new: str) -> _Edit | None:
    """None if less than half of the text is the same."""
    start, end = common_edges(old, new)
    if 2 * (start + end) < max(len(old), len(new)):
        return None
    return _Edit(start, len(old) - end, len(new) - len(old))


def _cuts(outline: _Outline, edit: _Edit, at: int, length: int) -> list[tuple[int, int]]:
    """What is far from the cursor, as ranges of the new text."""
    cuts: list[tuple[int, int]] = []
    level, is_root = outline.items, outline.is_root
    while level is not None:
        before, after = _before(level, edit, at), _after(level, edit, at)
        if before is not None and is_root:
            cuts.append((0, before[1].start))
        elif before is not None and (first := _item(level, edit, 0)):
            cuts.append((first.end, before[0].end))
        if after is not None and is_root:
            cuts.append((after.start, length))
        elif after is not None and (last := _item(level, edit, len(level.items) - 1)):
            cuts.append((after.start, last.start))
        level, is_root = _items_at(level, edit, at), False
    return [(start, end) for start, end in cuts if start < end]


def _untouched(level: Items, edit: _Edit) -> tuple[tuple[int, int, int], ...]:
    """`[first, stop)` of the items before the edit and of those after it, and their shift."""
    before = bisect.bisect_left(level.ends, edit.start)
    after = bisect.bisect_right(level.starts, edit.end)
    return (0, before, 0), (max(before, after), len(level.items), edit.shift)


def _item(level: Items, edit: _Edit, index: int) -> Item | None:
    """Where an item is now; None if it has changed."""
    for first, stop, shift in _untouched(level, edit):
        if first <= index < stop:
            return level.items[index].moved(shift)
    return None


def _before(level: Items, edit: _Edit, at: int) -> tuple[Item, Item] | None:
    """The last whole item that ends before the cursor, after the one before it."""
    for first, stop, shift in reversed(_untouched(level, edit)):
        last = min(stop, bisect.bisect_left(level.ends, at - shift)) - 1
        for index in range(last, first, -1):
            if level.items[index].is_whole:
                one, two = level.items[index - 1 : index + 1]
                return one.moved(shift), two.moved(shift)
    return None


def _after(level: Items, edit: _Edit, at: int) -> Item | None:
    """The item that follows the first whole one after the cursor."""
    for first, stop, shift in _untouched(level, edit):
        for index in range(max(first, bisect.bisect_right(level.starts, at - shift)), stop - 1):
            if level.items[index].is_whole:
                return level.items[index + 1].moved(shift)
    return None


def _items_at(level: Items, edit: _Edit, at: int) -> Items | None:
    """The items in the one that the cursor is in, if that is long."""
    edited = bisect.bisect_left(level.starts, edit.start) - 1
    if edited >= 0 and level.starts[edited] < at < level.ends[edited] + edit.shift:
        return level.items[edited].inner if level.ends[edited] > edit.end else None
    for first, stop, shift in _untouched(level, edit):
        index = bisect.bisect_left(level.starts, at - shift) - 1
        if first <= index < stop and at < level.ends[index] + shift:
            return level.items[index].inner
    return None


def _without(text: str, start: int, end: int, cuts: list[tuple[int, int]]) -> str:
    """`[start, end)` of a text without what is cut."""
    kept = []
    for first, last in sorted(cuts):
        if start <= first and last <= end:
            kept.append(text[start:first])
            start = last
    return "".join((*kept, text[start:end]))


def _sequence(node: Node) -> list[Node]:
    """The longest run of items in a node, or in the longest of its children, and so on."""
    while True:
        children = node.children
        best: list[Node] = []
        run: list[Node] = []
        for child in children:
            if child.is_named and (
                not run or child.start_point.row > run[-1].start_point.row or child.is_extra
            ):
                run.append(child)
            elif child.is_named or child.type not in _SEPARATORS:
                run = [child] if child.is_named else []
            best = max(best, run, key=len)
        if len(best) >= FEWEST_ITEMS or not children:
            return best if len(best) >= FEWEST_ITEMS else []
        node = max(children, key=_size)


def _size(node: Node) -> int:
    return node.end_byte - node.start_byte


def _items(sequence: list[Node], offsets: _Offsets) -> Items:
    found = []
    for node in sequence:
        within = _sequence(node) if _size(node) > LONG_BYTES else []
        inner = _items(within, offsets) if within else None
        start, end = offsets.at(node.start_byte), offsets.at(node.end_byte)
        found.append(Item(start, end, not node.has_error, inner))
    return Items(
        tuple(found), tuple(item.start for item in found), tuple(item.end for item in found)
    )


class _Offsets:
    """From offsets in bytes, which mostly ascend, to offsets in characters."""

    def __init__(self, source: bytes, is_ascii: bool) -> None:
        self._source, self._is_ascii = source, is_ascii
        self._bytes = self._chars = 0

    def at(self, offset: int) -> int:
        if self._is_ascii:
            return offset
        if offset < self._bytes:
            self._chars -= len(self._source[offset : self._bytes].decode())
        else:
            self._chars += len(self._source[self._bytes : offset].decode())
        self._bytes = offset
        return self._chars
