"""`dg-lsp eval departures`: what starting from an earlier suggestion is worth."""

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
from dg_lsp.config import MIN_CONFIDENCE


def departures(
    model: ModelOption = None,
    device: DeviceOption = None,
    per_kind: Annotated[
        int, typer.Option(metavar="N", min=1, help="Spans of each kind to look in.")
    ] = 130,
    seed: SpanSeedOption = 1,
    tuning: TuningOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare warm and cold starts after the user types something else than was suggested."""
    from rich.console import Console
    from rich.progress import track

    from dg_lsp.cli.compose import load_model
    from dg_lsp.evaluation.departures import departures, fill
    from dg_lsp.evaluation.methods import method_table, summarize
    from dg_lsp.evaluation.spans import draw_spans, held_out

    loaded = load_model(model, device)
    console = Console(stderr=True)
    drawn = track(
        draw_spans(held_out(tuning), per_kind, seed), "looking for departures", console=console
    )
    found = departures(loaded, drawn, MIN_CONFIDENCE)
    # In turn, so that the machine's other work slows down both alike.
    pairs = [
        [(one.span, fill(loaded, one, is_warm=is_warm)) for is_warm in (False, True)]
        for one in track(found, "filling", console=console)
    ]
    rows = [
        summarize(name, "all", [pair[at] for pair in pairs])
        for at, name in enumerate(("cold start", "warm start"))
        if pairs
    ]
    same = sum(cold.text == warm.text for (_, cold), (_, warm) in pairs)
    if as_json:
        raw = [dataclasses.asdict(row) for row in rows]
        print(json.dumps({"departures": len(found), "same_text": same, "starts": raw}))
        return
    print(f"{len(found)} departures; {same} times, both starts wrote the same text\n")
    print(method_table(rows, "departures"))
