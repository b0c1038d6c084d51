"""`dg-lsp trace`: shows what became of the last requests, and why nothing was suggested.

Reads the traces that the front ends and the engine have written, and asks no process.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from dg_lsp.cli import ArgumentError
from dg_lsp.reason import CodedError, ReasonCode

Record = dict[str, Any]


def trace(
    count: Annotated[
        int, typer.Option("--last", "-n", metavar="N", min=0, help="Number of requests.")
    ] = 10,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each request.")
    ] = False,
    with_text: Annotated[
        bool,
        typer.Option("--text", help="Show the text, if the settings had it recorded."),
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Also show new requests as they happen.")
    ] = False,
) -> None:
    """Show what became of the last requests of all editors; `dg-lsp infill` leaves none.

    For each request: what the model saw (sizes, not text), where the time went, and why
    nothing was suggested.
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
            f"{trace_file(directory)} cannot be read: {error.strerror or error}",
            ReasonCode.BAD_FILE,
        ) from error
    show = _print_json if as_json else _drawing()
    coming = follow_traces(directory) if follow else ()
    for record in itertools.chain(records, coming):
        if not with_text:
            record.pop("text", None)
        show(record)
    if not records and count:
        raise CodedError(
            f"no request has been traced yet; traces are kept in {trace_file(directory)}, and "
            "`dg-lsp infill` leaves none",
            ReasonCode.NOTHING_TRACED,
        )
    if with_text and not any("text" in record for record in records):
        kept = 'no text was recorded; set "dgLsp.trace" to "text" in the editor and ask again'
        print(f"dg-lsp: {kept}", file=sys.stderr)


def _print_json(record: Record) -> None:
    print(json.dumps(record), flush=True)


def _drawing() -> Callable[[Record], None]:
    from dg_lsp.cli.output import open_console
    from dg_lsp.cli.trace_view import draw_trace

    console = open_console()

    def draw(record: Record) -> None:
        for line in draw_trace(record, is_drawn=console.is_terminal):
            console.print(line, soft_wrap=True)

    return draw
