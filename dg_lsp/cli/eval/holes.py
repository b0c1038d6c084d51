"""`dg-lsp eval holes`: several spans filled jointly, against one after the other."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from dg_lsp.cli.options import (
    DeviceOption,
    JsonOption,
    ModelOption,
    SpanSeedOption,
    TuningOption,
)


def holes(
    model: ModelOption = None,
    device: DeviceOption = None,
    cases: Annotated[
        int, typer.Option(metavar="N", min=1, help="Cases of each number of holes.")
    ] = 150,
    counts: Annotated[
        list[int] | None,
        typer.Option("--holes", metavar="N", min=2, max=4, help="Holes in each case."),
    ] = None,
    seed: SpanSeedOption = 1,
    tuning: TuningOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare filling several spans in one canvas with filling one after the other."""
    from rich.console import Console
    from rich.progress import track

    from dg_lsp.cli.compose import load_model
    from dg_lsp.evaluation.holes import WAYS, draw_holes, holes_table, summarize
    from dg_lsp.evaluation.spans import held_out

    loaded = load_model(model, device)
    console = Console(stderr=True)
    rows = []
    for count in counts or [2, 3]:
        drawn = draw_holes(held_out(tuning), count, cases, seed)
        # In turn, so that the machine's other work slows down all ways alike.
        filled = [
            {name: way(loaded, case) for name, way in WAYS.items()}
            for case in track(drawn, f"filling {count} holes", console=console)
        ]
        rows += [
            summarize(name, count, [*zip(drawn, [one[name] for one in filled], strict=True)])
            for name in WAYS
        ]
    if as_json:
        print(json.dumps({"ways": [dataclasses.asdict(row) for row in rows]}))
        return
    print(holes_table(rows))
