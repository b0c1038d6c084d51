"""JSON Schemas of the messages, made from the dataclasses that define them.

`fields.py` reads and writes the messages by the same types, limits, defaults and names.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import inspect
import math
import textwrap
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

from dg_lsp.job import Limits
from dg_lsp.service.fields import (
    MAX_WHOLE,
    ONE_OR_SEVERAL,
    Json,
    encode,
    plain_hint,
    shape_of,
)

_NAMES: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}
_RUNS: Json = {
    "type": "array",
    "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
}
"""Equal values in a row: how large each is, and how many characters have it."""


@dataclasses.dataclass(slots=True)
class Components:
    """The schemas of the dataclasses that were asked for, by their names."""

    schemas: dict[str, Json] = dataclasses.field(default_factory=dict)

    def request(self, kind: type, *, strict: bool = True, nulls: bool = False) -> Json:
        """Of what is read: defaults may be left out, and where `strict`, nothing is unknown.

        `nulls` means that a field that has a default may be null instead.
        """
        return self._reference(_Way(is_request=True, strict=strict, nulls=nulls), kind)

    def answer(self, kind: type) -> Json:
        """Of what is written: all fields are there, and later versions may have more."""
        return self._reference(_Way(is_request=False, strict=False, nulls=False), kind)

    def _reference(self, way: _Way, kind: Any) -> Json:
        name = kind.__name__
        if name not in self.schemas:
            self.schemas[name] = {}
            self.schemas[name] = self._object(way, kind)
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, way: _Way, kind: Any) -> Json:
        shape, notes = shape_of(kind), _field_docs(kind)
        defaults = {one.name: one.default for one in dataclasses.fields(kind)}
        properties: Json = {}
        for name, hint in shape.hints.items():
            found = _RUNS if name in shape.runs else self._value(way, hint)
            if way.nulls and name not in shape.required:
                found = _or_null(found)
            if name in notes:
                found = {**found, "description": notes[name]}
            default = defaults[name]
            if way.is_request and default is not None and default != dataclasses.MISSING:
                found = {**found, "default": encode(default)}
            properties[name] = found
        required = shape.required if way.is_request else tuple(shape.hints)
        return {
            "type": "object",
            "description": inspect.cleandoc(kind.__doc__ or ""),
            "properties": properties,
            **({"required": [*required]} if required else {}),
            **({"additionalProperties": False} if way.strict else {}),
        }

    def _value(self, way: _Way, hint: Any) -> Json:
        hint, limits, notes = plain_hint(hint)
        if get_origin(hint) in (Union, types.UnionType):
            return _or_null(self._value(way, get_args(hint)[0]))
        if get_origin(hint) is tuple:
            item = self._value(way, get_args(hint)[0])
            several = {"type": "array", "items": item, **_at_most("maxItems", limits)}
            return {"anyOf": [item, several]} if ONE_OR_SEVERAL in notes else several
        if get_origin(hint) is dict:
            value = self._value(way, get_args(hint)[1])
            return {"type": "object", "additionalProperties": value}
        if dataclasses.is_dataclass(hint):
            return self._reference(way, hint)
        if issubclass(hint, enum.Enum):
            return {"enum": [one.value for one in hint]}
        return _scalar(hint, limits)


@dataclasses.dataclass(frozen=True, slots=True)
class _Way:
    """Whether a message is read or written, and how."""

    is_request: bool
    strict: bool
    nulls: bool


def _scalar(kind: type, limits: Limits) -> Json:
    found: Json = {"type": _NAMES[kind]}
    if kind is str:
        return {**found, **_at_most("maxLength", limits)}
    if kind is bool:
        return found
    if limits.least == -math.inf:
        # JSON has no infinity.
        return _or_null(found)
    found["exclusiveMinimum" if limits.is_open else "minimum"] = limits.least
    if kind is int:
        limits = Limits(limits.least, min(limits.most, MAX_WHOLE))
    return {**found, **_at_most("maximum", limits)}


def _at_most(name: str, limits: Limits) -> Mapping[str, float]:
    return {name: limits.most} if limits.most < math.inf else {}


def _or_null(schema: Json) -> Json:
    if {"type": "null"} in schema.get("anyOf", ()):
        return schema
    return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}


@functools.cache
def _field_docs(kind: type) -> Mapping[str, str]:
    """The texts below the fields of a dataclass and of those that it is made of."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(one):
            continue
        [body] = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            match field, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str() as text)),
                ):
                    found[name] = inspect.cleandoc(text)
    return found
