"""`dg-lsp eval spans`, `quiet`, `lengths` and `tune`: what defaults are chosen by.

All of them use the held-out files: the parts of Python's standard library and of installed
packages that the bundled model has never seen. Settings are tuned on pip's files, and figures
are reported for the others.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.options import DeviceOption, JsonOption, ModelOption, TuningOption
from dg_lsp.config import MIN_CONFIDENCE
from dg_lsp.files import naming

if TYPE_CHECKING:
    from dg_lsp.evaluation.methods import Row
    from dg_lsp.evaluation.recording import Race

_Seed = Annotated[int, typer.Option(metavar="N", help="Seed for the choice of positions.")]
_Svg = Annotated[
    Path | None, typer.Option("--svg", metavar="FILE", help="Also plot the curve.")
]


def spans(
    model: ModelOption = None,
    device: DeviceOption = None,
    per_kind: Annotated[int, typer.Option(metavar="N", help="Spans of each kind.")] = 150,
    seed: _Seed = 1,
    only: Annotated[
        list[str] | None, typer.Option(metavar="METHOD", help="Run only these methods.")
    ] = None,
    tuning: TuningOption = False,
    card: Annotated[
        bool, typer.Option("--card", help="Put the first method's figures into the model card.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the rows as JSON.")
    ] = None,
) -> None:
    """Compare methods of filling a span on held-out code, by kind of span and by length."""
    from rich.console import Console
    from rich.progress import track

    from dg_lsp.cli.compose import load_model
    from dg_lsp.evaluation.methods import (
        METHODS,
        by_length,
        method_table,
        methods_for,
        summarize,
    )
    from dg_lsp.evaluation.spans import KINDS, draw_spans, held_out

    if unknown := [name for name in only or [] if name not in METHODS]:
        raise ArgumentError(
            f"{unknown[0]!r} is not a method; the methods are {', '.join(METHODS)}"
        )
    loaded = load_model(model, device)
    methods = methods_for(loaded)
    if missing := [name for name in only or [] if name not in methods]:
        raise ArgumentError(
            f"{missing[0]!r} is no method for {loaded.info.name}, which fills masks; "
            f"its methods are {', '.join(methods)}"
        )
    drawn = draw_spans(held_out(tuning), per_kind, seed)
    rows: list[Row] = []
    length_rows: list[Row] = []
    console = Console(stderr=True)
    for name in only or methods:
        filled = track(drawn, name, console=console)
        pairs = [(span, methods[name](loaded, span)) for span in filled]
        rows += [
            summarize(name, kind, [pair for pair in pairs if pair[0].kind == kind])
            for kind in KINDS
        ]
        rows.append(summarize(name, "all", pairs))
        length_rows += by_length(loaded.codec, name, pairs)
    print(f"{method_table(rows, 'span')}\n\n{method_table(length_rows, 'tokens')}")
    if out is not None:
        raw = [dataclasses.asdict(row) for row in (*rows, *length_rows)]
        with naming(out):
            out.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    if card:
        _write_card(
            loaded.info.name, f"--per-kind {per_kind} --seed {seed}", [*rows, *length_rows]
        )


def quiet(
    model: ModelOption = None,
    device: DeviceOption = None,
    per_kind: Annotated[int, typer.Option(metavar="N", help="Positions of each kind.")] = 40,
    seed: _Seed = 1,
    tuning: TuningOption = False,
    svg: _Svg = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how often the model stays silent where the code is complete."""
    from rich.console import Console
    from rich.progress import track

    from dg_lsp.cli.compose import load_model
    from dg_lsp.evaluation.quiet import ask, curve, curve_table, quiet_by_kind, quiet_places
    from dg_lsp.evaluation.spans import draw_spans, held_out

    loaded = load_model(model, device)
    files = held_out(tuning)
    places = [*quiet_places(files, per_kind, seed), *draw_spans(files, per_kind, seed)]
    asked = track(places, "asking", console=Console(stderr=True))
    answers = [ask(loaded, place) for place in asked]
    points, chosen = curve(answers), MIN_CONFIDENCE
    kinds = quiet_by_kind(answers, chosen)
    if as_json:
        raw = [dataclasses.asdict(point) for point in points]
        print(json.dumps({"default": chosen, "curve": raw, "abstention_rate_by_kind": kinds}))
    else:
        print(curve_table(points))
        print(f"\nabstention rate at the default of {chosen:g}:")
        print("\n".join(f"  {kind}: {rate:.1%}" for kind, rate in kinds.items()))
    if svg is not None:
        from dg_lsp.evaluation.plots import draw_quiet_curve

        draw_quiet_curve(points, chosen, svg)


