"""`dg-lsp infill` in the engine's process, for quick_infill.py.

A request is a line of JSON, with the command line and the terminal, and then what the file or
standard input holds. An answer is lines of JSON with one field each: `out` and `err` are
printed, and the last one is `status`, `error`, or `again` if the command must do all by itself.
An empty line is a sign of life.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dg_lsp.cli.filling import Asked, Output, fill, read_span
from dg_lsp.document.request import CHARS_PER_TOKEN
from dg_lsp.job import Infiller, ModelInfo, OpenedModel
from dg_lsp.reason import CodedError, reason_json

if TYPE_CHECKING:
    from rich.console import Console

Print = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Terminal:
    """The terminal of the command."""

    columns: int
    lines: int
    environment: dict[str, str]
    """What says which colours it has."""


@dataclass(frozen=True, slots=True)
class Request:
    """The first line of a request."""

    asked: Asked
    terminal: Terminal | None = None


def serve_infill(
    request: bytes, jobs: Infiller, model: ModelInfo, put: Callable[[bytes], None]
) -> None:
    """Do what the command would do, up to the exit status or the error."""

    def tell(name: str, value: Any) -> None:
        put(json.dumps({name: value}).encode() + b"\n")

    try:
        wanted, content = _read(request)
    except ValueError:
        # For example a file name that is not Unicode.
        tell("again", True)
        return
    try:
        _fill(wanted, content, OpenedModel(jobs, model, _measure), tell)
    except CodedError as error:
        is_refused = isinstance(error, ValueError)
        tell("error", {**reason_json(error.reason), "is_refused": is_refused})
    except Exception:
        # The command meets the same defect, and reports it.
        tell("again", True)
    else:
        tell("status", 0)


def _read(request: bytes) -> tuple[Request, bytes]:
    from dg_lsp.service.fields import decode, parse_json

    line, _, content = request.partition(b"\n")
    return decode(Request, parse_json(line)), content


def _fill(
    wanted: Request, content: bytes, opened: OpenedModel, tell: Callable[[str, Any], None]
) -> None:
    span, options = read_span(wanted.asked, lambda path: content)
    terminal = None
    if wanted.terminal is not None:
        terminal = _console(wanted.terminal, lambda text: tell("out", text))
    output = Output(
        lambda data: tell("out", data.decode()), lambda line: tell("err", line), terminal
    )
    fill(span, options, opened, output, as_json=wanted.asked.as_json)


def _measure(text: str) -> int:
    # As for every engine in another process, so that the same command has the same job.
    return len(text) // CHARS_PER_TOKEN


def _console(terminal: Terminal, write: Print) -> Console:
    from rich.console import Console

    return Console(
        file=_Screen(write),  # type: ignore[arg-type]
        force_terminal=True,
        width=terminal.columns,
        height=terminal.lines,
        highlight=False,
        _environ=terminal.environment,
    )


class _Screen:
    """The other side's terminal, as a file."""

    encoding = "utf-8"

    def __init__(self, write: Print) -> None:
        self.write = write

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True
