"""Checks what the JSON files of a checkpoint declare, field by field, before it is used.

A checkpoint comes from elsewhere. Only those of its fields that have a rule go on to the
library that builds a network from them; everything else is left out, because that library
fetches and runs code that some fields name. Every refusal names the file, the field, the value
and the way out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dg_lsp.models.checkpoint import CheckpointError, shown

Rule = Callable[[object], str | None]
"""What a value must be, if it is not that."""

ANOTHER = "download the checkpoint again, or use another"


def whole(least: int, most: int) -> Rule:
    needed = f"a whole number from {least} to {most}"
    return lambda value: None if type(value) is int and least <= value <= most else needed


def number(least: float, most: float) -> Rule:
    needed = f"a number from {least:g} to {most:g}"

    def fault(value: object) -> str | None:
        fits = type(value) in (int, float) and least <= value <= most  # type: ignore[operator]
        return None if fits else needed

    return fault


def flag(value: object) -> str | None:
    return None if isinstance(value, bool) else "true or false"


def one_of(*choices: str) -> Rule:
    needed = f"one of {', '.join(choices)}"
    return lambda value: None if isinstance(value, str) and value in choices else needed


def list_of(rule: Rule, most: int) -> Rule:
    def fault(value: object) -> str | None:
        if not isinstance(value, list) or len(value) > most:
            return f"a list of at most {most}"
        found = next((wrong for each in value if (wrong := rule(each)) is not None), None)
        return None if found is None else f"a list, each of which is {found}"

    return fault


ROPE_TYPE = one_of("default", "linear", "dynamic", "yarn", "longrope", "llama3", "proportional")
FACTORS = list_of(number(1e-3, 1e6), 1024)
ROPE: dict[str, Rule] = {
    "rope_type": ROPE_TYPE,
    "type": ROPE_TYPE,
    "rope_theta": number(1, 1e12),
    "partial_rotary_factor": number(1e-3, 1),
    "factor": number(1, 1e4),
    "original_max_position_embeddings": whole(1, 2**24),
    "attention_factor": number(0, 1e4),
    "beta_fast": number(0, 1e6),
    "beta_slow": number(0, 1e6),
    "mscale": number(0, 1e4),
    "mscale_all_dim": number(0, 1e4),
    "low_freq_factor": number(1e-3, 1e6),
    "high_freq_factor": number(1e-3, 1e6),
    "short_factor": FACTORS,
    "long_factor": FACTORS,
    "truncate": flag,
}
"""How positions are encoded."""


def read_fields(
    path: Path, raw: Mapping[str, Any], rules: Mapping[str, Rule], where: str = ""
) -> dict[str, Any]:
    """The fields that there is a rule for; `null` counts as left out."""
    found = {name: raw[name] for name in rules if raw.get(name) is not None}
    for name, value in found.items():
        needed = rules[name](value)
        if needed is not None:
            raise wrong_field(path, where + name, value, needed)
    return found


def read_object(path: Path, raw: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """A field that holds an object, or `None` if it is left out."""
    value = raw.get(name)
    if value is not None and not isinstance(value, dict):
        raise wrong_field(path, name, value, "an object")
    return value


def require(path: Path, found: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    for name in names:
        if name not in found:
            raise CheckpointError(f"{path}: {where}{name} is missing; {ANOTHER}")


def require_multiple(path: Path, name: str, value: int, of: str, unit: int) -> None:
    if value % unit:
        raise wrong_field(path, name, value, f"a multiple of {of}, which is {unit}")


def wrong_field(path: Path, name: str, value: object, needed: str) -> CheckpointError:
    return CheckpointError(f"{path}: {name} is {shown(value)}; it must be {needed}; {ANOTHER}")
