"""Describes a trace in words and numbers, for a terminal and for a page.

It accepts records of any version; missing or malformed fields are left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from dg_lsp.diagnosis.findings import count_of
from dg_lsp.diagnosis.records import Record

LEAST_MS = 0.05
"""Shorter stages are not shown."""
SOURCES = {
    "document": ", from the document",
    "open file": ", from an open file",
    "workspace": ", from the workspace",
}


def plain(value: Any) -> str:
    """The value on one line."""
    return " ".join(str(value).split())


def section(value: Any) -> Record:
    """An object of a record; empty if it is missing."""
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
    """The stages with their milliseconds, and the remaining time as `rest`."""
    stages = [
        (plain(stage), float(took_ms))
        for stage, took_ms in section(record.get("timings_ms")).items()
        if isinstance(took_ms, int | float) and took_ms >= LEAST_MS
    ]
    total_ms = record.get("total_ms")
    if isinstance(total_ms, int | float):
        # A job that was joined or left running has stages outside the request.
        left_ms = total_ms - sum(took_ms for _, took_ms in stages)
        stages += [("rest", left_ms)] * (left_ms >= LEAST_MS)
    return stages


def work_of(record: Record) -> list[tuple[str, str]]:
    """What the model saw and wrote, and what was suggested, each as a label and its sizes."""
    said = (
        ("the model saw", _seen_by(record)),
        ("the model wrote", _sizes_of(record.get("candidates"))),
        ("suggested", _sizes_of(record.get("suggestions"))),
    )
    return [(label, sizes) for label, sizes in said if sizes]


def texts_of(record: Record) -> Iterator[tuple[str, str]]:
    """The texts that were kept, each with its name; those of a list are numbered."""
    for name, value in section(record.get("text")).items():
        yield from _texts(plain(name), value)


def _texts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for number, one in enumerate(value, 1):
            shown = "\n".join(map(str, one)) if isinstance(one, list) else one
            yield from _texts(f"{name} {number}", shown)
    elif isinstance(value, str):
        yield name, value


def _seen_by(record: Record) -> str:
    """What the model saw; empty if it was not asked."""
    seen = section(record.get("seen"))
    if not seen:
        return ""
    parts = [f"{seen.get('prefix_chars', 0)} + {seen.get('suffix_chars', 0)} characters"]
    for name, what in (("replaced_chars", "replaced"), ("instruction_chars", "of instruction")):
        if seen.get(name) is not None:
            parts.append(f"{seen[name]} {what}")
    if seen.get("snippets"):
        parts.append(f"{seen.get('snippet_chars', 0)} in {_count(seen['snippets'], 'snippet')}")
    if seen.get("seeds"):
        parts.append(_count(seen["seeds"], "seed"))
    if seen.get("prompt_tokens"):
        parts.append(f"{_count(seen['prompt_tokens'], 'token')} in all")
    said = ", ".join(parts)
    if record.get("steps"):
        model = plain(record.get("model") or "the model")
        said += f"; {_count(record['steps'], 'step')} of {model}"
    return said


def _sizes_of(texts: Any) -> str:
    """Length, confidence and source of each text."""
    return ", ".join(
        f"{_count(one.get('chars', 0), 'character')} "
        f"({one.get('confidence', 0)}{_source_of(one)})"
        for one in (texts if isinstance(texts, list) else ())
        if isinstance(one, dict)
    )


def _source_of(text: Record) -> str:
    """Where a text was found; empty if denoising started from noise."""
    source = SOURCES.get(plain(text.get("source")), "")
    return source and source + ", corrected" * (text.get("corrected") is True)


def _count(number: Any, noun: str) -> str:
    return count_of(number, noun) if isinstance(number, int) else f"{plain(number)} {noun}s"
