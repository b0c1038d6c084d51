"""JSON objects, read field by field: what is wrong is named with its value, in one line.

Knows nothing of what the objects mean.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
Json = dict[str, Any]


_HALF_ESCAPE, _HALF = re.compile(r"\\ud[89a-f]", re.IGNORECASE), re.compile("[\ud800-\udfff]")


class SchemaError(ValueError):
    """What came in is not what it should be; the message names the field and the value."""


def parse_json(body: bytes) -> Json:
    """A JSON object of text in Unicode; else a `SchemaError` names the field."""
    try:
        text = body.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
        # Halves of characters can only come as escapes, which are rare enough to look for.
        if _HALF_ESCAPE.search(text):
            _refuse_halves(value, "")
    except SchemaError:
        raise
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"the body is not JSON: {one_line(str(error))}") from error
    if not isinstance(value, dict):
        raise SchemaError(f"the body is {shown(value)}; a JSON object is needed")
    return value


def dump_json(value: Json) -> bytes:
    """Compact JSON in ASCII, so that a lone surrogate survives."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


class Fields:
    """The fields of one JSON object, each to be taken once."""

    def __init__(self, value: Json, where: str) -> None:
        self._left, self._where = dict(value), where

    def check_version(self, ours: int) -> None:
        """No version at all counts as the right one, for requests written by hand."""
        found = self._left.pop("version", ours)
        if found != ours or isinstance(found, bool):
            raise SchemaError(f"version is {shown(found)}; this side speaks {ours}")

    def end(self) -> None:
        """Refuse what nobody asked for."""
        if self._left:
            name = next(iter(self._left))
            raise SchemaError(f"{self._where}{one_line(name)} is not a known field")

    def take(self, name: str) -> Any:
        if name not in self._left:
            raise SchemaError(f"{self._where}{name} is missing")
        return self._left.pop(name)

    def text(self, name: str, default: str | None = None, most: int | None = None) -> str:
        value = self._value(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, value, "a text is needed")
        if most is not None and len(value) > most:
            raise SchemaError(
                f"{self._where}{name} has {len(value)} characters; at most {most} are allowed"
            )
        return value

    def boolean(self, name: str, default: bool) -> bool:
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, value, "true or false is needed")
        return value

    def integer(self, name: str, least: int, most: int, default: int | None = None) -> int:
        value = self._value(name, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, value, "a whole number is needed")
        if not least <= value <= most:
            raise self._wrong(name, value, f"it must be from {least} to {most}")
        return value

    def number(
        self, name: str, least: float, most: float, default: float | None = None
    ) -> float:
        value = self._value(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(name, value, "a number is needed")
        # A whole number may be larger than any floating-point number.
        if not least <= value <= most or not abs(value) <= sys.float_info.max:
            raise self._wrong(name, value, f"it must be from {least:g} to {most:g}")
        return float(value)

    def optional(self, name: str, read: Callable[[str], T]) -> T | None:
        """What is left out, or null, is `None`."""
        if self._left.get(name) is None:
            self._left.pop(name, None)
            return None
        return read(name)

    def each(self, name: str, read: Callable[[Fields], T], most: int) -> tuple[T, ...]:
        value = self._left.pop(name, [])
        if not isinstance(value, list):
            raise self._wrong(name, value, "a list is needed")
        if len(value) > most:
            raise SchemaError(f"{self._where}{name} has {len(value)} items; at most {most}")
        return tuple(
            self._part(f"{name}[{number}]", item, read) for number, item in enumerate(value)
        )

    def part(self, name: str, read: Callable[[Fields], T]) -> T:
        """An object with fields of its own."""
        return self._part(name, self.take(name), read)

    def _part(self, name: str, value: Any, read: Callable[[Fields], T]) -> T:
        if not isinstance(value, dict):
            raise self._wrong(name, value, "an object is needed")
        fields = Fields(value, f"{self._where}{name}.")
        item = read(fields)
        fields.end()
        return item

    def runs(self, name: str, length: int) -> tuple[float, ...]:
        """Runs of equal confidences; all together they must have the given length."""
        value = self.take(name)
        if not isinstance(value, list):
            raise self._wrong(name, value, "a list of runs is needed")
        spread: list[float] = []
        for run in value:
            match run:
                case [int() | float() as share, int() as count] if (
                    0 <= share <= 1 and 0 < count <= length - len(spread)
                ):
                    spread += [float(share)] * count
                case _:
                    raise self._wrong(name, run, "a run is [share, characters]")
        # An engine may have none to tell.
        if spread and len(spread) != length:
            raise SchemaError(
                f"{self._where}{name} is for {len(spread)} characters; the text has {length}"
            )
        return tuple(spread)

    def timings(self, name: str) -> dict[str, float]:
        value = self._left.pop(name, {})
        if not isinstance(value, dict):
            raise self._wrong(name, value, "an object is needed")
        stages = Fields(value, f"{self._where}{name}.")
        return {stage: stages.number(stage, 0.0, math.inf) for stage in value}

    def _value(self, name: str, default: object) -> Any:
        return self.take(name) if default is None else self._left.pop(name, default)

    def _wrong(self, name: str, value: object, needed: str) -> SchemaError:
        return SchemaError(f"{self._where}{name} is {shown(value)}; {needed}")


def _object(pairs: list[tuple[str, Any]]) -> Json:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SchemaError(f"{one_line(twice)} is there more than once")
    return value


def _no_number(name: str) -> None:
    raise SchemaError(f"the body is not JSON: {name} is not a number there")


def _refuse_halves(value: object, where: str) -> None:
    if isinstance(value, str) and _HALF.search(value):
        place = one_line(where) or "a name"
        raise SchemaError(f"{place} has half of a character, a lone surrogate")
    if isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_halves(item, f"{where}[{number}]")
    if isinstance(value, dict):
        for name, item in value.items():
            _refuse_halves(name, "")
            _refuse_halves(item, f"{where}.{name}" if where else name)


def shown(value: object) -> str:
    """A value in a message: short, and on one line."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:36]}..."


def one_line(text: str) -> str:
    """A text in a message: short, and on one line."""
    return json.dumps(text)[1:-1][:200]
