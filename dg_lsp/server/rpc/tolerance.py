"""Reads incoming messages part by part; drops a part that does not decode and keeps the rest.

Clients send values that are newer than our copy of the protocol, and sometimes mistakes, in
parts that we do not use. A message is refused only if an essential part does not decode; the
error names the part. Single edits of a document are never dropped, because the text would be
wrong from then on.
"""

from __future__ import annotations

import copy
import json
import logging
import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Optional, Union

from cattrs import (
    AttributeValidationNote,
    BaseValidationError,
    Converter,
    IterableValidationNote,
)
from cattrs.cols import is_sequence, list_structure_factory
from lsprotocol import types
from pygls.protocol import default_converter

from dg_lsp.server.workspace.documents import NO_VERSION

log = logging.getLogger(__name__)

Path = tuple[str | int, ...]
"""Keys and indexes in a message, from outside to inside."""

MOST = 2**31 - 1
"""The protocol's largest number; clients use even larger ones to mean "the end"."""

_EDITS, _CELL_EDITS = "contentChanges", ("change", "cells")
_UNUSED = ("rangeLength", "metadata", "executionSummary")
"""Parts of an edit that do not matter."""
_OUT_OF_RANGE = re.compile(r"\w+\.(\w+) should be in range ")
_STAND_INS: MappingProxyType[str, dict[Path, Any]] = MappingProxyType(
    {
        types.INITIALIZE: {("capabilities",): {}},
        types.TEXT_DOCUMENT_DID_OPEN: {
            ("textDocument", "languageId"): "plaintext",
            ("textDocument", "version"): 0,
        },
        types.TEXT_DOCUMENT_DID_CHANGE: {("textDocument", "version"): NO_VERSION},
        types.TEXT_DOCUMENT_INLINE_COMPLETION: {
            ("context",): {"triggerKind": types.InlineCompletionTriggerKind.Automatic.value}
        },
        types.TEXT_DOCUMENT_CODE_ACTION: {
            ("context",): {"diagnostics": []},
            ("context", "diagnostics"): [],
        },
    }
)
"""By method, the defaults of required parameters that are missing."""


class UnreadableError(ValueError):
    """An essential part of a message does not decode; the error message names it."""


