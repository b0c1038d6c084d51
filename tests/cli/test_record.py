"""`dg-lsp record`: on, off, and what a server that runs then keeps."""

from __future__ import annotations

import pytest

from dg_lsp.cli import run
from dg_lsp.cli.language_server import _recorder
from dg_lsp.diagnosis.recordings import is_recording, read_recordings


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("DG_LSP_STATE_DIR", str(tmp_path))
    return tmp_path


def test_a_server_records_only_if_it_is_on(state, capsys):
    assert _recorder() is None
    assert run(["record"]) == 0
    assert "recording is off; 0 recordings" in capsys.readouterr().out
    assert run(["record", "--on"]) == 0
    assert is_recording(state)
    recorder = _recorder()
    text = ""
    recorder.open("file:///a.py", "python", text, 0.0)
    for at in range(20):
        text += "x"
        recorder.text_changed("file:///a.py", text, float(at))
    recorder.close_all()
    [recording] = read_recordings(state)
    assert len(recording.edits) == 20

    assert run(["record", "--off", "--forget"]) == 0
    assert "recording is off; 0 recordings" in capsys.readouterr().out


def test_both_at_once_is_an_error(state):
    assert run(["record", "--on", "--off"]) == 2


def test_nothing_to_replay_is_said(state):
    assert run(["bench", "keystrokes", "--recorded"]) == 2
