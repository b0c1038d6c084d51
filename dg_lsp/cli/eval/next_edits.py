"""`dg-lsp eval next-edits`: what is offered after an edit, and whether it should be."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.options import JsonOption, TuningOption


def next_edits(
    per_kind: Annotated[
        int, typer.Option(metavar="N", min=1, help="Edits of each kind, at most.")
    ] = 200,
    kinds: Annotated[
        str, typer.Option(metavar="KINDS", help="What may follow, separated by commas.")
    ] = "rename,removed",
    seed: Annotated[int, typer.Option(metavar="N", help="Seed for the choice of edits.")] = 1,
    tuning: TuningOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure next edits after synthetic edits of held-out Python files.

    Python's compiler says which names mean the same, and therefore what should follow.
    """
    from rich.console import Console
    from rich.progress import track

    from dg_lsp.document.following import Kind
    from dg_lsp.evaluation.edit_cases import draw_cases
    from dg_lsp.evaluation.next_edits import figures, follow, quiet_table, table
    from dg_lsp.evaluation.spans import held_out

    known = [kind.value for kind in Kind]
    wanted = [name.strip() for name in kinds.split(",")]
    for name in wanted:
        if name not in known:
            raise ArgumentError(f"--kinds: {name!r} is none of {', '.join(known)}")
    allowed = frozenset(map(Kind, wanted))
    cases = draw_cases(held_out(tuning), per_kind, seed)
    console = Console(stderr=True)
    results = [follow(case, allowed) for case in track(cases, "editing", console=console)]
    if as_json:
        print(json.dumps(figures(results)))
        return
    print(table(results))
    print()
    print(quiet_table(results))
