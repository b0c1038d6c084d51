"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME_OR_PATH",
        help="Name of a model (dg-lsp models), or directory: /x, ./x, ~/x.",
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", metavar="DEVICE", help="Where it runs: cpu, cuda, mps, ..."),
]
VramOption = Annotated[
    str | None,
    typer.Option(
        "--vram",
        metavar="SIZE",
        help="Device memory it may use, such as 16GB; by default DG_LSP_VRAM, or what is free.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
TuningOption = Annotated[
    bool, typer.Option("--tuning", help="Use the files that settings are tuned on.")
]
SpanSeedOption = Annotated[int, typer.Option(metavar="N", help="Seed for the choice of spans.")]
