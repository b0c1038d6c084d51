"""Which calls in a document are certainly those of a function in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dg_lsp.document.bindings import Role, class_around, meaning, occurrence, occurrences
from dg_lsp.document.trees import ParsedSite

if TYPE_CHECKING:
    from tree_sitter import Node

_CONSTRUCTORS = ("__init__", "constructor")


def calls_of(site: ParsedSite, function: Node) -> Iterator[Node]:
    """The calls of a function, as far as it is certain that they are."""
    name = _name(function)
    if name is not None and name.text and name.text.decode() in _CONSTRUCTORS:
        owner = class_around(function)
        name = owner.child_by_field_name("name") if owner is not None else None
    if name is None or not name.text:
        return
    found = occurrences(site, name.text.decode())
    defined = occurrence(site, name)
    if defined is None or defined.scope is None:
        return
    if sum(one.scope == defined.scope for one in found) != 1:
        return
    scopes = {one.scope.id for one in found if one.scope is not None}
    for one in found:
        if one.role is Role.BARE and meaning(site, one.node, scopes) != defined.scope:
            continue
        if one.role is Role.OWN_MEMBER and class_around(one.node) != defined.scope:
            continue
        if one.role in (Role.BARE, Role.OWN_MEMBER) and (call := _call_of(one.node)):
            yield call


def _name(function: Node) -> Node | None:
    found = function.child_by_field_name("name") or function.child_by_field_name("declarator")
    while found is not None and (inner := found.child_by_field_name("declarator")):
        found = inner
    return found


def _call_of(name: Node) -> Node | None:
    """The call that a name is the function of."""
    node = name
    for _ in range(2):
        parent = node.parent
        if parent is None:
            return None
        called = parent.child_by_field_name("function") or parent.child_by_field_name(
            "constructor"
        )
        if called == node or (
            parent.type == "method_invocation" and parent.child_by_field_name("name") == node
        ):
            return parent
        node = parent
    return None
