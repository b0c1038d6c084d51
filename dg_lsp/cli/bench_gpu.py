"""`dg-lsp bench gpu`: measures how fast a full-size model runs here, with random weights.

The measuring itself is in dg_lsp/benchmark/gpu.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dg_lsp.cli.options import DeviceOption, JsonOption


def gpu(
    shape: Annotated[
        str, typer.Option(metavar="SHAPE", help="real (needs a GPU), or tiny for testing.")
    ] = "real",
    device: DeviceOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write JSON, tables and a plot to this folder."),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Repetitions of each step.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure our engine and generate() only.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure denoising steps, prompts and memory; compare bf16, bitsandbytes and generate().

    Needs no model: a full-size one with random weights is created on the device.
    """
    from dg_lsp.benchmark.gpu.__main__ import measure

    measure(shape, device, out, as_json, rounds, quick)
