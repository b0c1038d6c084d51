"""`dg-lsp stats`: what became of the suggestions on this machine."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from dg_lsp import __version__
from dg_lsp.cli import ArgumentError
from dg_lsp.cli.options import JsonOption
from dg_lsp.reason import CodedError, ReasonCode


def stats(
    as_json: JsonOption = False,
    anon: Annotated[
        bool,
        typer.Option("--anon", help="Print a table for an issue, with public names only."),
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Delete what was counted on this machine.")
    ] = False,
) -> None:
    """Show how many suggestions were shown, accepted and kept, by language and model.

    Counted on this machine, without any text, unless the setting `usage` is off. The oldest
    counts are dropped after about twenty thousand.
    """
    from dg_lsp.diagnosis.journal import (
        forget_usage,
        read_usage,
        state_directory,
        usage_file,
    )
    from dg_lsp.diagnosis.usage import anonymous, as_markdown, summarize

    directory = state_directory()
    try:
        if forget:
            forget_usage(directory)
            return
        records = read_usage(directory)
    except OSError as error:
        raise ArgumentError(
            f"{usage_file(directory)} cannot be used: {error.strerror or error}",
            ReasonCode.BAD_FILE,
        ) from error
    rows = anonymous(records, _public_models()) if anon else summarize(records)
    if as_json:
        first = min((one.get("time", 0) for one in records), default=None)
        print(json.dumps({"since": first, "rows": rows}))
    elif not rows:
        raise CodedError(
            f"no suggestion has been counted yet; counts are kept in {usage_file(directory)}",
            ReasonCode.NOTHING_TRACED,
        )
    elif anon:
        print(as_markdown(rows, __version__))
    else:
        _draw(rows)


def _public_models() -> frozenset[str]:
    from dg_lsp.diagnosis.catalogue import AVAILABLE

    return frozenset({"bundled", *(entry.name for entry in AVAILABLE)})


def _draw(rows: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.table import Table

    from dg_lsp.cli.output import open_console
    from dg_lsp.diagnosis.usage import accepted, kept

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("language", "model"):
        table.add_column(name)
    for name in ("shown", "accepted", "partly", "kept after 30 s", "characters"):
        table.add_column(name, justify="right")
    for row in rows:
        counts = (str(row["shown"]), accepted(row), str(row["partly"]), kept(row))
        table.add_row(row["language"], row["model"], *counts, str(row["chars"]))
    open_console().print(table)
