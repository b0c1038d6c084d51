"""Finds what other files define of the names around the cursor.

A definition is shown by its head: the signature of a function, and of a class also those of its
members. Short ones are shown whole. `defined_in` parses a file, which takes some 30 ms for
100 kB, and is meant for a thread; `definitions_near` only looks names up.

The caller decides which files may be used, and masks their secrets first. No file is opened.
"""

from __future__ import annotations

import functools
import heapq
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dg_lsp.document.imports import imported_words, module_name
from dg_lsp.document.pieces import (
    Piece,
    lines_after,
    lines_before,
    pieces_around,
    split_lines,
)
from dg_lsp.document.related import (
    COMMON,
    IDENTIFIER,
    MAX_FILE_CHARS,
    MAX_LINE_CHARS,
)
from dg_lsp.document.trees import encoded, load, whole_tree
from dg_lsp.job import Snippet

if TYPE_CHECKING:
    from tree_sitter import Node

WHOLE_LINES = 6
"""A definition of so many lines is shown whole."""
HEAD_LINES = 4
"""Maximum number of lines of a signature."""
MOST_MEMBERS = 24
"""Maximum number of members of a class that are shown."""
MOST_DEPTH = 8
"""How deeply definitions are nested at most."""
MOST_TRIED = 60
"""Maximum number of names whose definitions compete for the budget."""
MOST_PER_NAME = 3
"""A name that more files define says nothing, unless its file is imported."""
IMPORTED_WEIGHT = 3.0
"""How much more a definition counts if its file is imported."""
LINES_BEFORE, LINES_AFTER = 200, 60
"""The lines around the cursor whose names are looked up."""
LINE_CHARS = 100
"""The length of these lines, on average, at most."""
KEPT_PLACES = 4
"""For so many cursors, the names in the lines around them are kept."""
NEAR_LINES = 8
"""At this distance from the cursor, a name counts half."""

# Types of nodes, in all grammars alike: what definitions are in, what they are never in, and
# what stands before them.
_CONTAINER = re.compile(
    r"\w*(?:class|interface|struct|enum|trait|module|namespace|impl|record|union|mod)\w*"
    r"|\w*_(?:body|block|list|statement|declaration|spec|specification|definition)|block"
    r"|preproc_\w+"
)
_CALLABLE = re.compile(r"\w*(?:function|method|constructor|lambda)\w*")
_NO_DEFINITION = re.compile(r"\w*(?:import|include|package|using|parameter|call|command)\w*")
_WRAPPER = re.compile(r"\w*decorated\w*|export_statement|template_declaration|\w+_declaration")
_OWNER = re.compile(r"\w*(?:class|interface|struct|enum|trait|module|namespace|impl|record)\w*")
_NAME_FIELDS = ("name", "left", "declarator")


@dataclass(frozen=True, slots=True, eq=False)
class DefinedFile:
    """A file and what it defines."""

    path: str
    lines: tuple[str, ...]
    by_name: Mapping[str, tuple[int, ...]] = field(repr=False)
    """The numbers of the lines that show what a name is."""


def defined_in(path: str, text: str, language: str) -> DefinedFile:
    """What a file defines; nothing in a language without a grammar, or if its tree would take
    too long. Loads the grammar."""
    text = text[:MAX_FILE_CHARS]
    lines = tuple(split_lines(text))
    found: defaultdict[str, list[int]] = defaultdict(list)
    source = encoded(text)
    tree = whole_tree(source, language) if load(language) else None
    if tree is not None:
        for name, rows in _definitions(tree.root_node, source):
            found[name] += [row for row in rows if row < len(lines)]
    return DefinedFile(path, lines, {name: tuple(rows) for name, rows in found.items()})


def definitions_near(
    prefix: str, suffix: str, files: Sequence[DefinedFile], budget_chars: int, path: str = ""
) -> tuple[Snippet, ...]:
    """The definitions of the names around the cursor, one snippet per file, the most useful
    last, within the budget in total. `path` is the document's own, which is left out."""
    if budget_chars <= 0 or not files:
        return ()
    files = tuple(files)
    where, imported = _where(files), imported_words(prefix)
    ranked: list[tuple[float, int, str]] = []
    for name, weight in _names_near(prefix, suffix, where).items():
        having = [number for number in where.get(name, ()) if files[number].path != path]
        ours = [number for number in having if module_name(files[number].path) in imported]
        if ours or len(having) <= MOST_PER_NAME:
            weight *= IMPORTED_WEIGHT if ours else 1 / max(1, len(having))
            ranked += [(-weight, number, name) for number in ours or having]
    around = pieces_around(prefix, suffix)
    chosen: dict[int, set[int]] = {}
    for _, number, name in heapq.nsmallest(MOST_TRIED, ranked):
        file = files[number]
        rows = set(file.by_name[name]) - chosen.get(number, set())
        shown = [file.lines[row] for row in rows]
        size = sum(map(len, shown))
        if size > budget_chars or all(_is_in(line, around) for line in shown):
            continue
        budget_chars -= size
        chosen.setdefault(number, set()).update(rows)
    return tuple(
        Snippet(files[number].path, "".join(files[number].lines[row] for row in sorted(rows)))
        for number, rows in reversed(chosen.items())
    )


