"""Curves as SVG, the same for the same figures."""

from __future__ import annotations

import sys

import pytest

from dg_lsp.evaluation import EvaluationError
from dg_lsp.evaluation.lengths import LengthRow
from dg_lsp.evaluation.plots import draw_lengths, draw_quiet_curve
from dg_lsp.evaluation.quiet import Point

POINTS = [Point(0.0, 0.6, 0.7, 0.1, 0.1, 0.9), Point(0.5, 0.9, 0.2, 0.5, 0.1, 1.0)]
ROWS = [LengthRow("oracle", "all", 3, 0.5, 0.6, 100.0, 4.0)]


def test_both_curves_say_what_they_show(tmp_path) -> None:
    for name in ("a.svg", "b.svg"):
        draw_quiet_curve(POINTS, 0.15, tmp_path / name)
    draw_lengths(ROWS, tmp_path / "lengths.svg")

    quiet = (tmp_path / "a.svg").read_text()
    assert quiet == (tmp_path / "b.svg").read_text()
    assert "least confidence" in quiet
    assert "default 0.15" in quiet
    assert "1 oracle" in (tmp_path / "lengths.svg").read_text()


def test_without_matplotlib_it_says_how_to_get_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(EvaluationError, match=r"dg-lsp\[eval\]"):
        draw_quiet_curve(POINTS, 0.15, tmp_path / "a.svg")
