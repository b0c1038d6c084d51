"""Converts dataclasses to JSON text and back.

The dataclasses define the schema: a field is named, typed and limited where it is declared
(`job.Limits`). Invalid input raises a `SchemaError` of one line that names the field, the value
and what it must be.

Equal confidences in a row go as one run, `[[0.98, 4], [0.5, 1]]` for five characters: they come
per token, so this is the shorter form, and an exact one.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import itertools
import json
import math
import re
import sys
import types
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from dg_lsp.job import IN_PROCESS, PER_CHARACTER, Limits
from dg_lsp.reason import CodedError, ReasonCode

T = TypeVar("T")
Json = dict[str, Any]
Read = Callable[[Any, str], Any]
"""Takes a value and its path in the JSON text."""

ONE_OR_SEVERAL = "a list, or one item without the list"
"""Of a field that clients send in either form."""
MAX_WHOLE = 2**62
MAX_VALUES = 20_000
"""In one JSON text; a job with all that it may have needs a few thousand. Many small values
take far more time and memory than one long text."""
_PIECES = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{,]|[^"\[{,]++', re.DOTALL)
"""A text, what begins a value, and whatever else there is."""
_HALF_ESCAPE, _HALF = re.compile(r"\\ud[89a-f]", re.IGNORECASE), re.compile("[\ud800-\udfff]")
_NEEDED: dict[type, str] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


class SchemaError(CodedError, ValueError):
    """What came in is not what it should be; the message names the field and the value."""

    code = ReasonCode.INVALID_REQUEST


def parse_json(body: bytes) -> Json:
    """A JSON object of text in Unicode; else a `SchemaError` names the field."""
    try:
        text = body.decode("utf-8-sig")
        _check_values(text)
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


def _check_values(text: str) -> None:
    """Refuse more values than any message has, without making them."""
    if len(text) <= MAX_VALUES:
        return
    # Between two values there are at most a name, a colon and white space.
    for number, _ in enumerate(_PIECES.finditer(text)):
        if number > 4 * MAX_VALUES:
            raise SchemaError(f"the body has more than {MAX_VALUES} values")


def dump_json(value: Any) -> bytes:
    """Compact JSON in ASCII, so that a lone surrogate survives."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def encode(value: Any) -> Any:
    """A dataclass as JSON, with all that is in it."""
    kind = type(value)
    # Most values first: a job has hundreds, and they are written between key and answer.
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        # JSON has no infinity; a text that the model rules out has that score.
        return None if value == -math.inf else value
    if kind is tuple:
        return [encode(item) for item in value]
    if kind is dict:
        return {name: encode(item) for name, item in value.items()}
    if isinstance(value, enum.Enum):
        return value.value
    if not dataclasses.is_dataclass(kind):
        return value
    shape = shape_of(kind)
    return {
        name: _runs(item) if name in shape.runs else encode(item)
        for name in shape.hints
        for item in (getattr(value, name),)
    }


def decode(kind: type[T], value: Any, *, strict: bool = True, nulls: bool = False) -> T:
    """A dataclass from JSON; what is left out takes its default.

    Where it is not strict, as between two versions, unknown fields are let through, and an
    unknown reason code is read as `ReasonCode.OTHER`. With `nulls`, as clients of others send
    them, null means that a field is left out.
    """
    found: T = _read_object(cast(Any, kind), _Tolerance(strict, nulls))(value, "")
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """The fields of a dataclass that other processes see."""

    hints: dict[str, Any]
    required: tuple[str, ...]
    runs: frozenset[str]


@functools.cache
def shape_of(kind: Any) -> Shape:
    """What `encode` writes and `decode` reads of a dataclass."""
    hints = get_type_hints(kind, include_extras=True)
    seen = [one for one in dataclasses.fields(kind) if one.metadata != IN_PROCESS]
    nothing = dataclasses.MISSING
    return Shape(
        {one.name: hints[one.name] for one in seen},
        tuple(one.name for one in seen if one.default is one.default_factory is nothing),
        frozenset(one.name for one in seen if PER_CHARACTER in get_args(hints[one.name])),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Tolerance:
    """What is let through, see `decode`."""

    strict: bool
    nulls: bool


@functools.cache
def _read_object(kind: Any, tolerance: _Tolerance) -> Read:
    shape = shape_of(kind)
    readers = {name: _reader(hint, tolerance) for name, hint in shape.hints.items()}

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong(where, value, "an object is needed")
        if tolerance.nulls:
            value = {name: item for name, item in value.items() if item is not None}
        start = f"{where}." if where else ""
        for name in value if tolerance.strict else ():
            if name not in readers:
                raise SchemaError(f"{start}{one_line(name)} is not a known field")
        for name in shape.required:
            if name not in value:
                raise SchemaError(f"{start}{name} is missing")
        given = {
            name: read(value[name], start + name)
            for name, read in readers.items()
            if name in value and name not in shape.runs
        }
        for name in shape.runs & value.keys():
            given[name] = _spread(value[name], start + name, len(given["text"]))
        try:
            return kind(**given)
        except ValueError as error:
            raise SchemaError(start + one_line(str(error))) from error

    return read


def plain_hint(hint: Any) -> tuple[Any, Limits, tuple[Any, ...]]:
    """A type without what is noted of it, its limits, and all notes."""
    if get_origin(hint) is not Annotated:
        return hint, Limits(), ()
    hint, *notes = get_args(hint)
    limits = next((note for note in notes if isinstance(note, Limits)), Limits())
    return hint, limits, tuple(notes)


def _reader(hint: Any, tolerance: _Tolerance) -> Read:
    """What reads a value of a type that a field has."""
    hint, limits, notes = plain_hint(hint)
    if get_origin(hint) in (Union, types.UnionType):
        present = _reader(get_args(hint)[0], tolerance)
        return lambda value, where: None if value is None else present(value, where)
    if get_origin(hint) is tuple:
        read_list = _read_list(_reader(get_args(hint)[0], tolerance), limits)
        return _read_one_or(read_list) if ONE_OR_SEVERAL in notes else read_list
    if get_origin(hint) is dict:
        return _read_mapping(_reader(get_args(hint)[1], tolerance))
    if dataclasses.is_dataclass(hint):
        return lambda value, where: _read_object(cast(Any, hint), tolerance)(value, where)
    if issubclass(hint, enum.Enum):
        otherwise = ReasonCode.OTHER if hint is ReasonCode and not tolerance.strict else None
        return _read_choice({one.value: one for one in hint}, otherwise)
    return _read_scalar(hint, limits)


def _read_text(limits: Limits) -> Read:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, str):
            raise _wrong(where, value, f"{_NEEDED[str]} is needed")
        if len(value) > limits.most:
            raise SchemaError(
                f"{where} has {len(value)} characters; at most {limits.most} are allowed"
            )
        return value

    return read