def _is_in(line: str, pieces: Sequence[Piece]) -> bool:
    code = line.strip()
    return any(piece.has(code) for piece in pieces)


class _Where(dict[str, list[int]]):
    """The numbers of the files that define a name."""

    def __init__(self, files: tuple[DefinedFile, ...]) -> None:
        found: defaultdict[str, list[int]] = defaultdict(list)
        for number, file in enumerate(files):
            for name in file.by_name:
                found[name].append(number)
        super().__init__(found)
        self._by_line: dict[str, tuple[str, ...]] = {}

    def names_in(self, line: str) -> tuple[str, ...]:
        """The names in a line that the files define."""
        names = self._by_line.get(line)
        if names is None:
            names = tuple(name for name in _names(line) if name in self)
            if len(line) <= MAX_LINE_CHARS:
                if len(self._by_line) >= KEPT_PLACES * (LINES_BEFORE + LINES_AFTER):
                    self._by_line.clear()
                self._by_line[line] = names
        return names


# Cached, as files rarely change while one of them is edited.
@functools.lru_cache(maxsize=4)
def _where(files: tuple[DefinedFile, ...]) -> _Where:
    return _Where(files)


def _names_near(prefix: str, suffix: str, where: _Where) -> dict[str, float]:
    """The defined names around the cursor, and how much each counts."""
    found: dict[str, float] = {}
    above = lines_before(prefix[-LINES_BEFORE * LINE_CHARS :], LINES_BEFORE)
    below = lines_after(suffix[: LINES_AFTER * LINE_CHARS], LINES_AFTER)
    for lines in (above[::-1], below):
        for distance, line in enumerate(lines):
            for name in where.names_in(line):
                weight = NEAR_LINES / (NEAR_LINES + distance)
                found[name] = max(weight, found.get(name, 0.0))
    return found


def _names(line: str) -> set[str]:
    """The names in a line that something may define."""
    return {
        name
        for name in IDENTIFIER.findall(line)
        if len(name) > 2 and name.lower() not in COMMON
    }


def _definitions(
    node: Node, source: bytes, owners: tuple[int, ...] = ()
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The names that are defined in a node, with the rows that show them."""
    for child in node.named_children:
        if _NO_DEFINITION.fullmatch(child.type):
            continue
        if name := _name_of(child, source):
            yield name, (*owners, *_rows(child))
        if _CONTAINER.fullmatch(child.type) and not _CALLABLE.fullmatch(child.type):
            inside = owners
            if len(owners) < MOST_DEPTH and _OWNER.fullmatch(child.type):
                inside = (*owners, child.start_point.row)
            yield from _definitions(child, source, inside)


def _name_of(node: Node, source: bytes) -> str:
    """The last identifier in what a node says it defines."""
    name = None
    while found := next(filter(None, map(node.child_by_field_name, _NAME_FIELDS)), None):
        node = name = found
    if name is None or name.start_point.row != name.end_point.row:
        return ""
    text = source[name.start_byte : name.end_byte].decode()
    return next(reversed(IDENTIFIER.findall(text)), "")


def _rows(node: Node) -> list[int]:
    """The rows of a definition that are shown."""
    first, last = node.start_point.row, node.end_point.row
    parent = node.parent
    while parent is not None and parent.parent is not None and _WRAPPER.fullmatch(parent.type):
        first, parent = min(first, max(parent.start_point.row, first - 2)), parent.parent
    if last - first < WHOLE_LINES:
        return [*range(first, last + 1)]
    rows = [*range(first, node.start_point.row), *_head(node)]
    body = node.child_by_field_name("body")
    if body is not None and not _CALLABLE.fullmatch(node.type):
        for member in body.named_children[:MOST_MEMBERS]:
            rows += _head(member)
    return rows


def _head(node: Node) -> range:
    """The rows up to the body of a definition, and the comment that it begins with."""
    first, last = node.start_point.row, node.end_point.row
    value = node.child_by_field_name("definition") or node.child_by_field_name("value") or node
    body = value.child_by_field_name("body")
    if body is not None and body.prev_sibling is not None:
        last = body.prev_sibling.end_point.row
        documented = body
        for _ in range(2):
            documented = next(iter(documented.named_children), documented)
            if documented.type in ("string", "comment"):
                last = documented.start_point.row
    return range(first, min(last, first + HEAD_LINES - 1) + 1)
