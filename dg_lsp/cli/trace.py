"""`dg-lsp trace`: what became of the last requests, and why nothing was offered.

Reads what the front ends and the engine have kept; asks nobody. Knows nothing of LSP.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dg_lsp.cli import EXIT_FAILED, ArgumentError

if TYPE_CHECKING:
    from rich.console import Console


def trace(
    count: Annotated[
        int, typer.Option("--last", "-n", metavar="N", min=0, help="How many requests.")
    ] = 10,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each request.")
    ] = False,
    with_text: Annotated[
        bool,
        typer.Option("--text", help="Show the text, where the settings had it kept."),
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with requests as they come.")
    ] = False,
) -> None:
    """Show what became of the last requests of all editors.

    Each with what the model saw (sizes, not text), where the time went, and the reason where
    nothing was offered.
    """
    from dg_lsp.diagnosis.journal import (
        follow_traces,
        read_traces,
        state_directory,
        trace_file,
    )

    directory = state_directory()
    try:
        records = read_traces(directory, count)
    except OSError as error:
        raise ArgumentError(
            f"{trace_file(directory)} cannot be read: {error.strerror or error}"
        ) from error
    show = _printer(as_json, with_text)
    show(records)
    if follow:
        for record in follow_traces(directory):
            show([record])
    elif not records and count:
        _complain(f"no request was traced yet; they are kept in {trace_file(directory)}")
        raise typer.Exit(EXIT_FAILED)
    elif with_text and not any("text" in record for record in records):
        _complain('no text was kept; set "dgLsp.trace" to "text" in the editor and ask again')


def _printer(as_json: bool, with_text: bool) -> Any:
    if as_json:

        def show_json(records: Iterable[dict[str, Any]]) -> None:
            for record in records:
                if not with_text:
                    record.pop("text", None)
                print(json.dumps(record), flush=True)

        return show_json
    from dg_lsp.cli.output import open_console
    from dg_lsp.cli.trace_view import draw_trace

    console: Console = open_console()

    def show(records: Iterable[dict[str, Any]]) -> None:
        for record in records:
            for line in draw_trace(record, with_text, is_drawn=console.is_terminal):
                console.print(line, soft_wrap=True)

    return show


def _complain(message: str) -> None:
    print(f"dg-lsp: {message}", file=sys.stderr)
