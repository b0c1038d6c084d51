"""The settings that a checkpoint brings, in `dg_lsp.json` and `generation_config.json`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from dg_lsp.config import (
    CacheSettings,
    EngineSettings,
    LengthSettings,
    MaskedSettings,
    Order,
    PromptSettings,
    PromptStyle,
    SamplerSettings,
    SeedSettings,
)
from dg_lsp.models.checkpoint import (
    GENERATION,
    METADATA,
    CheckpointError,
    one_line,
    read_json,
    shown,
)


def read_settings(directory: Path, metadata: dict[str, Any]) -> EngineSettings:
    """Engine settings with the checkpoint's own values; `metadata` is its `dg_lsp.json`.

    Raises `CheckpointError` for a value that cannot be.
    """
    try:
        return EngineSettings(
            prompt=_prompt_settings(_section(metadata, "prompt")),
            sampler=_sampler_settings(directory / GENERATION),
            length=_length_settings(_section(metadata, "length")),
            seeds=SeedSettings(**_section(metadata, "seeds")),
            masked=_masked_settings(_section(metadata, "masked")),
            cache=CacheSettings(**_section(metadata, "cache")),
            **_section(metadata, "engine"),
        )
    except (TypeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{directory / METADATA} is not valid: {one_line(error)}"
        ) from error


def _section(metadata: dict[str, Any], name: str) -> dict[str, Any]:
    section = metadata.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise ValueError(f"{name!r} is {shown(section)}, not an object")
    return dict(section)


def _prompt_settings(numbers: dict[str, Any]) -> PromptSettings:
    if "style" in numbers:
        numbers["style"] = PromptStyle(numbers["style"])
    return PromptSettings(**numbers)


def _masked_settings(numbers: dict[str, Any]) -> MaskedSettings:
    if "order" in numbers:
        numbers["order"] = Order(numbers["order"])
    for name in ("start_masks", "race_masks"):
        if name in numbers:
            numbers[name] = tuple(numbers[name])
    if "keep_after" in numbers:
        numbers["keep_after"] = tuple((step, lanes) for step, lanes in numbers["keep_after"])
    return MaskedSettings(**numbers)


def _length_settings(numbers: dict[str, Any]) -> LengthSettings:
    if "lengths" in numbers:
        numbers["lengths"] = tuple(numbers["lengths"])
        # Without any, only texts found elsewhere are tried.
        if not numbers["lengths"]:
            raise ValueError("lengths is empty; must be at least one")
    for name in ("keep_after", "warm_keep_after"):
        if name in numbers:
            numbers[name] = tuple((step, lanes) for step, lanes in numbers[name])
    return LengthSettings(**numbers)


def _sampler_settings(path: Path) -> SamplerSettings:
    raw = read_json(path) if path.is_file() else {}
    known = {field.name for field in dataclasses.fields(SamplerSettings)}
    numbers = {key: raw[key] for key in known & raw.keys() if raw[key] is not None}
    try:
        bound = _section(raw, "sampler_config").get("entropy_bound")
        if bound is not None:
            numbers["entropy_bound"] = bound
        return SamplerSettings(**numbers)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not valid: {one_line(error)}") from error
