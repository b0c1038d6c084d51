"""`dg-lsp bench keystrokes`: how much of typing reaches the engine.

The replay itself is in dg_lsp/benchmark/replay.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.options import JsonOption

if TYPE_CHECKING:
    from rich.table import Table

    from dg_lsp.benchmark.replay.replaying import Place
    from dg_lsp.diagnosis.recordings import Recording

TABLE_WIDTH = 180
COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "engine": lambda row: f"{row['engine_share']:.0%}",
    "typed\nthrough": lambda row: str(row["hits"]["typed_through"]),
    "cached": lambda row: str(row["hits"]["cached"]),
    "remem-\nbered": lambda row: str(row["hits"]["remembered"]),
    "joined": lambda row: str(row["hits"]["joined"]),
    "pre-\npared": lambda row: "{hits} of {jobs}".format(**row["speculation"]),
    "wasted\nsteps": lambda row: str(row["speculation"]["steps_wasted"]),
    "not\nasked": lambda row: str(row["not_asked"]),
    "steps\nfirst": lambda row: _pair(row["steps"]["first"]),
    "steps\nsettled": lambda row: _pair(row["steps"]["settled"]),
    "wait ms\nfirst": lambda row: _pair(row["wait_ms"]["first"]),
    "wait ms\nsettled": lambda row: _pair(row["wait_ms"]["settled"]),
    "steps\ncancelled": lambda row: f"{row['cancelled']['step_share']:.0%}",
    "saved": lambda row: f"{row['saved_share']:.0%}",
    "flicker": lambda row: str(row["flicker"]),
}


def keystrokes(
    sessions: Annotated[
        int, typer.Option(metavar="N", min=1, help="How many typing sessions.")
    ] = 5,
    characters: Annotated[
        int, typer.Option(metavar="N", min=20, help="How many characters each one writes.")
    ] = 100,
    editor: Annotated[
        str, typer.Option(metavar="NAME", help="Whose behaviour: vscode or neovim.")
    ] = "vscode",
    seed: Annotated[int, typer.Option(metavar="N", help="Of places and of the typist.")] = 1,
    ablate: Annotated[
        bool, typer.Option(help="Whether to repeat the replay without each feature.")
    ] = True,
    start_ms: Annotated[
        float, typer.Option(metavar="MS", min=0, help="Time until a job's first step.")
    ] = 20.0,
    step_ms: Annotated[
        float,
        typer.Option(
            metavar="MS", min=1, help="Time of each step of a job; by default as on two cores."
        ),
    ] = 17.0,
    recorded: Annotated[
        bool,
        typer.Option("--recorded", help="Replay what `dg-lsp record` has recorded instead."),
    ] = False,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="Name or directory of the model.")
    ] = "bundled",
    as_json: JsonOption = False,
) -> None:
    """Replay typing sessions, and count how many keystrokes reach the engine.

    A typist with pauses, errors, jumps, undo and accepts writes code that the bundled model has
    not been trained on, against a real server over its pipes. The replay moves the server's
    clock, and a job takes a given time on it, so that the same seed gives the same counts on
    any machine. Only engine_ms in the JSON is real time.
    """
    from dg_lsp.benchmark.replay.window import EDITORS

    if editor not in EDITORS:
        raise ArgumentError(f"--editor is {editor!r}; must be one of {', '.join(EDITORS)}")
    report = _measured(
        sessions, characters, editor, seed, ablate, start_ms, step_ms, model, recorded
    )
    if as_json:
        print(json.dumps(report))
        return
    from dg_lsp.cli.output import open_console

    console = open_console()
    # Narrower, its cells would be cut to one letter each.
    console.width = max(console.width, TABLE_WIDTH)
    console.print(_table(report))


def _measured(
    sessions: int,
    characters: int,
    editor: str,
    seed: int,
    ablate: bool,
    start_ms: float,
    step_ms: float,
    model: str,
    recorded: bool,
) -> dict[str, Any]:
    import asyncio
    from dataclasses import fields

    from rich.console import Console

    from dg_lsp.benchmark.replay.figures import figures
    from dg_lsp.benchmark.replay.paced import Pace
    from dg_lsp.benchmark.replay.replaying import Plan, draw_places, replay
    from dg_lsp.benchmark.replay.window import EDITORS
    from dg_lsp.diagnosis.journal import state_directory
    from dg_lsp.diagnosis.recordings import read_recordings
    from dg_lsp.evaluation.spans import held_out
    from dg_lsp.server.suggest.savings import Savings

    places: Sequence[Place | Recording]
    if recorded:
        places = read_recordings(state_directory())[-sessions:]
        if not places:
            raise ArgumentError("nothing has been recorded yet; `dg-lsp record --on` begins")
    else:
        files = [(file.path, file.text) for file in held_out(False)]
        places = draw_places(files, sessions, characters, seed)
    plan = Plan(places, EDITORS[editor], Pace(start_ms, step_ms), seed)
    variants = [one.name for one in fields(Savings)] if ablate else []
    # Shown on a terminal only.
    status = Console(stderr=True, highlight=False).status("")
    with status:
        replayed = asyncio.run(replay(plan, model, ["", *variants], status.update))
    first, *others = [figures(one) for one in replayed]
    return {
        "model": replayed[0].model,
        "editor": editor,
        "seed": seed,
        "sessions": len(places),
        "pace_ms": {"start": start_ms, "step": step_ms},
        **first,
        "ablation": others,
    }


def _table(report: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    title = (
        f"{report['keystrokes']} keystrokes in {report['sessions']} sessions, "
        f"{report['editor']}, {report['model']} model"
    )
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for row in (report, *report["ablation"]):
        name = f"without {row['without']}" if row["without"] else "all"
        table.add_row(name, *(show(row) for show in COLUMNS.values()))
    return table


def _pair(values: dict[str, float] | None) -> str:
    return "-" if values is None else f"{values['p50']:.0f} / {values['p95']:.0f}"
