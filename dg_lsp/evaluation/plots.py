"""Draws curves as SVG. Needs matplotlib, which comes with the extra `eval`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dg_lsp.evaluation import EvaluationError
from dg_lsp.evaluation.lengths import LengthRow
from dg_lsp.evaluation.quiet import Point

_RC = {"svg.hashsalt": "dg-lsp", "svg.fonttype": "none", "font.size": 9}


def draw_quiet_curve(points: Sequence[Point], chosen: float, path: Path) -> None:
    """Show rate and quiet rate by threshold."""
    plt = _pyplot()
    with plt.rc_context(_RC):
        figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
        thresholds = [point.threshold for point in points]
        for label, rates in (
            ("quiet where nothing is missing", [point.quiet_rate for point in points]),
            ("shows where something is missing", [point.show_rate for point in points]),
            ("right among all that is shown", [point.right_of_shown for point in points]),
        ):
            axes.plot(thresholds, rates, marker=".", label=label)
        axes.axvline(chosen, color="grey", linestyle=":", label=f"default {chosen:g}")
        axes.set(xlabel="least confidence", ylabel="share", ylim=(0, 1.02))
        axes.legend(loc="center right")
        _save(figure, path)


def draw_lengths(rows: Sequence[LengthRow], path: Path) -> None:
    """Quality of each way of choosing the length against the rows that it costs."""
    plt = _pyplot()
    with plt.rc_context(_RC):
        figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
        for number, row in enumerate(rows, 1):
            axes.scatter(row.rows, row.edit_similarity, s=18, label=f"{number} {row.method}")
            axes.annotate(
                str(number), (row.rows, row.edit_similarity), (3, 3), textcoords="offset points"
            )
        axes.set(xlabel="rows of all steps, mean", ylabel="edit similarity", xscale="log")
        axes.legend(fontsize=6, loc="upper left", bbox_to_anchor=(1, 1))
        _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    _pyplot().close(figure)


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise EvaluationError(
            "a curve needs matplotlib; `pip install 'dg-lsp[eval]'` brings it"
        ) from error
    matplotlib.use("svg")
    from matplotlib import pyplot

    return pyplot