class _PartError(ValueError):
    """The part `key` of a value is wrong."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def make_converter() -> Converter:
    """A converter that does not convert values silently, as `str(None)` would."""
    converter: Converter = default_converter()  # type: ignore[no-untyped-call]
    converter.register_structure_hook(str, _structure_text)
    converter.register_structure_hook(int, _structure_number)
    converter.register_structure_hook(types.Position, lambda raw, _: read_position(raw))
    # lsprotocol's hooks for these accept anything.
    converter.register_structure_hook(Union[int, str], _structure_token)  # noqa: UP007
    converter.register_structure_hook(Optional[Union[int, str]], _structure_token)  # noqa: UP007, UP045
    converter.register_structure_hook_factory(is_sequence, _array_hook)
    return converter


def structure(converter: Converter, message: dict[str, Any], kind: type[Any]) -> Any:
    """The typed message; parts that were dropped are removed from `message`.

    Raises `UnreadableError` if the rest is not a valid message.
    """
    causes: dict[Path, Path] = {}
    while True:
        _fill_in(message)
        try:
            return converter.structure(message, kind)
        except Exception as error:
            bad = {_existing(message, path): path for path in _bad_paths(error, ())}
        for target, path in bad.items():
            if len(target) < 2 or _is_edit(message, target):
                while causes.get(path, path) != path:
                    path = causes[path]
                raise UnreadableError(_told(message, path, path in causes))
        # From the inside out and from the end, so that no removal shifts another target.
        for target in sorted(bad, key=_depth_and_index, reverse=True):
            del _at(message, target[:-1])[target[-1]]
            log.debug("dropped %s of %s", _written(target), message.get("method", "a response"))
        causes |= bad


def read_position(raw: Any) -> types.Position:
    """A position in JSON; raises `ValueError` if it is not one."""
    numbers = []
    for key in ("line", "character"):
        try:
            number = _whole(raw[key])
        except (TypeError, KeyError) as error:
            raise _PartError(key) from error
        if number < 0:
            raise _PartError(key)
        numbers.append(min(number, MOST))
    return types.Position(*numbers)


def _fill_in(message: dict[str, Any]) -> None:
    for path, value in _STAND_INS.get(message.get("method", ""), {}).items():
        holder = _at(message, ("params", *path[:-1]))
        if isinstance(holder, dict) and holder.get(path[-1]) is None:
            holder[path[-1]] = copy.deepcopy(value)


def _bad_paths(error: BaseException, path: Path) -> Iterator[Path]:
    """The paths of the innermost errors of a failed conversion."""
    if isinstance(error, _PartError):
        yield (*path, error.key)
    elif isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            step: Path = ()
            for note in getattr(inner, "__notes__", ()):
                if isinstance(note, AttributeValidationNote):
                    step = (_json_name(note.name),)
                elif isinstance(note, IterableValidationNote):
                    step = (note.index,)
            yield from _bad_paths(inner, path + step)
    else:
        # lsprotocol checks ranges when it creates the object, and names the field in words.
        named = _OUT_OF_RANGE.match(str(error))
        yield (*path, _json_name(named[1])) if named else path


def _existing(message: dict[str, Any], path: Path) -> Path:
    """The innermost existing part on the path; a missing part invalidates the one around it."""
    found: Any = message
    for depth, key in enumerate(path):
        try:
            found = found[key]
        except (KeyError, IndexError, TypeError):
            return path[:depth]
    return path


def _is_edit(message: dict[str, Any], target: Path) -> bool:
    """Whether the part is an edit of a document, or determines one."""
    is_unused = not {*target}.isdisjoint(_UNUSED) or _at(message, target) is None
    is_edit = target[1] == _EDITS or target[1:3] == _CELL_EDITS
    return is_edit and (len(target) < 4 or not is_unused)


def _told(message: dict[str, Any], path: Path, was_dropped: bool) -> str:
    if was_dropped:
        return f"{_written(path)} is not valid"
    if _existing(message, path) != path:
        return f"{_written(path)} is missing"
    value = _at(message, path)
    # The message must not contain anything that may be the user's text.
    is_plain = value is None or isinstance(value, (bool, int, float))
    shown = f" ({json.dumps(value)[:20]})" if is_plain else ""
    return f"{_written(path)} is not valid{shown}"


def _at(message: dict[str, Any], path: Path) -> Any:
    found: Any = message
    for key in path:
        try:
            found = found[key]
        except (KeyError, IndexError, TypeError):
            return None
    return found


def _depth_and_index(path: Path) -> tuple[int, int]:
    return len(path), path[-1] if isinstance(path[-1], int) else -1


def _written(path: Path) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)[1:]


def _json_name(name: str) -> str:
    first, *others = name.removesuffix("_").split("_")
    return first + "".join(word.title() for word in others)


def _structure_text(raw: Any, kind: type[Any]) -> Any:
    if not isinstance(raw, str):
        raise TypeError("must be a string")
    return raw if kind is str else kind(raw)


def _structure_number(raw: Any, kind: type[Any]) -> Any:
    """For integers, and for what cattrs treats as such: booleans and enumerations."""
    if kind is bool:
        if not isinstance(raw, bool):
            raise TypeError("must be true or false")
        return raw
    number = _whole(raw)
    if not -MOST - 1 <= number <= MOST:
        raise ValueError("the number is out of range")
    return number if kind is int else kind(number)


def _structure_token(raw: Any, _: Any) -> int | str | None:
    if raw is None or isinstance(raw, str):
        return raw
    return _whole(raw)


def _array_hook(kind: Any, converter: Converter) -> Any:
    structure_list = list_structure_factory(kind, converter)

    def structure_array(raw: Any, kind: Any) -> Any:
        if not isinstance(raw, list):
            raise TypeError("must be an array")
        return structure_list(raw, kind)

    return structure_array


def _whole(raw: Any) -> int:
    """A whole number; some JSON libraries write 1.0 for 1."""
    if isinstance(raw, float) and raw.is_integer():
        return int(raw)
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise TypeError("must be a whole number")
    return raw
