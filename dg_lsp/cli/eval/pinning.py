"""`dg-lsp eval pinning`: what starting from the suggestion is worth when one of its words is
pinned."""

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


def pinning(
    model: ModelOption = None,
    device: DeviceOption = None,
    per_kind: Annotated[
        int, typer.Option(metavar="N", min=1, help="Spans of each kind to look in.")
    ] = 130,
    seed: SpanSeedOption = 1,
    tuning: TuningOption = False,
    as_json: JsonOption = False,
) -> None:
    """Pin a word inside a suggestion, and compare filling the rest anew and from where it
    stands, with and without seeds."""
    from rich.console import Console
    from rich.progress import track

    from dg_lsp.cli.compose import load_model
    from dg_lsp.evaluation.methods import method_table, summarize
    from dg_lsp.evaluation.pinning import KINDS, STARTS, pinned_words
    from dg_lsp.evaluation.spans import draw_spans, held_out

    loaded = load_model(model, device)
    console = Console(stderr=True)
    drawn = track(
        draw_spans(held_out(tuning), per_kind, seed), "looking for pins", console=console
    )
    found = pinned_words(loaded, drawn, MIN_CONFIDENCE)
    # In turn, so that the machine's other work slows down all alike.
    pairs = [
        (one, {name: fill(loaded, one) for name, fill in STARTS.items()})
        for one in track(found, "filling", console=console)
    ]
    rows = [
        summarize(name, kind, of_kind)
        for kind in KINDS
        for name in STARTS
        if (of_kind := [(one.span, outs[name]) for one, outs in pairs if one.kind == kind])
    ]
    if as_json:
        print(json.dumps([dataclasses.asdict(row) for row in rows]))
        return
    print(method_table(rows, "pinned word"))