def _read_scalar(kind: type, limits: Limits) -> Read:
    if kind is str:
        return _read_text(limits)
    if kind is int:
        limits = Limits(limits.least, min(limits.most, MAX_WHOLE), limits.is_open)

    def read(value: Any, where: str) -> Any:
        if kind is float and value is None and limits.least == -math.inf:
            return -math.inf
        # JSON has one kind of numbers, and in some languages all of them have a fraction.
        if kind is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        fits = isinstance(value, int | float if kind is float else kind)
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise _wrong(where, value, f"{_NEEDED[kind]} is needed")
        # A whole number may be larger than any floating-point number.
        is_finite = kind is not float or abs(value) <= sys.float_info.max
        is_within = limits.least <= value <= limits.most
        is_within = is_within and not (limits.is_open and value == limits.least)
        if kind is not bool and not (is_within and is_finite):
            raise _wrong(where, value, f"it must be {_bounds(limits)}")
        return kind(value)

    return read


def _read_list(read_item: Read, limits: Limits) -> Read:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, list):
            raise _wrong(where, value, "a list is needed")
        if len(value) > limits.most:
            raise SchemaError(f"{where} has {len(value)} items; at most {limits.most}")
        return tuple(read_item(item, f"{where}[{at}]") for at, item in enumerate(value))

    return read


def _read_one_or(read_list: Read) -> Read:
    return lambda value, where: read_list([value] if isinstance(value, str) else value, where)


def _read_mapping(read_item: Read) -> Read:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise _wrong(where, value, "an object is needed")
        return {
            name: read_item(item, f"{where}.{one_line(name)}") for name, item in value.items()
        }

    return read


def _read_choice(choices: Mapping[str, enum.Enum], otherwise: enum.Enum | None) -> Read:
    def read(value: Any, where: str) -> Any:
        if isinstance(value, str) and otherwise is not None:
            return choices.get(value, otherwise)
        if not isinstance(value, str) or value not in choices:
            raise _wrong(where, value, f"it must be one of {', '.join(choices)}")
        return choices[value]

    return read


def _runs(confidences: tuple[float, ...]) -> list[list[float]]:
    return [[value, len([*group])] for value, group in itertools.groupby(confidences)]


def _spread(value: Any, where: str, length: int) -> tuple[float, ...]:
    """What runs stand for; all together they must have the given length."""
    if not isinstance(value, list):
        raise _wrong(where, value, "a list of runs is needed")
    spread: list[float] = []
    for run in value:
        match run:
            case [int() | float() as share, int() as count] if (
                0 <= share <= 1
                and 0 < count <= length - len(spread)
                and bool not in (type(share), type(count))
            ):
                spread += [float(share)] * count
            case _:
                raise _wrong(where, run, "a run is [share, characters]")
    # An engine may have none to tell.
    if spread and len(spread) != length:
        raise SchemaError(f"{where} is for {len(spread)} characters; the text has {length}")
    return tuple(spread)


def _bounds(limits: Limits) -> str:
    if limits.least == -math.inf:
        return "finite"
    if limits.is_open:
        return f"above {limits.least:g} and at most {limits.most:.10g}"
    if limits.most in (math.inf, MAX_WHOLE):
        return f"at least {limits.least:g}"
    return f"from {limits.least:g} to {limits.most:.10g}"


def _wrong(where: str, value: object, needed: str) -> SchemaError:
    return SchemaError(f"{where} is {shown(value)}; {needed}")


def _object(pairs: list[tuple[str, Any]]) -> Json:
    value = dict(pairs)
    if len(value) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
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
    text = json.dumps(value[:41] if isinstance(value, str) else value)
    return text if len(text) <= 40 else f"{text[:36]}..."


def one_line(text: str) -> str:
    """A text in a message: short, and on one line."""
    return json.dumps(text[:200])[1:-1][:200]
