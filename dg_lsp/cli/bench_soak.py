"""`dg-lsp bench soak`: types for a long time, and says what has grown.

Starts its own servers and engine in its own runtime directory. The measuring itself is in
dg_lsp/benchmark/soak.py.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from dg_lsp.cli.options import DeviceOption, JsonOption, ModelOption
from dg_lsp.cli.own_engine import own_engine, processes_of

if TYPE_CHECKING:
    from rich.table import Table

    from dg_lsp.benchmark.soak import Soaked

SHOWN_ROWS = 8


def soak(
    keystrokes: Annotated[
        int,
        typer.Option("--keystrokes", metavar="N", min=40, help="How many keys are typed."),
    ] = 100_000,
    windows: Annotated[
        int,
        typer.Option("--windows", metavar="N", min=1, help="Windows that share the engine."),
    ] = 2,
    minutes: Annotated[
        float,
        typer.Option(
            "--minutes", metavar="N", min=0, help="Stop after about so long, with fewer keys."
        ),
    ] = 60,
    as_json: JsonOption = False,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Type for a long time and check that memory, descriptors and threads do not grow."""
    from rich.console import Console

    from dg_lsp.benchmark.soak import Plan
    from dg_lsp.benchmark.soak import soak as type_on

    status = Console(stderr=True, highlight=False).status("")
    # However the command ends, it stops its engine.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with own_engine(model, device) as serving, status:
        runtime = serving.environment["DG_LSP_RUNTIME_DIR"]
        plan = Plan(keystrokes, windows, minutes)
        soaked = asyncio.run(
            type_on(plan, serving, lambda: processes_of(runtime), status.update)
        )
    grown = soaked.grown()
    if as_json:
        print(json.dumps({**dataclasses.asdict(soaked), "grown": grown}))
    else:
        from dg_lsp.cli.output import open_console

        console = open_console()
        console.print(_table(soaked))
        for line in grown or ["Nothing grew, and every request was answered."]:
            console.print(line)
    if grown:
        raise typer.Exit(1)


def _table(soaked: Soaked) -> Table:
    from rich import box
    from rich.table import Table

    title = f"{soaked.requests} requests, {soaked.waits} waited for, {soaked.accepted} accepted"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in (
        "keystrokes",
        "servers MB",
        "engine MB",
        "descriptors",
        "threads",
        "wait ms",
    ):
        table.add_column(column, justify="right")
    every = max(1, len(soaked.samples) // SHOWN_ROWS)
    for sample in soaked.samples[every - 1 :: every]:
        table.add_row(
            f"{sample.keystrokes}",
            f"{sample.memory_mb['servers']:.0f}",
            f"{sample.memory_mb['engine']:.0f}",
            " + ".join(f"{one}" for one in sample.descriptors.values()),
            " + ".join(f"{one}" for one in sample.threads.values()),
            f"{sample.wait_ms:.0f}",
        )
    return table
