"""`dg-lsp infill --model DIR` with a masked checkpoint."""

from __future__ import annotations

import json

from dg_lsp.cli import run


def test_infill_runs_a_masked_checkpoint(masked_checkpoint, tmp_path, capsys):
    file = tmp_path / "a.py"
    file.write_text("def add(a, b):\n    return \n")

    arguments = ["infill", f"{file}:2:12", "--engine", "never", "--device", "cpu", "--json"]
    status = run([*arguments, "--model", str(masked_checkpoint)])

    assert status == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] > 0
