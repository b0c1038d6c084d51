"""`dg-lsp bench server`: a whole measurement with the bundled model, small."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from dg_lsp.benchmark import overhead
from dg_lsp.benchmark.overhead import Measured, Outcome, Sample, Stops
from dg_lsp.cli import run
from dg_lsp.cli.bench_server import PARTS, _added_table, _report, _stops_table
from dg_lsp.reason import ReasonCode


def test_a_measurement_of_the_real_thing(monkeypatch, capsys, tiny_checkpoint):
    monkeypatch.setattr(overhead, "NUM_WARM_UPS", 0)
    options = ["--model", str(tiny_checkpoint), "--document-bytes", "3000", "--rounds", "1"]
    assert run(["bench", "server", *options, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)

    assert report["model"] == tiny_checkpoint.name
    assert [row["kind"] for row in report["added"]] == ["keystroke", "typing burst"]
    for row in report["added"]:
        assert row["requests"] == 1
        assert row["engine_ms"]["p50"] > 0
        parts = sum(row[f"{part}_ms"]["p50"] for part in PARTS)
        assert abs(row["added_ms"]["p50"] - parts) < 0.01
    assert report["cancel"]["requests"] == 1
    assert report["cancel"]["free_ms"]["p50"] > 0


def test_the_tables_have_a_row_for_each_kind():
    sample = Sample(100.0, pipe=1.0, front_end=2.0, socket=3.0, queue=0.5, pause=40.0)
    measured = [Measured("keystroke", 20_000, [sample]), Measured("burst", 120_000, [sample])]
    outcome = Outcome("bundled", measured, Stops([1.0], [2.0], [3.0]))
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(_added_table(_report(outcome)))
    console.print(_stops_table(_report(outcome)))
    shown = console.export_text()

    row = next(line for line in shown.splitlines() if "keystroke, 20 kB" in line)
    assert row.replace("│", " ").split() == [
        *("keystroke,", "20", "kB", "p50", "100", "40", "6.5", "1.0", "2.0", "3.0", "0.5")
    ]
    assert "cancelled to answered" in shown


def test_typing_for_a_while_leaves_no_request_unanswered(capsys, tiny_checkpoint):
    options = ["--model", str(tiny_checkpoint), "--keystrokes", "80", "--windows", "2"]
    run(["bench", "soak", *options, "--json"])
    report = json.loads(capsys.readouterr().out)

    assert report["requests"] > 80
    assert report["waits"] >= 3
    assert report["unanswered"] == 0
    assert len(report["samples"]) == 40
    for sample in report["samples"]:
        assert all(size > 10 for size in sample["memory_mb"].values())
        assert all(count > 0 for count in sample["descriptors"].values())


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_ended_from_outside_it_takes_its_engine_along(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "dg_lsp", "bench", "server", "--model", "bundled"]
    bench = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        while not (engines := _working_in(tmp_path)):
            assert bench.poll() is None
            time.sleep(0.1)
        bench.send_signal(signal.SIGTERM)
        assert bench.wait(60) != 0
        _, alive = psutil.wait_procs(engines, timeout=30)
    finally:
        bench.kill()
    assert alive == []
    assert not list(tmp_path.glob("dg-lsp-bench-*"))


def _working_in(directory: Path) -> list[psutil.Process]:
    """Engines whose sockets are below the directory."""
    found = []
    for process in psutil.process_iter():
        try:
            runtime = process.environ().get("DG_LSP_RUNTIME_DIR", "")
            if runtime.startswith(str(directory)) and "engine" in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_packing_is_timed_in_layers_of_the_real_width(capsys):
    assert run(["bench", "packing", "--experts", "1", "--rounds", "1", "--json"]) == 0
    took = json.loads(capsys.readouterr().out)

    assert took["real_parameters"] == pytest.approx(25.25e9, rel=0.002)
    share = took["real_parameters"] / took["parameters"]
    assert took["real_wall_minutes"] == pytest.approx(took["wall_s"] * share / 60)
    assert took["real_cpu_minutes"] == pytest.approx(took["cpu_s"] * share / 60)


REHEARSAL = ["--layers", "1", "--experts", "8", "--vocabulary", "8192"]


def rehearse(directory: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dg_lsp", "bench", "rehearsal", *REHEARSAL, *more]
    return subprocess.Popen(
        [*command, "--directory", str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_rehearsal_of_a_small_shape(tmp_path):
    with rehearse(tmp_path, "--json") as process:
        shown, said = process.communicate(timeout=110)
    assert process.returncode == 0, said
    report = json.loads(shown)

    assert [stage["name"] for stage in report["stages"]] == [
        *("make", "load", "read", "step", "rank")
    ]
    assert all(stage["wall_s"] > 0 for stage in report["stages"])
    assert report["wall_s"] == pytest.approx(sum(s["wall_s"] for s in report["stages"]))
    assert len(report["finite"]) == 5
    assert report["file_bytes"] > 90e6
    # What is not packed takes twice as much on a CPU as in the file.
    assert 1 < report["plan"]["weights"] / report["file_bytes"] < 2
    for kind in ("private", "mapped"):
        assert report["most"][kind] == max(stage["most"][kind] for stage in report["stages"])
    if sys.platform == "linux":
        # The weights are read from mapped files.
        assert report["most"]["mapped"] > report["file_bytes"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_a_rehearsal_that_is_ended_deletes_its_files(tmp_path):
    process = rehearse(tmp_path, "--layers", "30")
    with process:
        while not list(tmp_path.glob("*/*.safetensors")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert list(tmp_path.iterdir()) == []


def test_a_rehearsal_needs_a_directory(failure, tmp_path):
    missing = tmp_path / "nowhere"
    error = failure("bench", "rehearsal", "--directory", str(missing))

    assert error.code is ReasonCode.INVALID_ARGUMENT
    assert "nowhere" in error.message
