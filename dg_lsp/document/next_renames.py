"""The places that still have the old name of what the user has just renamed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from dg_lsp.document.agreement import KEYWORDS
from dg_lsp.document.bindings import (
    Occurrence,
    Role,
    class_around,
    is_function,
    meaning,
    node_at,
    occurrence,
    occurrences,
    scopes_around,
)
from dg_lsp.document.calls import calls_of
from dg_lsp.document.following import Change, Edited, Kind, NextEdit, is_name
from dg_lsp.document.renaming import parts_of
from dg_lsp.document.trees import ParsedSite

if TYPE_CHECKING:
    from tree_sitter import Node

DISTINCTIVE_CHARS = 6
"""A member's name of at least two words and so many characters means the same everywhere."""


def renames(edited: Edited) -> Iterator[NextEdit]:
    """The edits that give other places the new name, in the order of the document."""
    for change in edited.changes():
        old, new = change.old, change.new
        if len(old) != 1 or len(new) != 1 or not _may_rename(old[0], new[0]):
            continue
        for node in _places(edited, change, old[0], new[0]):
            start = edited.offsets.char(node.start_byte)
            # `{name}` is short for `{name: name}`, and keeps its key.
            is_short = node.type == "shorthand_property_identifier"
            text = f"{old[0]}: {new[0]}" if is_short else new[0]
            yield NextEdit(start, start + len(old[0]), old[0], text, Kind.RENAME)


def _may_rename(old: str, new: str) -> bool:
    return is_name(old) and is_name(new) and not {old, new} & KEYWORDS


def _places(edited: Edited, change: Change, old: str, new: str) -> list[Node]:
    """Where the old name still stands for what has the new one."""
    site = edited.site
    node = node_at(site, edited.offsets.byte(change.start), new)
    renamed = None if node is None else occurrence(site, node)
    if renamed is None or renamed.scope is None:
        return []
    others = occurrences(site, old)
    same = [one for one in occurrences(site, new) if one.node != node]
    if _defined(same, renamed) or _is_declared_elsewhere(others):
        return []
    if renamed.role is Role.OWN_MEMBER:
        return [one.node for one in _members(site, others, renamed, old)]
    still = _defined(others, renamed)
    if still and (still[0].start < renamed.start or _is_callable(renamed.node)):
        return []
    scopes = {one.scope.id for one in others if one.scope is not None} | {renamed.scope.id}
    found = [
        one.node
        for one in others
        if not (still and _is_after(one.node, still[0].node))
        and _scope_of(site, one, scopes) == renamed.scope
    ]
    return sorted([*found, *_keywords(site, renamed, others)], key=lambda node: node.start_byte)


def _is_after(node: Node, binding: Node) -> bool:
    """Whether a name is used after it has got another value."""
    if node.start_byte < binding.start_byte:
        return False
    value = binding.parent.child_by_field_name("right") if binding.parent is not None else None
    return value is None or not value.start_byte <= node.start_byte < value.end_byte


def _scope_of(site: ParsedSite, one: Occurrence, scopes: Collection[int]) -> Node | None:
    """The scope that a name belongs to."""
    if one.role is Role.BARE:
        return meaning(site, one.node, scopes)
    return class_around(one.node) if one.role is Role.OWN_MEMBER else None


def _defined(found: list[Occurrence], like: Occurrence) -> list[Occurrence]:
    """The occurrences that define the name for the same scope."""
    return [one for one in found if one.scope == like.scope and one.role is like.role]


def _is_declared_elsewhere(found: list[Occurrence]) -> bool:
    """Whether a `global` or `nonlocal` says that the name belongs to another scope."""
    return any(
        one.node.parent is not None
        and one.node.parent.type in ("global_statement", "nonlocal_statement")
        for one in found
    )


def _is_callable(node: Node) -> bool:
    """Whether a definition is that of a function or a class."""
    parent = node.parent
    return parent is not None and (is_function(parent) or "class" in parent.type)


def _members(
    site: ParsedSite, others: list[Occurrence], renamed: Occurrence, old: str
) -> list[Occurrence]:
    """The places that mean a member by its old name."""
    parent = renamed.node.parent
    is_attribute = parent is not None and parent.type in ("attribute", "member_expression")
    still = [one for one in others if one.role is Role.OWN_MEMBER and one.scope is not None]
    inside = [one for one in still if one.scope == renamed.scope]
    if inside and (not is_attribute or inside[0].start < renamed.start):
        return []
    found = []
    words = [part for part in parts_of(old) if part.isalpha()]
    is_known = len(words) > 1 and len(old) >= DISTINCTIVE_CHARS
    is_only = len(inside) == len(still)
    for one in others:
        if one.role is Role.OWN_MEMBER:
            is_meant = (class_around(one.node) or site.tree.root_node) == renamed.scope
        elif one.role is Role.MEMBER:
            is_meant = is_known and is_only
        else:
            is_meant = (
                one.role is Role.BARE
                and not is_attribute
                and one.scope is None
                and next(scopes_around(site, one.node), None) == renamed.scope
            )
        if is_meant:
            found.append(one)
    return found


def _keywords(
    site: ParsedSite, renamed: Occurrence, others: list[Occurrence]
) -> Iterator[Node]:
    """Where calls of a function name its renamed parameter."""
    function = renamed.scope
    body = function.child_by_field_name("body") if function is not None else None
    if function is None or body is None or renamed.start >= body.start_byte:
        return
    named = [one.node for one in others if one.role is Role.KEYWORD]
    if not named or not is_function(function):
        return
    calls = [*calls_of(site, function)]
    yield from (node for node in named if _call_around(node) in calls)


def _call_around(keyword: Node) -> Node | None:
    """The call that names an argument."""
    argument = keyword.parent
    return argument and argument.parent and argument.parent.parent
