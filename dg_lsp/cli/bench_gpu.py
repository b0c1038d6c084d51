"""`dg-lsp bench gpu`: how fast a model of the real shape runs here, with random weights.

Knows nothing of how that is measured (dg_lsp/benchmark/gpu).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dg_lsp.cli.options import DeviceOption


def gpu(
    shape: Annotated[
        str, typer.Option(metavar="SHAPE", help="real (needs a GPU), or tiny for a try.")
    ] = "real",
    device: DeviceOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Leave JSON, tables and a plot there as well."),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Repetitions of each step.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure denoising steps, prompts and memory, beside bf16, bitsandbytes and generate().

    Needs no model: one of the real shape is made of random weights on the device.
    """
    from dg_lsp.benchmark.gpu.__main__ import measure

    measure(shape, device, out, as_json, rounds)
