"""`dg-lsp bench load`: how an engine holds the load of many clients.

Starts two engines in a runtime directory of their own: one that lets jobs share denoising
steps, and then one that runs one job after the other. The measuring itself is in
dg_lsp/benchmark.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dg_lsp.cli.options import DeviceOption, JsonOption, ModelOption
from dg_lsp.cli.own_engine import own_engine
from dg_lsp.reason import CodedError, ReasonCode

if TYPE_CHECKING:
    from rich.table import Table

    from dg_lsp.benchmark.editor import Serving
    from dg_lsp.service.address import Address

MODES: Mapping[str, tuple[str, ...]] = {
    "shared": (),
    "in turn": ("--max-jobs", "1"),
}


def load(
    clients: Annotated[
        list[int],
        typer.Option(
            "--clients", metavar="N", min=1, help="Clients at a time; repeat for several."
        ),
    ] = [1, 4, 16, 64],  # noqa: B006
    jobs: Annotated[
        int,
        typer.Option("--jobs", metavar="N", min=1, help="Jobs of all clients together."),
    ] = 64,
    as_json: JsonOption = False,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Measure throughput and latency with many clients, beside one job after the other."""
    from rich.console import Console

    from dg_lsp.cli.compose import model_for_engine
    from dg_lsp.service.address import engine_name

    wanted = model_for_engine(model)
    # Shown on a terminal only.
    status = Console(stderr=True, highlight=False).status("")
    measured = []
    with own_engine(model, device) as serving, status:
        for mode, arguments in MODES.items():
            with _engine(serving, engine_name(wanted, device), arguments) as address:
                measured += asyncio.run(_measure(address, mode, clients, jobs, status.update))
    report = {"clients": clients, "jobs": jobs, "measured": measured}
    if as_json:
        print(json.dumps(report))
        return
    from dg_lsp.cli.output import open_console

    open_console().print(_table(report))


async def _measure(
    address: Address, mode: str, clients: list[int], jobs: int, tell: Any
) -> list[dict[str, Any]]:
    from dg_lsp.benchmark.load import hold
    from dg_lsp.service.client.infiller import HttpInfiller

    infiller = HttpInfiller(address)
    await infiller.wait_ready()
    await infiller.close()
    # Compiles and reserves what the measurement needs.
    await hold(address, min(4, jobs), min(8, jobs))
    found = []
    for count in clients:
        tell(f"{mode}, {count} clients")
        held = await hold(address, count, max(jobs, count))
        found.append({"mode": mode, **dataclasses.asdict(held)})
    return found


@contextlib.contextmanager
def _engine(serving: Serving, name: str, arguments: tuple[str, ...]) -> Iterator[Address]:
    """A real engine process, stopped at the end."""
    from dg_lsp.service.address import local_address

    command = [sys.executable, "-P", "-m", "dg_lsp", "engine", "run"]
    directory = Path(serving.environment["DG_LSP_RUNTIME_DIR"])
    process = subprocess.Popen(
        [*command, *arguments, *serving.arguments],
        env=dict(serving.environment),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        # It says so once it listens.
        said = process.stderr.readline().strip()
        address = local_address(directory, name)
        if address is None or process.poll() is not None:
            raise CodedError(f"the engine did not start: {said}", ReasonCode.NO_ENGINE)
        yield address
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()


def _table(report: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    title = f"{report['jobs']} jobs of several clients, sharing steps or one after the other"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("clients", justify="right")
    table.add_column("", no_wrap=True)
    columns = ("jobs/s", "tokens/s", "p50 s", "p95 s", "worst", "passes/job", "jobs/pass")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for count in report["clients"]:
        rows = [row for row in report["measured"] if row["clients"] == count]
        for row in rows:
            numbers = (
                *(row["jobs_per_s"], row["tokens_per_s"]),
                *(row["p50_s"], row["p95_s"], row["worst_s"]),
                *(row["passes_per_job"], row["jobs_per_pass"]),
            )
            table.add_row(
                str(count) if row is rows[0] else "",
                row["mode"] + (f" ({row['failed']} failed)" if row["failed"] else ""),
                *(f"{number:.2f}" for number in numbers),
                end_section=row is rows[-1],
            )
    return table
