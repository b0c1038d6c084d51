"""One trace as lines for a terminal or a pipe. Reads records of any version: what is missing,
or not as it should be, is left out. Knows nothing of where they come from."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from dg_lsp.cli.cells import VISIBLE

INDENT = " " * 14
BAR_CELLS = 48

OUTCOME_STYLES = {
    "offered": "bold green",
    "nothing": "bold yellow",
    "refused": "bold cyan",
    "failed": "bold red",
}
LEAST_MS = 0.05
FRONT_END, WAY, ENGINE = "cyan", "yellow", "green"
STAGE_STYLES = {
    "debounce": "dim",
    "rest": "dim",
    "start": "red",
    "socket": WAY,
    "queue": "magenta",
    **dict.fromkeys(("check", "mask", "window", "related", "finish"), FRONT_END),
}
"""Any other stage is one of the engine."""

Record = dict[str, Any]


def draw_trace(record: Record, *, is_drawn: bool) -> Iterator[Text]:
    """The lines; drawn ones have a bar of the stages."""
    yield _heading(record)
    if isinstance(record.get("reason"), str):
        yield _line("because ", _plain(record["reason"]))
    stages = [
        (stage, took_ms)
        for stage, took_ms in _object(record.get("timings_ms")).items()
        if isinstance(took_ms, int | float) and took_ms >= LEAST_MS
    ]
    total_ms = record.get("total_ms")
    if isinstance(total_ms, int | float):
        # A job that was joined or left running has stages outside of the request.
        left_ms = total_ms - sum(took_ms for _, took_ms in stages)
        stages += [("rest", left_ms)] * (left_ms >= LEAST_MS)
    if stages and is_drawn:
        yield _line(_bar(stages))
    if stages:
        yield _line(_times(record, stages))
    seen = _object(record.get("seen"))
    if seen:
        yield _line("saw ", _seen(seen, record))
    for name, verb in (("candidates", "wrote "), ("offers", "offered ")):
        sizes = _sizes(record.get(name))
        if sizes:
            yield _line(verb, sizes)
    for name, value in _object(record.get("text")).items():
        yield from _texts(name, value)
    yield Text()


def _heading(record: Record) -> Text:
    at = record.get("time")
    clock = "--:--:--.---"
    if isinstance(at, int | float):
        clock = time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03}"
    outcome = str(record.get("outcome", "unknown"))
    where = _plain(record.get("file", ""))
    match record.get("position"):
        case [int() as line, int() as character]:
            where += f":{line + 1}:{character + 1}"
    method = _plain(record.get("method", "")).removeprefix("textDocument/")
    rest = [record.get("language"), method, record.get("trigger"), record.get("client")]
    return Text.assemble(
        (clock, "dim"),
        "  ",
        (outcome, OUTCOME_STYLES.get(outcome, "bold")),
        "  ",
        (where, "bold"),
        "  ",
        (", ".join(_plain(one) for one in rest if one), "dim"),
    )


def _times(record: Record, stages: list[tuple[str, float]]) -> Text:
    text = Text()
    if isinstance(record.get("total_ms"), int | float):
        text.append(f"{record['total_ms']:.1f} ms", "bold")
        how = record.get("how")
        text.append(f" from {_plain(how)}: " if how else ": ")
    for place, (stage, took_ms) in enumerate(stages):
        text.append(" · " * (place > 0), "dim")
        text.append(f"{_plain(stage)} {took_ms:.1f}", _style(stage))
    return text


def _bar(stages: list[tuple[str, float]]) -> Text:
    """Each stage as long as its share, to the nearest end of a cell."""
    total_ms, done_ms, drawn = sum(took_ms for _, took_ms in stages), 0.0, 0
    bar = Text()
    for stage, took_ms in stages:
        done_ms += took_ms
        cells = round(BAR_CELLS * done_ms / total_ms) - drawn
        bar.append("━" * cells, _style(stage))
        drawn += cells
    return bar


def _seen(seen: Record, record: Record) -> str:
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
        said += f"; {record['steps']} steps of {_plain(record.get('model') or 'the model')}"
    return said


def _sizes(texts: Any) -> str:
    sizes = [
        f"{one.get('chars', 0)} characters ({one.get('confidence', 0)})"
        for one in (texts if isinstance(texts, list) else ())
        if isinstance(one, dict)
    ]
    return ", ".join(sizes)


def _texts(name: str, value: Any) -> Iterator[Text]:
    """A text with a mark before each of its lines; lists have one after the other."""
    if isinstance(value, list):
        for number, one in enumerate(value, 1):
            shown = "\n".join(map(str, one)) if isinstance(one, list) else one
            yield from _texts(f"{name} {number}", shown)
    elif isinstance(value, str):
        yield _line(Text(f"{_plain(name)}:", "bold"))
        for line in value.split("\n"):
            yield _line(Text("│ ", "dim"), line.translate(VISIBLE))


def _line(*parts: str | Text) -> Text:
    return Text.assemble(INDENT, *parts)


def _style(stage: str) -> str:
    return STAGE_STYLES.get(stage, ENGINE)


def _object(value: Any) -> Record:
    return value if isinstance(value, dict) else {}


def _plain(value: Any) -> str:
    """On one line, and nothing that a terminal obeys."""
    return " ".join(str(value).split()).translate(VISIBLE)
