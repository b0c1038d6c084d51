"""Formats a trace as lines for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from dg_lsp.cli.cells import VISIBLE
from dg_lsp.diagnosis.reading import (
    asked_by,
    clock_of,
    place_of,
    plain,
    stages_of,
    texts_of,
    work_of,
)
from dg_lsp.diagnosis.records import Record

INDENT = " " * 14
BAR_CELLS = 48

OUTCOME_STYLES = {
    "suggested": "bold green",
    "nothing": "bold yellow",
    "refused": "bold cyan",
    "failed": "bold red",
}
FRONT_END, WAY, ENGINE = "cyan", "yellow", "green"
STAGE_STYLES = {
    "debounce": "dim",
    "rest": "dim",
    "start": "red",
    "socket": WAY,
    "queue": "magenta",
    **dict.fromkeys(("check", "mask", "window", "related", "seeds", "finish"), FRONT_END),
}
"""Colours of the front end's stages; all other stages are the engine's."""


def draw_trace(record: Record, *, is_drawn: bool) -> Iterator[Text]:
    """The lines of a trace; if drawn, with a bar of the stages."""
    yield _heading(record)
    if isinstance(record.get("reason"), str):
        yield _line("because ", _plain(record["reason"]))
    stages = stages_of(record)
    if stages and is_drawn:
        yield _line(_bar(stages))
    if stages:
        yield _line(_times(record, stages))
    for label, said in work_of(record):
        yield _line(f"{label} ", _plain(said))
    for name, text in texts_of(record):
        yield from _text(name, text)
    yield Text()


def _heading(record: Record) -> Text:
    outcome = _plain(record.get("outcome", "unknown"))
    return Text.assemble(
        (clock_of(record), "dim"),
        "  ",
        (outcome, OUTCOME_STYLES.get(outcome, "bold")),
        "  ",
        (_plain(place_of(record)), "bold"),
        "  ",
        (_plain(", ".join(asked_by(record))), "dim"),
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
    """Each stage in proportion to its time, rounded to whole cells."""
    total_ms, done_ms, drawn = sum(took_ms for _, took_ms in stages), 0.0, 0
    bar = Text()
    for stage, took_ms in stages:
        done_ms += took_ms
        cells = round(BAR_CELLS * done_ms / total_ms) - drawn
        bar.append("━" * cells, _style(stage))
        drawn += cells
    return bar


def _text(name: str, text: str) -> Iterator[Text]:
    """A text with a mark before each of its lines."""
    yield _line(Text(f"{_plain(name)}:", "bold"))
    for line in text.split("\n"):
        yield _line(Text("│ ", "dim"), line.translate(VISIBLE))


def _line(*parts: str | Text) -> Text:
    return Text.assemble(INDENT, *parts)


def _style(stage: str) -> str:
    return STAGE_STYLES.get(stage, ENGINE)


def _plain(value: Any) -> str:
    """On one line, without characters that a terminal would obey."""
    return plain(value).translate(VISIBLE)
