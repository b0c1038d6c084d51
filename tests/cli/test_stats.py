"""`dg-lsp stats`: prints, deletes, and says when nothing was counted."""

from __future__ import annotations

import json

import pytest

from dg_lsp.cli import run
from dg_lsp.diagnosis.journal import Journal, read_usage, usage_file


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("DG_LSP_STATE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def counted(state):
    journal = Journal(state)
    for event in ("shown", "accepted"):
        journal.note_usage(
            {"event": event, "language": "python", "model": "mine", "chars": 9, "time": 7}
        )
    journal.close(30)
    return state


def test_the_counts(counted, capsys):
    assert run(["stats", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["since"] == 7
    [row] = report["rows"]
    assert (row["model"], row["shown"], row["accepted"], row["chars"]) == ("mine", 1, 1, 9)

    assert run(["stats"]) == 0
    assert "mine" in capsys.readouterr().out


def test_what_can_be_pasted_into_an_issue(counted, capsys):
    assert run(["stats", "--anon"]) == 0
    shown = capsys.readouterr().out
    assert "| python | other | 1 | 1 (100%) |" in shown
    assert "mine" not in shown


def test_they_can_be_deleted(counted):
    assert run(["stats", "--forget"]) == 0
    assert read_usage(counted) == []
    assert not usage_file(counted).exists()


def test_nothing_was_counted(state):
    assert run(["stats"]) == 1