def lengths(
    model: ModelOption = None,
    device: DeviceOption = None,
    per_kind: Annotated[int, typer.Option(metavar="N", help="Spans of each kind.")] = 40,
    seed: _Seed = 1,
    races: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Store the recorded races here, or read them."),
    ] = None,
    svg: _Svg = None,
) -> None:
    """Compare methods of choosing the length of a span, and their cost."""
    from rich.console import Console
    from rich.progress import track

    from dg_lsp.cli.compose import load_model
    from dg_lsp.evaluation.asking import causal_of
    from dg_lsp.evaluation.lengths import already_chosen, length_table, rows_of, rules
    from dg_lsp.evaluation.recording import read_races, record, write_races
    from dg_lsp.evaluation.shifting import LIVE
    from dg_lsp.evaluation.spans import draw_spans, held_out

    loaded = load_model(model, device)
    causal_of(loaded)
    console = Console(stderr=True)

    def recorded(tuning: bool, count: int) -> list[Race]:
        drawn = draw_spans(held_out(tuning), count, seed)
        task = "races for the biases" if tuning else "races"
        return [record(loaded, span) for span in track(drawn, task, console=console)]

    if races is not None and races.exists():
        fitted_on, told = read_races(races)
    else:
        fitted_on, told = recorded(True, per_kind), recorded(False, per_kind)
        if races is not None:
            write_races(races, fitted_on, told)
    methods = rules(fitted_on, loaded.settings.length)
    for name, fill in LIVE.items():
        filled = track(told, name, console=console)
        methods[name] = already_chosen({id(race): fill(loaded, race.span) for race in filled})
    rows = rows_of(methods, told)
    print(length_table(rows))
    if svg is not None:
        from dg_lsp.evaluation.plots import draw_lengths

        draw_lengths([row for row in rows if row.group == "all"], svg)


def seeds(
    model: ModelOption = None,
    device: DeviceOption = None,
    per_kind: Annotated[int, typer.Option(metavar="N", help="Spans of each kind.")] = 130,
    seed: _Seed = 3,
) -> None:
    """Fit how far texts from elsewhere in a document are believed, on the tuning files.

    Prints the section "seeds" of a checkpoint's dg_lsp.json.
    """
    from rich.console import Console
    from rich.progress import track

    from dg_lsp.cli.compose import load_model
    from dg_lsp.evaluation.seed_fit import fit, rank_all
    from dg_lsp.evaluation.spans import draw_spans, held_out

    loaded = load_model(model, device)
    drawn = draw_spans(held_out(True), per_kind, seed)
    ranked = [
        rank_all(loaded, span) for span in track(drawn, "ranking", console=Console(stderr=True))
    ]
    fitted = fit(ranked, loaded.settings.seeds.lanes)
    names = ("prior_nats", "prior_nats_per_score", "log_odds", "log_odds_per_score")
    print(json.dumps({name: round(getattr(fitted, name), 2) for name in names}, indent=2))


def tune(
    model: ModelOption = None,
    device: DeviceOption = None,
    per_kind: Annotated[int, typer.Option(metavar="N", help="Spans of each kind.")] = 30,
    only: Annotated[
        str,
        typer.Option(metavar="TEXT", help="Run only the variants whose name contains this."),
    ] = "",
) -> None:
    """Try other settings, one at a time, on the tuning files."""
    from rich.console import Console
    from rich.progress import track

    from dg_lsp.cli.compose import load_model
    from dg_lsp.evaluation.methods import method_table, summarize
    from dg_lsp.evaluation.spans import draw_spans, held_out
    from dg_lsp.evaluation.tuning import variants_for

    loaded = load_model(model, device)
    drawn = draw_spans(held_out(True), per_kind, seed=3)
    console = Console(stderr=True)
    for variants in variants_for(loaded):
        rows = [
            summarize(
                name,
                "all",
                [(span, method(loaded, span)) for span in track(drawn, name, console=console)],
            )
            for name, method in variants
            if only in name
        ]
        if rows:
            print(method_table(rows, "span") + "\n")


def _write_card(model: str, options: str, rows: list[Row]) -> None:
    """Write the figures of the first method under the card's last heading."""
    import torch

    from dg_lsp.evaluation.methods import method_table
    from dg_lsp.models.store import BUNDLED, BUNDLED_DIRECTORY
    from dg_lsp.training.card import with_measurements

    path = (BUNDLED_DIRECTORY if model == BUNDLED else Path(model).expanduser()) / "README.md"
    first = [row for row in rows if row.method == rows[0].method]
    measured = (
        f"`dg-lsp eval spans {options}` on all held-out files except pip's; means of the "
        f"matches, medians of the rest, on {torch.get_num_threads()} threads of this machine."
        f"\n\n{method_table(first, 'span or tokens')}\n"
    )
    text = with_measurements(path.read_text(encoding="utf-8"), measured)
    path.write_text(text, encoding="utf-8")
