"""`dg-lsp bench profile`: where the time of an infill goes."""

from __future__ import annotations

from typing import Annotated

import typer

from dg_lsp.cli.options import DeviceOption, ModelOption


def profile(
    model: ModelOption = None,
    device: DeviceOption = None,
    infills: Annotated[int, typer.Option(metavar="N", help="How many spans are filled.")] = 20,
) -> None:
    """Show how long an infill takes, and how much of it is the model's own forward pass."""
    from dg_lsp.benchmark.infills import time_infills
    from dg_lsp.cli.compose import load_model
    from dg_lsp.evaluation.spans import KINDS, draw_spans, held_out

    drawn = draw_spans(held_out(False), -(-infills // len(KINDS)), seed=2)[:infills]
    print(time_infills(load_model(model, device), drawn))
