"""`python -m dg_lsp.evaluation`: measure the infiller on held-out code."""

from __future__ import annotations

import cProfile
import dataclasses
import json
import pstats
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track

from dg_lsp.evaluation.methods import (
    METHODS,
    Row,
    by_length,
    infiller,
    job_of,
    summarize,
)
from dg_lsp.evaluation.spans import KINDS, draw_spans
from dg_lsp.evaluation.tuning import length_variants, sampler_variants
from dg_lsp.models.loading import load
from dg_lsp.models.store import BUNDLED, BUNDLED_DIRECTORY
from dg_lsp.training.card import with_measurements
from dg_lsp.training.corpus import held_out_files

app = typer.Typer(help=__doc__, no_args_is_help=True)

TUNED_ON = "pip/"
"""Settings are chosen on spans of these files only; figures are reported on the others."""


@app.command()
def spans(
    model: Annotated[str, typer.Option(help="Name or directory of the model.")] = BUNDLED,
    per_kind: Annotated[int, typer.Option(help="Spans of each of the four kinds.")] = 150,
    seed: Annotated[int, typer.Option(help="Which spans are drawn.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="Run only these methods.")] = None,
    tuning: Annotated[
        bool, typer.Option(help="Draw from the files settings are tuned on.")
    ] = False,
    card: Annotated[
        bool, typer.Option(help="Put the first method's figures into the model's card.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the rows as JSON.")] = None,
) -> None:
    """Compare the ways of filling a span; print Markdown tables by kind and by length."""
    console = Console(stderr=True)
    loaded = load(model)
    files = [file for file in held_out_files() if file.path.startswith(TUNED_ON) is tuning]
    drawn = draw_spans(files, per_kind, seed)
    rows: list[Row] = []
    length_rows: list[Row] = []
    for name, method in METHODS.items():
        if only and name not in only:
            continue
        pairs = [(span, method(loaded, span)) for span in track(drawn, name, console=console)]
        rows += [
            summarize(name, kind, [pair for pair in pairs if pair[0].kind == kind])
            for kind in KINDS
        ]
        rows.append(summarize(name, "all", pairs))
        length_rows += by_length(loaded.codec, name, pairs)
    print(f"{table(rows, 'span')}\n\n{table(length_rows, 'tokens')}")
    if out is not None:
        raw = [dataclasses.asdict(row) for row in (*rows, *length_rows)]
        out.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    if card:
        path = (BUNDLED_DIRECTORY if model == BUNDLED else Path(model)) / "README.md"
        first = [row for row in (*rows, *length_rows) if row.method == rows[0].method]
        measured = (
            f"`python -m dg_lsp.evaluation spans --per-kind {per_kind} --seed {seed}` on the "
            f"held-out files but for pip's, {len(drawn)} spans; means of the matches, "
            f"medians of the rest, on {torch.get_num_threads()} threads of this machine.\n\n"
            f"{table(first, 'span or tokens')}\n"
        )
        text = with_measurements(path.read_text(encoding="utf-8"), measured)
        path.write_text(text, encoding="utf-8")


@app.command()
def tune(
    model: Annotated[str, typer.Option(help="Name or directory of the model.")] = BUNDLED,
    per_kind: Annotated[int, typer.Option(help="Spans of each of the four kinds.")] = 30,
    only: Annotated[
        str, typer.Option(help="Run only the variants whose name holds this.")
    ] = "",
) -> None:
    """Try other settings on the files kept for tuning; print Markdown tables."""
    console = Console(stderr=True)
    loaded = load(model)
    files = [file for file in held_out_files() if file.path.startswith(TUNED_ON)]
    drawn = draw_spans(files, per_kind, seed=3)
    for variants in (sampler_variants(loaded.settings), length_variants(loaded.settings)):
        rows = [
            summarize(
                name,
                "all",
                [(span, method(loaded, span)) for span in track(drawn, name, console=console)],
            )
            for name, method in variants
            if only in name
        ]
        print(table(rows, "span") + "\n")


@app.command()
def profile(
    model: Annotated[str, typer.Option(help="Name or directory of the model.")] = BUNDLED,
    infills: Annotated[int, typer.Option(help="How many spans are filled.")] = 20,
) -> None:
    """Say how long an infill takes, and how much of it is the model's own forward."""
    loaded = load(model)
    files = [file for file in held_out_files() if not file.path.startswith(TUNED_ON)]
    drawn = draw_spans(files, -(-infills // len(KINDS)), seed=2)[:infills]
    infiller(loaded.settings, job_of(drawn[0]), loaded)
    outcomes = [infiller(loaded.settings, job_of(span), loaded) for span in drawn]
    for label, milliseconds in (
        ("first draft", [outcome.first_draft_ms for outcome in outcomes]),
        ("settled", [outcome.milliseconds for outcome in outcomes]),
    ):
        p50, p95 = np.percentile(milliseconds, [50, 95])
        print(f"{label:12s} median {p50:.0f} ms, 95th percentile {p95:.0f} ms")
    profiler = cProfile.Profile()
    profiler.enable()
    for span in drawn:
        infiller(loaded.settings, job_of(span), loaded)
    profiler.disable()
    stats: dict[tuple[str, int, str], tuple[int, int, float, float, object]]
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]

    def cumulative(name: str, file: str) -> float:
        return sum(
            row[3]
            for (path, _, function), row in stats.items()
            if function == name and path.endswith(file)
        )

    total = cumulative("run", "infilling.py")
    forward = sum(
        cumulative(name, "models/denoiser.py") for name in ("encode", "denoise", "score")
    )
    print(f"{len(drawn)} infills, {total / len(drawn) * 1e3:.0f} ms each under the profiler")
    for label, name, file in (
        ("encode", "encode", "models/denoiser.py"),
        ("denoise", "denoise", "models/denoiser.py"),
        ("score", "score", "models/denoiser.py"),
        ("step, all but the forward", "step", "denoising.py"),
        ("drafts", "_send_draft", "infilling.py"),
    ):
        seconds = cumulative(name, file)
        if name == "step":
            seconds -= cumulative("denoise", "models/denoiser.py")
        print(f"  {label:28s} {seconds / total:6.1%}")
    print(f"outside the model's forward: {1 - forward / total:.1%}")


def table(rows: list[Row], kinds: str) -> str:
    """The rows in Markdown; `kinds` heads the column that tells the spans apart."""
    lines = [
        f"| method | {kinds} | n | exact match | edit similarity "
        "| steps | ms | first draft ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.method} | {row.kind} | {row.spans} | {row.exact_match:.1%} | "
        f"{row.edit_similarity:.3f} | {row.steps:.0f} | {row.milliseconds:.0f} | "
        f"{row.first_draft_ms:.0f} |"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    app()
