"""The calls that must change after the user has added or removed a parameter.

A new parameter is passed on by its own name where that is known; nothing else can be known of
its value. One with a default need not be passed at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dg_lsp.document.bindings import (
    class_around,
    function_at,
    is_class,
    occurrences,
    parameters_of,
    scopes_around,
)
from dg_lsp.document.calls import calls_of
from dg_lsp.document.following import Edited, Kind, NextEdit
from dg_lsp.document.trees import ParsedSite

if TYPE_CHECKING:
    from tree_sitter import Node

_RECEIVERS = ("self", "cls")


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    is_needed: bool
    """Whether every call must pass it."""


def without_removed(edited: Edited) -> Iterator[NextEdit]:
    """The edits of calls that pass what was a parameter, in the order of the document."""
    pair = _pair(edited)
    if pair is None:
        return
    function, old, new = pair
    at = _extra(old, new)
    if at is not None:
        for call in calls_of(edited.site, function):
            yield from _without_argument(edited, call, at, old[at].name, len(new))


def with_added(edited: Edited) -> Iterator[NextEdit]:
    """The edits of calls that lack a new parameter, in the order of the document."""
    pair = _pair(edited)
    if pair is None:
        return
    function, old, new = pair
    at = _extra(new, old)
    if at is not None and new[at].is_needed:
        for call in calls_of(edited.site, function):
            yield from _with_argument(edited, call, at, new)


def _pair(edited: Edited) -> tuple[Node, list[_Parameter], list[_Parameter]] | None:
    """The function whose parameters were edited, with these before and after."""
    site, edit = edited.site, edited.edit
    start, end = edited.offsets.byte(edit.start), edited.offsets.byte(edit.end)
    function = function_at(site, start, end)
    if function is None:
        return None
    earlier = site.with_replaced(start, end, edit.before)
    was = function_at(earlier, start, end + len(earlier.source) - len(site.source))
    if was is None:
        return None
    old, new = _parameters(was), _parameters(function)
    return None if old is None or new is None else (function, old, new)


def _extra(longer: Sequence[_Parameter], shorter: Sequence[_Parameter]) -> int | None:
    """The place of the one parameter that only the longer list has."""
    names, others = [one.name for one in longer], [one.name for one in shorter]
    for at in range(len(names)):
        if names[:at] + names[at + 1 :] == others:
            return at
    return None


def _parameters(function: Node) -> list[_Parameter] | None:
    """The parameters that a call passes one by one; `None` if some take several."""
    listed = parameters_of(function)
    found = []
    for child in listed.named_children if listed is not None else ():
        if child.type in ("comment", "self_parameter", "receiver_parameter"):
            continue
        name = _parameter_name(child)
        if name is None or "splat" in child.type or "separator" in child.type:
            return None
        has_default = (
            "default" in child.type
            or child.type in ("assignment_pattern", "optional_parameter")
            or child.child_by_field_name("value") is not None
        )
        found.append(_Parameter(name, not has_default))
    is_method = (
        bool(found) and found[0].name in _RECEIVERS and class_around(function) is not None
    )
    return found[1:] if is_method else found


def _parameter_name(node: Node) -> str | None:
    while node.child_count:
        inner = None
        for field in ("name", "pattern", "declarator", "left"):
            inner = inner or node.child_by_field_name(field)
        inner = inner or next(iter(node.named_children), None)
        if inner is None:
            return None
        node = inner
    return node.text.decode() if node.text and node.type.endswith("identifier") else None


def _arguments(call: Node) -> tuple[Node, list[Node], dict[str, Node]] | None:
    """The list of a call, and its arguments without and with names; `None` if some are many."""
    listed = call.child_by_field_name("arguments")
    if listed is None or not listed.children:
        return None
    plain: list[Node] = []
    named: dict[str, Node] = {}
    for child in listed.named_children:
        if child.type == "comment":
            continue
        if "splat" in child.type or "spread" in child.type or "comprehension" in child.type:
            return None
        name = child.child_by_field_name("name") if child.type == "keyword_argument" else None
        if name is not None and name.text:
            named[name.text.decode()] = child
        else:
            plain.append(child)
    return listed, plain, named


def _with_argument(
    edited: Edited, call: Node, at: int, new: Sequence[_Parameter]
) -> Iterator[NextEdit]:
    """A call with the new parameter's own name as the argument, if that is known there."""
    name = new[at].name
    arguments = _arguments(call)
    if arguments is None:
        return
    listed, plain, named = arguments
    passed = {one.text.decode() for one in plain if one.text} | set(named)
    if name in passed or len(plain) + len(named) >= len(new):
        return
    if not _is_known(edited.site, call, name):
        return
    if named and not plain:
        first = min(one.start_byte for one in named.values())
        yield _edit(edited, first, first, f"{name}={name}, ")
    elif at > len(plain):
        return
    elif at < len(plain):
        yield _edit(edited, plain[at].start_byte, plain[at].start_byte, f"{name}, ")
    elif plain:
        yield _edit(edited, plain[-1].end_byte, plain[-1].end_byte, f", {name}")
    else:
        begin = listed.children[0].end_byte
        yield _edit(edited, begin, begin, name)


def _without_argument(
    edited: Edited, call: Node, at: int, name: str, most: int
) -> Iterator[NextEdit]:
    """A call without the argument of a removed parameter, if it still has that."""
    arguments = _arguments(call)
    if arguments is None:
        return
    _, plain, named = arguments
    if name in named:
        gone = named[name]
    elif len(plain) > at and len(plain) + len(named) > most:
        gone = plain[at]
    else:
        return
    every = sorted([*plain, *named.values()], key=lambda one: one.start_byte)
    index = every.index(gone)
    if index + 1 < len(every):
        yield _edit(edited, gone.start_byte, every[index + 1].start_byte, "")
    elif index:
        yield _edit(edited, every[index - 1].end_byte, gone.end_byte, "")
    else:
        yield _edit(edited, gone.start_byte, gone.end_byte, "")


def _is_known(site: ParsedSite, call: Node, name: str) -> bool:
    """Whether a name is defined around a call."""
    defining = {one.scope.id for one in occurrences(site, name) if one.scope is not None}
    return any(
        scope.id in defining for scope in scopes_around(site, call) if not is_class(scope)
    )


def _edit(edited: Edited, start: int, end: int, text: str) -> NextEdit:
    kind = Kind.ADDED if text else Kind.REMOVED
    first, last = edited.offsets.char(start), edited.offsets.char(end)
    return NextEdit(first, last, edited.text[first:last], text, kind)
