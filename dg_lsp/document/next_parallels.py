"""The lines that are like one that the user has just changed, with the same change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dg_lsp.document.bindings import Role, field_of, function_at, node_at, occurrence
from dg_lsp.document.code_tokens import is_word, token_ends
from dg_lsp.document.following import Change, Edited, Kind, NextEdit, is_name
from dg_lsp.document.renaming import Renaming

NEAR_LINES = 40
"""How far from the edit parallel lines are looked for."""
MIN_EQUAL = 5
"""Number of tokens that two parallel lines have in common, at least."""
MIN_SHARE = 0.6
"""The share of their tokens that is."""
_TEXTS = ("string", "comment", "template", "char", "text", "quoted")


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    words: list[str]
    ends: list[int]
    """Where the tokens end, in the document."""


def parallels(edited: Edited) -> Iterator[NextEdit]:
    """The same change in other lines, in the order of the document."""
    first, before, after = edited.edit.lines(edited.text)
    changes = list(edited.changes())
    if "\n" in before or "\n" in after or len(changes) != 1:
        return
    [change] = changes
    old = _line(before, 0)
    at = sum(end + first <= change.start for end in _line(after, 0).ends)
    if not any(map(is_name, (*change.old, *change.new))) or _is_text(edited, change.start):
        return
    if _is_definition(edited, change):
        return
    for line in _near(edited.text, first, first + len(after)):
        yield from _same_change(edited, change, old.words, at, line)


def _is_definition(edited: Edited, change: Change) -> bool:
    """Whether the change is one of a name that other places may mean, or of parameters."""
    site = edited.site
    start, end = edited.offsets.byte(change.start), edited.offsets.byte(change.end)
    if function_at(site, start, end) is not None:
        return True
    node = node_at(site, start, change.new[0]) if len(change.new) == 1 else None
    found = occurrence(site, node) if node is not None else None
    is_called = node is not None and field_of(node) == "function"
    return found is not None and (
        found.scope is not None or (found.role is Role.BARE and not is_called)
    )


def _same_change(
    edited: Edited, change: Change, words: list[str], at: int, line: _Line
) -> Iterator[NextEdit]:
    """The change of `words[at:]` in a line that is like them."""
    there, end = line.words, at + len(change.old)
    if len(there) != len(words) or there[at:end] != [*change.old]:
        return
    # What is beside the change is the same too.
    if there[max(0, at - 1) : at] != words[max(0, at - 1) : at]:
        return
    if there[end : end + 1] != words[end : end + 1]:
        return
    pairs = [*zip(words, there, strict=True)]
    differing = [(one, two) for one, two in pairs if one != two]
    equal = len(words) - len(differing)
    if equal < max(MIN_EQUAL, MIN_SHARE * len(words)):
        return
    if not all(is_word(one) and is_word(two) for one, two in differing):
        return
    new = edited.text[change.start : change.end]
    text = Renaming.of(pairs, "").apply(new)
    start = line.ends[at - 1] if at else line.start
    stop = start
    if change.old:
        start, stop = line.ends[at] - len(there[at]), line.ends[end - 1]
    elif at:
        gap = edited.text[edited.text.rfind("\n", 0, change.start) + 1 : change.start]
        text = gap[len(gap.rstrip()) :] + text
    if not _is_text(edited, start):
        yield NextEdit(start, stop, edited.text[start:stop], text, Kind.PARALLEL)


def _near(text: str, start: int, end: int) -> Iterator[_Line]:
    """The lines before and after `[start, end)`."""
    first = start
    for _ in range(NEAR_LINES):
        first = text.rfind("\n", 0, max(0, first - 1)) + 1
    at = first
    for line in text[first:].split("\n", 2 * NEAR_LINES + 1)[: 2 * NEAR_LINES]:
        if line.strip() and (at + len(line) < start or at > end):
            yield _line(line, at)
        at += len(line) + 1


def _line(line: str, start: int) -> _Line:
    ends, words = token_ends(line, 0, len(line))
    return _Line(start, words, [start + end for end in ends])


def _is_text(edited: Edited, at: int) -> bool:
    """Whether a place is in a string or a comment."""
    byte = edited.offsets.byte(at)
    node = edited.site.tree.root_node.descendant_for_byte_range(byte, byte)
    while node is not None and node.parent is not None:
        if any(word in node.type for word in _TEXTS) and node.start_byte < byte < node.end_byte:
            return True
        node = node.parent
    return False
