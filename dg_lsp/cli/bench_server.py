"""`dg-lsp bench server`: measures what everything around the engine costs.

Starts its own server and engine in its own runtime directory, and stops both at the end. The
measuring itself is in dg_lsp/benchmark.
"""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dg_lsp.cli.options import DeviceOption, JsonOption, ModelOption
from dg_lsp.cli.own_engine import own_engine

if TYPE_CHECKING:
    from rich.table import Table

    from dg_lsp.benchmark.overhead import Outcome, Plan

TARGET_MS = 10.0
"""Goal for the 95th percentile of the time added to a keystroke, on an idle machine."""
PARTS = {"pipe": "pipe", "front_end": "front end", "socket": "socket", "queue": "queue"}
STOPS = {
    "answered": "cancelled to answered",
    "free": "cancelled to the next job running",
    "step": "one denoising step, for comparison",
}


def server(
    document_bytes: Annotated[
        list[int],
        typer.Option(
            "--document-bytes",
            metavar="N",
            min=2000,
            help="Size of the document; repeat for several.",
        ),
    ] = [20_000, 120_000],  # noqa: B006
    rounds: Annotated[
        int,
        typer.Option("--rounds", metavar="N", min=1, help="Number of requests of each kind."),
    ] = 60,
    as_json: JsonOption = False,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Measure what the front end, the socket and the scheduler add to the engine's time."""
    from dg_lsp.benchmark.overhead import Plan

    report = _report(_measured(Plan(document_bytes, rounds), model, device))
    if as_json:
        print(json.dumps(report))
        return
    from dg_lsp.cli.output import open_console

    console = open_console()
    console.print(_added_table(report))
    console.print(_stops_table(report))


def _measured(plan: Plan, model: str | None, device: str | None) -> Outcome:
    from rich.console import Console

    from dg_lsp.benchmark.overhead import measure

    # Shown on a terminal only.
    status = Console(stderr=True, highlight=False).status("")
    # However the command ends, it stops its engine.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with own_engine(model, device) as serving, status:
        return asyncio.run(measure(plan, serving, status.update))


def _report(outcome: Outcome) -> dict[str, Any]:
    from dg_lsp.benchmark.percentiles import summary

    return {
        "model": outcome.model,
        "target_ms": TARGET_MS,
        "added": [
            {
                "kind": one.name,
                "document_bytes": one.document_bytes,
                "requests": len(one.samples),
                **{
                    f"{part}_ms": summary([getattr(sample, part) for sample in one.samples])
                    for part in ("engine", "pause", "added", *PARTS)
                },
            }
            for one in outcome.measured
        ],
        "cancel": {
            "requests": len(outcome.stops.free),
            **{f"{name}_ms": summary(getattr(outcome.stops, name)) for name in STOPS},
        },
    }


def _added_table(report: dict[str, Any]) -> Table:
    """The time added, in total and by part."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title = f"Added to the engine's own time, in ms, {report['model']} model"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("request", no_wrap=True)
    table.add_column("")
    for column in ("engine", "pause", "added", *PARTS.values()):
        table.add_column(column, justify="right")
    for row in report["added"]:
        shown = f"{row['kind']}, {row['document_bytes'] / 1e3:.0f} kB"
        is_good = row["added_ms"]["p95"] < report["target_ms"]
        for share in ("p50", "p95"):
            added = f"{row['added_ms'][share]:.1f}"
            table.add_row(
                shown if share == "p50" else f"{row['requests']} times",
                share,
                f"{row['engine_ms'][share]:.0f}",
                f"{row['pause_ms'][share]:.0f}",
                Text(added, "bold green" if is_good else "bold red"),
                *(f"{row[f'{part}_ms'][share]:.1f}" for part in PARTS),
                end_section=share == "p95",
            )
    return table


def _stops_table(report: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    cancel = report["cancel"]
    title = f"Cancelling, p50 / p95 in ms, {cancel['requests']} times"
    table = Table(title=title, title_justify="left", show_header=False, box=box.SIMPLE)
    table.add_column()
    table.add_column(justify="right")
    for name, said in STOPS.items():
        table.add_row(said, _shown(cancel[f"{name}_ms"]))
    return table


def _shown(times: dict[str, float]) -> str:
    return f"{times['p50']:.1f} / {times['p95']:.1f}"
