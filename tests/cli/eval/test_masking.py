"""`dg-lsp eval secrets`, from the command line to what it prints."""

from __future__ import annotations

import json
from pathlib import Path

from dg_lsp.cli import run


def test_the_shares_of_each_group_are_printed_and_masks_are_placed_but_not_shown(
    tmp_path: Path, capsys
) -> None:
    cases = tmp_path / "cases"
    cases.mkdir()
    (cases / "formats.txt").write_text(
        '== one\npassword = "«{quotedpw}»"\n== two [held out]\n«nothing»\n', encoding="utf-8"
    )
    (cases / "lookalikes.txt").write_text("== one\nx = 1\n== two [held out]\ny\n")
    (tmp_path / "a.py").write_text("password = 'tiger#1942'\n")
    command = ["eval", "secrets", str(cases), "--times", "4", "--code", str(tmp_path)]

    assert run([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["share"] for row in report["cases"]] == [1.0, 0.0, 0.0, 0.0]
    assert report["cases"][1]["not_always_right"] == ["two"]
    assert report["code"] == [1, [[str(tmp_path / "a.py"), 1]]]

    assert run([*command, "--misses"]) == 0
    out = capsys.readouterr().out
    assert f"{tmp_path / 'a.py'}:1" in out
    assert "tiger" not in out


def test_a_folder_without_cases_is_refused(tmp_path: Path, capsys) -> None:
    assert run(["eval", "secrets", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
