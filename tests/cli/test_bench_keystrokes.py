"""`dg-lsp bench keystrokes`: the table, and options that are wrong."""

from __future__ import annotations

import io

from rich.console import Console

from dg_lsp.benchmark.replay.figures import figures
from dg_lsp.benchmark.replay.replaying import Replayed
from dg_lsp.benchmark.replay.window import Seen
from dg_lsp.cli import bench_keystrokes, run
from dg_lsp.cli.bench_keystrokes import _table

JOB = {
    "is_speculative": False,
    "steps": 6,
    "steps_done": 6,
    "is_done": True,
    "first_ms": 90.0,
    "took_ms": 150.0,
}
TRACES = [
    {"how": "a new job", "outcome": "suggested", "steps": 6},
    {"how": "typed through", "outcome": "suggested", "steps": 0},
    {"how": None, "outcome": "refused", "steps": 0},
    {"how": "prepared ahead", "outcome": "suggested", "steps": 0},
]


def replayed(without):
    seen = Seen(keystrokes=20, requests=3, accepted_chars=30, typed_chars=10)
    jobs = [JOB, {**JOB, "steps_done": 2, "is_done": False}, {**JOB, "is_speculative": True}]
    speculated = {"jobs": 3, "hits": 1, "steps": 15, "steps_used": 6}
    return figures(Replayed(without, "bundled", seen, TRACES, jobs, speculated))


def test_the_figures_are_of_what_happened():
    report = replayed("")

    assert report["engine_share"] == 0.1
    assert report["hits"]["typed_through"] == 1
    assert report["not_asked"] == 1
    # What is speculative is counted by itself.
    assert report["hits"]["prepared"] == 1
    assert report["speculation"] == {"jobs": 3, "hits": 1, "steps": 15, "steps_wasted": 9}
    assert report["cancelled"] == {"jobs": 1, "steps": 2, "step_share": 0.25}
    assert report["steps"]["settled"] == {"p50": 6, "p95": 6}
    assert report["engine_ms"] == {
        "first": {"p50": 90, "p95": 90},
        "settled": {"p50": 150, "p95": 150},
    }
    assert report["saved_share"] == 0.75


def test_the_table_has_a_row_for_each_variant():
    report = {"model": "bundled", "editor": "vscode", "sessions": 1, **replayed("")}
    report["ablation"] = [replayed("joined")]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(_table(report))
    shown = console.export_text()

    [everything] = [line for line in shown.splitlines() if line.lstrip().startswith("all ")]
    assert "10%" in everything
    assert "1 of 3" in everything
    assert "75%" in everything
    assert any("without joined" in line for line in shown.splitlines())


def test_no_cell_is_cut_on_a_narrow_terminal(monkeypatch, capsys):
    report = {"model": "bundled", "editor": "vscode", "sessions": 1, **replayed("")}
    report["ablation"] = [replayed("typed_through")]
    monkeypatch.setattr(bench_keystrokes, "_measured", lambda *asked: report)
    monkeypatch.setenv("COLUMNS", "60")

    assert run(["bench", "keystrokes"]) == 0
    shown = capsys.readouterr().out
    assert "without typed_through" in shown
    assert "…" not in shown


def test_an_editor_that_is_not_known():
    assert run(["bench", "keystrokes", "--editor", "vi"]) == 2
