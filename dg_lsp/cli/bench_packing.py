"""`dg-lsp bench packing`: how long packing the real shape takes on this machine's CPU."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dg_lsp.cli.options import JsonOption


def packing(
    experts: Annotated[
        int, typer.Option(metavar="N", min=1, help="Experts of each of the two layers.")
    ] = 16,
    rounds: Annotated[
        int, typer.Option(metavar="N", min=1, help="How often; the fastest counts.")
    ] = 3,
    as_json: JsonOption = False,
) -> None:
    """Pack two layers of the real shape on the CPU, and tell what all 30 would take."""
    from dg_lsp.benchmark.packing import time_packing

    took = time_packing(experts, rounds)
    if as_json:
        print(json.dumps(took.to_json()))
        return
    print(
        f"{took.parameters / 1e6:.0f} million parameters in {took.wall_s:.2f} s "
        f"({took.cpu_s:.2f} s of CPU time, {took.threads} threads): "
        f"{1e9 * took.wall_s / took.parameters:.1f} ns each\n"
        f"the real shape, {took.real_parameters / 1e9:.2f} billion: "
        f"{took.real_wall_minutes:.1f} minutes ({took.real_cpu_minutes:.1f} minutes of CPU "
        "time), and the time in which the disk reads 50 GB"
    )
