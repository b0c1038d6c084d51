"""Reads a section of settings from JSON into nested frozen dataclasses, and describes it.

A field is a setting. Its type is that of its default, its limits and its description come from
`about`, and its name in JSON is the field's name in camelCase. No user input raises an
exception, and no message repeats a secret.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import re
import types
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

MAX_LIST_ITEMS = 1000

Section = TypeVar("Section")


def about(
    text: str, needs: str = "a string", secret: bool = False, **limits: Any
) -> dict[str, Any]:
    """Metadata of a field: its description, what a string must be, and JSON Schema limits.

    Messages do not repeat the value of a secret.
    """
    return {"about": text, "needs": needs, "secret": secret, "limits": limits}


def parse_settings(raw: object, base: Section, path: str) -> tuple[Section, list[str]]:
    """The section with the values sent, and one line about each value that was rejected."""
    messages: list[str] = []
    return _parse_settings(raw, base, path, messages), messages


def settings_schema(defaults: object) -> dict[str, Any]:
    """A JSON schema of the section and its subsections."""
    properties: dict[str, Any] = {}
    for setting in _fields(defaults):
        default = getattr(defaults, setting.name)
        if dataclasses.is_dataclass(default):
            properties[json_name(setting.name)] = settings_schema(default)
            continue
        properties[json_name(setting.name)] = {
            **_type_schema(default),
            **setting.metadata["limits"],
            "default": _to_json(default),
            "description": setting.metadata["about"],
        }
    return {
        "type": "object",
        "description": (type(defaults).__doc__ or "").partition("\n")[0],
        "properties": properties,
        "additionalProperties": False,
    }


def settings_table(defaults: object, path: str) -> str:
    """A Markdown table of all settings, one row each."""
    lines = ["| setting | type | default | what it does |", "| --- | --- | --- | --- |"]
    for name, setting, default in _flat(defaults, path):
        kind, about = _type_words(default), setting.metadata["about"]
        limits = setting.metadata["limits"]
        if "minimum" in limits:
            kind = f"{kind}, {limits['minimum']} to {limits['maximum']}"
        shown = json.dumps(_to_json(default), ensure_ascii=False)
        cells = (f"`{name}`", kind, f"`{shown}`", about)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def json_name(name: str) -> str:
    """`debounce_ms` as `debounceMs`."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _parse_settings(raw: object, base: Section, path: str, messages: list[str]) -> Section:
    # Lua cannot tell an empty object from an empty list, and sends a list.
    if raw == []:
        return base
    if not isinstance(raw, Mapping):
        messages.append(f"{path} is {_shown(raw)}, but must be an object; it stays as it was")
        return base
    fields = {json_name(setting.name): setting for setting in _fields(base)}
    changes: dict[str, Any] = {}
    for key, value in raw.items():
        setting = fields.get(key)
        if setting is None:
            import difflib

            near = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"; did you mean {path}.{near[0]}?" if near else ""
            messages.append(f"{path}.{_shown_key(key)} is not a setting{hint}")
            continue
        if value is None:
            continue
        before = getattr(base, setting.name)
        if dataclasses.is_dataclass(before):
            changes[setting.name] = _parse_settings(value, before, f"{path}.{key}", messages)
            continue
        try:
            changes[setting.name] = _parse_value(value, before, setting.metadata)
        except ValueError as error:
            if setting.metadata["secret"]:
                messages.append(f"{path}.{key} must be {error}")
            else:
                stays = _shown(_to_json(before))
                messages.append(
                    f"{path}.{key} is {_shown(value)}, but must be {error}; it stays {stays}"
                )
    return dataclasses.replace(base, **changes)  # type: ignore[type-var]


def _parse_value(value: object, before: object, metadata: Mapping[str, Any]) -> object:
    """The value in the type of `before`; the text of a ValueError says what it must be."""
    if isinstance(before, bool):
        if isinstance(value, bool):
            return value
        raise ValueError("true or false")
    if isinstance(before, int | float):
        return _parse_number(value, before, metadata["limits"])
    if isinstance(before, enum.Enum):
        names = [member.value for member in type(before)]
        if isinstance(value, str) and value in names:
            return type(before)(value)
        raise ValueError(f"one of {', '.join(names)}")
    if isinstance(before, tuple):
        if (
            isinstance(value, list | tuple)
            and len(value) <= MAX_LIST_ITEMS
            and all(isinstance(item, str) and "\n" not in item for item in value)
        ):
            return tuple(value)
        raise ValueError(f"a list of at most {MAX_LIST_ITEMS} strings")
    if isinstance(before, Mapping):
        value = {} if value == [] else value
        if isinstance(value, Mapping) and all(
            isinstance(key, str) and isinstance(on, bool) for key, on in value.items()
        ):
            return types.MappingProxyType(dict(value))
        raise ValueError("an object with true or false for each name")
    pattern = metadata["limits"].get("pattern", "")
    if isinstance(value, str) and re.search(pattern, value):
        return value
    raise ValueError(metadata["needs"])


def _parse_number(value: object, before: float, limits: Mapping[str, Any]) -> float:
    low, high = limits["minimum"], limits["maximum"]
    kind = "a whole number" if isinstance(before, int) else "a number"
    # Lua sometimes writes whole numbers as 50.0; true and false are numbers to Python.
    good = (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and low <= value <= high
        and (isinstance(before, float) or value == int(value))
    )
    if not good:
        raise ValueError(f"{kind} from {low} to {high}")
    assert isinstance(value, int | float)
    return type(before)(value)


def _type_schema(default: object) -> dict[str, Any]:
    match default:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer"}
        case float():
            return {"type": "number"}
        case enum.Enum():
            return {"type": "string", "enum": [member.value for member in type(default)]}
        case tuple():
            return {"type": "array", "items": {"type": "string"}, "maxItems": MAX_LIST_ITEMS}
        case str():
            return {"type": "string"}
        case _:
            return {"type": "object", "additionalProperties": {"type": "boolean"}}


def _type_words(default: object) -> str:
    match default:
        case enum.Enum():
            return ", ".join(f"`{member.value}`" for member in type(default))
        case tuple():
            return "list of strings"
        case Mapping():
            return "object of booleans"
        case _:
            return str(_type_schema(default)["type"])


def _flat(section: object, path: str) -> Iterator[tuple[str, dataclasses.Field[Any], object]]:
    for setting in _fields(section):
        name, value = f"{path}.{json_name(setting.name)}", getattr(section, setting.name)
        if dataclasses.is_dataclass(value):
            yield from _flat(value, name)
        else:
            yield name, setting, value


def _fields(section: object) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(cast(Any, section))


def _to_json(value: object) -> object:
    match value:
        case enum.Enum():
            return value.value
        case tuple():
            return list(value)
        case Mapping():
            return dict(value)
        case _:
            return value


def _shown(value: object) -> str:
    """A value on one line, shortened if it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    # JSON leaves Unicode's line ends and lone surrogates as they are.
    text = "".join(c if c.isprintable() else "?" for c in text[:61])
    return text if len(text) <= 60 else f"{text[:57]}..."


def _shown_key(key: object) -> str:
    return str(key) if re.fullmatch(r"[\w.*-]{1,40}", str(key)) else _shown(str(key))
