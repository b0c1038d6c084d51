"""`dg-lsp bench rehearsal`: runs a model of the real shape once on this CPU, without weights.

The rehearsal itself is in dg_lsp/benchmark/rehearsal.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Annotated

import typer

from dg_lsp.cli.options import JsonOption


def rehearsal(
    directory: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Where 14 GB of files are made and deleted; by default the system's "
            "directory for temporary files.",
        ),
    ] = None,
    layers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Layers; fewer make a smaller model.")
    ] = 30,
    experts: Annotated[
        int, typer.Option(metavar="N", min=8, help="Experts of each layer.")
    ] = 128,
    vocabulary: Annotated[
        int, typer.Option(metavar="N", min=1, help="Tokens of the vocabulary.")
    ] = 262_144,
    as_json: JsonOption = False,
) -> None:
    """Make the 26B model with random weights, load it, and run it once on the CPU.

    It reads a prompt, denoises a canvas for one step and ranks two texts. The command prints
    what that took beside the plan of the memory, and fails if a result is not finite. It needs
    16 GB of free memory and 14 GB of disk.
    """
    from rich.console import Console

    from dg_lsp.benchmark.rehearsal.run import Plan, as_text, rehearse

    # However the command ends, it deletes its files.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Shown on a terminal only.
    status = Console(stderr=True, highlight=False).status("")
    with status:
        report = rehearse(Plan(layers, experts, vocabulary, directory=directory), status.update)
    print(json.dumps(report) if as_json else as_text(report))
