"""What a trace says, in words and numbers, for a terminal and for a page.

Reads records of any version: what is missing, or not as it should be, is left out. Pure
functions.
"""

from __future__ import annotations

import time
from typing import Any

from dg_lsp.diagnosis.records import Record

LEAST_MS = 0.05
"""Shorter stages are not worth a word."""


def plain(value: Any) -> str:
    """On one line."""
    return " ".join(str(value).split())


def section(value: Any) -> Record:
    """An object of a record; empty where there is none."""
    return value if isinstance(value, dict) else {}


def clock_of(record: Record) -> str:
    at = record.get("time")
    if not isinstance(at, int | float):
        return "--:--:--.---"
    return time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03}"


def place_of(record: Record) -> str:
    """File, line and column, the latter from 1."""
    where = plain(record.get("file", ""))
    match record.get("position"):
        case [int() as line, int() as character]:
            where += f":{line + 1}:{character + 1}"
    return where


def asked_by(record: Record) -> list[str]:
    """Language, method, trigger and client, as far as they are known."""
    method = plain(record.get("method", "")).removeprefix("textDocument/")
    rest = [record.get("language"), method, record.get("trigger"), record.get("client")]
    return [plain(one) for one in rest if one]


def stages_of(record: Record) -> list[tuple[str, float]]:
    """Where the time went, in milliseconds, with what is left over as `rest`."""
    stages = [
        (plain(stage), float(took_ms))
        for stage, took_ms in section(record.get("timings_ms")).items()
        if isinstance(took_ms, int | float) and took_ms >= LEAST_MS
    ]
    total_ms = record.get("total_ms")
    if isinstance(total_ms, int | float):
        # A job that was joined or left running has stages outside of the request.
        left_ms = total_ms - sum(took_ms for _, took_ms in stages)
        stages += [("rest", left_ms)] * (left_ms >= LEAST_MS)
    return stages


def seen_by(record: Record) -> str:
    """What the model saw; empty where it was not asked."""
    seen = section(record.get("seen"))
    if not seen:
        return ""
    parts = [f"{seen.get('prefix_chars', 0)} + {seen.get('suffix_chars', 0)} characters"]
    for name, what in (("replaced_chars", "replaced"), ("instruction_chars", "of instruction")):
        if seen.get(name) is not None:
            parts.append(f"{seen[name]} {what}")
    if seen.get("snippets"):
        parts.append(f"{seen.get('snippet_chars', 0)} in {seen['snippets']} snippets")
    if seen.get("prompt_tokens"):
        parts.append(f"{seen['prompt_tokens']} tokens in all")
    said = ", ".join(parts)
    if record.get("steps"):
        said += f"; {record['steps']} steps of {plain(record.get('model') or 'the model')}"
    return said


def sizes_of(texts: Any) -> str:
    """Length and confidence of each text."""
    return ", ".join(
        f"{one.get('chars', 0)} characters ({one.get('confidence', 0)})"
        for one in (texts if isinstance(texts, list) else ())
        if isinstance(one, dict)
    )
