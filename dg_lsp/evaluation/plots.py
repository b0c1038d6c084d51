"""Draws curves as SVG. Needs matplotlib, which comes with the extra `eval`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dg_lsp.evaluation import EvaluationError
from dg_lsp.evaluation.lengths import LengthRow
from dg_lsp.evaluation.quiet import Point

LEAST_SHOWN = 0.05
ROW_TICKS = (200, 500, 1000, 2000, 5000, 10_000)
_RC = {"svg.hashsalt": "dg-lsp", "svg.fonttype": "none", "font.size": 9}


def draw_quiet_curve(points: Sequence[Point], chosen: float, path: Path) -> None:
    """Show rate and abstention rate by threshold."""
    plt = _pyplot()
    with plt.rc_context(_RC):
        figure, axes = plt.subplots(figsize=(8, 3.4), layout="constrained")
        # A share of very few texts means nothing.
        told = [point for point in points if point.show_rate >= LEAST_SHOWN]
        for label, rates in (
            (
                "suggests nothing where the code is complete",
                [point.abstention_rate for point in told],
            ),
            (
                "suggests something where something is missing",
                [point.show_rate for point in told],
            ),
            ("right among all shown", [point.right_of_shown for point in told]),
        ):
            axes.plot([point.threshold for point in told], rates, marker=".", label=label)
        axes.axvline(chosen, color="grey", linestyle=":", label=f"default {chosen:g}")
        axes.set(xlabel="least confidence", ylabel="share", ylim=(0, 1.02))
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
        _save(figure, path)


def draw_lengths(rows: Sequence[LengthRow], path: Path) -> None:
    """Plot the quality of each method of choosing the length against its rows."""
    plt = _pyplot()
    with plt.rc_context(_RC):
        figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
        # Other rewards would lie on top of our own.
        rows = [row for row in rows if not row.method.endswith("nats a token")]
        for number, row in enumerate(rows, 1):
            axes.scatter(row.rows, row.edit_similarity, s=18, label=f"{number} {row.method}")
            axes.annotate(
                str(number), (row.rows, row.edit_similarity), (3, 3), textcoords="offset points"
            )
        axes.set(xlabel="rows of all steps, mean", ylabel="edit similarity", xscale="log")
        axes.set_xticks(ROW_TICKS, map(str, ROW_TICKS))
        axes.minorticks_off()
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
        _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    _pyplot().close(figure)


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise EvaluationError(
            "a plot needs matplotlib; run `pip install 'dg-lsp[eval]'`"
        ) from error
    matplotlib.use("svg")
    from matplotlib import pyplot

    return pyplot
