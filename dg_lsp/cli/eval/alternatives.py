"""`dg-lsp eval alternatives`: how often the right word is among the alternatives of a wrong
one."""

from __future__ import annotations

import dataclasses
import json
import statistics
from typing import Annotated

import typer

from dg_lsp.cli.options import DeviceOption, JsonOption, ModelOption, TuningOption

TOP = (1, 3, 8)


def alternatives(
    model: ModelOption = None,
    device: DeviceOption = None,
    count: Annotated[
        int, typer.Option("--count", "-n", metavar="N", min=1, help="Words to ask about.")
    ] = 400,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed for the choice of words.")] = 1,
    tuning: TuningOption = False,
    as_json: JsonOption = False,
) -> None:
    """Replace words with wrong ones, and look for the right ones among the alternatives."""
    from rich.console import Console
    from rich.progress import track

    from dg_lsp.cli.compose import load_model
    from dg_lsp.evaluation.alternatives import (
        calibration_error,
        fitted_temperature,
        look,
        wrong_words,
    )
    from dg_lsp.evaluation.spans import held_out

    loaded = load_model(model, device)
    words = wrong_words(held_out(tuning), count, seed)
    console = Console(stderr=True)
    found = [look(loaded, one) for one in track(words, "asking", console=console)]
    if as_json:
        print(json.dumps([dataclasses.asdict(one) for one in found]))
        return
    ranks = [one.rank for one in found if one.rank is not None]
    print(f"{count} wrong words\n")
    print("| the right word is | share |\n| --- | --- |")
    for top in TOP:
        name = "the first alternative" if top == 1 else f"among the first {top}"
        print(f"| {name} | {sum(rank < top for rank in ranks) / count:.0%} |")
    kept = sum(one.is_kept for one in found)
    print(f"\nthe wrong word is the likeliest of all: {kept / count:.0%}")
    said = statistics.mean(one.probability for one in found)
    print(f"mean probability of the first alternative: {said:.0%}")
    print(f"calibration error of that probability: {calibration_error(found):.2f}")
    if tuning:
        print(f"alternatives_temperature that fits: {fitted_temperature(found):.2f}")
