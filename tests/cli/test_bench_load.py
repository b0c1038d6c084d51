"""`dg-lsp bench load`: a whole measurement with a tiny model, small."""

from __future__ import annotations

import json
import shutil

import pytest

from dg_lsp.benchmark.load import typed
from dg_lsp.cli import run


def test_a_measurement_of_both_ways(capsys, tiny_checkpoint, tmp_path):
    # A model that has learnt nothing never settles.
    model = shutil.copytree(tiny_checkpoint, tmp_path / "quick")
    numbers = {"max_denoising_steps": 3}
    (model / "generation_config.json").write_text(json.dumps(numbers))
    options = ["--model", str(model), "--clients", "3", "--jobs", "7", "--json"]
    assert run(["bench", "load", *options]) == 0
    report = json.loads(capsys.readouterr().out)

    shared, in_turn = report["measured"]
    for row in (shared, in_turn):
        assert (row["clients"], row["jobs"], row["failed"]) == (3, 7, 0)
        assert 0 < row["p50_s"] <= row["p95_s"] <= row["worst_s"]
        assert row["jobs_per_s"] > 0
    # The same work in fewer forward passes.
    assert shared["jobs_per_pass"] > 1.2 > in_turn["jobs_per_pass"] == 1
    assert shared["passes_per_job"] < in_turn["passes_per_job"]
    steps = [row["passes_per_job"] * row["jobs_per_pass"] for row in (shared, in_turn)]
    assert steps[0] == pytest.approx(steps[1], rel=0.2)


def test_a_client_types_on_in_one_line_and_asks_for_nothing_twice():
    typing = typed(3)
    jobs = [next(typing) for _ in range(6)]
    assert len({job.prefix for job in jobs}) == 6
    assert all(job.suffix.startswith("\n") for job in jobs)
    assert {job.document_key for job in jobs} == {"typed_3.py"}
    assert next(typed(3)) == jobs[0] != next(typed(4))
