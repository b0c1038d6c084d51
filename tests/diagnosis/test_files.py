"""Directories that cannot be written to, full disks, the last editor and the last requests."""

from __future__ import annotations

import shutil
import tempfile
import time

import pytest

from dg_lsp import __version__
from dg_lsp.diagnosis import files
from dg_lsp.diagnosis.files import check_client, check_directory, check_requests
from dg_lsp.diagnosis.findings import Level
from dg_lsp.diagnosis.journal import Journal

NEOVIM = {
    "name": "Neovim",
    "version": "0.12.4",
    "dg_lsp": __version__,
    "announces_inline_completion": True,
    "extensions": {"drafts": True, "status": False},
}


def test_a_directory_that_is_there_or_can_be_made(tmp_path):
    for directory in (tmp_path, tmp_path / "a" / "b"):
        [finding] = check_directory("log", directory, "logs")
        assert finding.level is Level.OK
    assert [*tmp_path.iterdir()] == []


def test_a_directory_that_cannot_be_written_to(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    [finding] = check_directory("log", tmp_path / "file" / "below", "logs")
    assert finding.level is Level.WARNING

    def refuse(dir: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    [finding] = check_directory("log", tmp_path, "logs")
    assert finding.level is Level.WARNING
    assert "No space left on device" in finding.said
    assert "everything else works without" in finding.advice


def test_a_disk_that_is_almost_full(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage)
    [finding] = check_directory("state", tmp_path, "traces")

    assert (finding.level, finding.facts["free_bytes"]) == (Level.WARNING, 1000)


def client_of(tmp_path, facts):
    journal = Journal(tmp_path)
    journal.note_client(facts)
    journal.close(10)
    [finding] = check_client(tmp_path)
    return finding


def test_the_last_editor(tmp_path):
    finding = client_of(tmp_path, {**NEOVIM, "time": time.time() - 300})

    assert finding.level is Level.OK
    assert all(value in finding.said for value in ("Neovim", "0.12.4", "5 minutes"))


@pytest.mark.parametrize(
    ("facts", "expect"),
    [
        ({**NEOVIM, "announces_inline_completion": False}, "completionFallback"),
        ({**NEOVIM, "dg_lsp": "0.0.1"}, "0.0.1"),
        ({"dg_lsp": __version__}, "completionFallback"),
        ({"dg_lsp": __version__, "time": "x", "extensions": 7}, "completionFallback"),
    ],
)
def test_an_editor_with_something_to_say_about(tmp_path, facts, expect):
    finding = client_of(tmp_path, facts)

    assert finding.level is Level.WARNING
    assert expect in f"{finding.said} {finding.advice}"


def test_an_editor_with_the_fallback_needs_no_ghost_text(tmp_path):
    facts = {**NEOVIM, "announces_inline_completion": False, "completion_fallback": True}
    assert client_of(tmp_path, facts).level is Level.OK


def test_an_editor_whose_engine_is_elsewhere(tmp_path):
    finding = client_of(tmp_path, {**NEOVIM, "is_engine_elsewhere": True})

    assert finding.level is Level.OK
    assert finding.facts["is_engine_elsewhere"]


def test_no_editor_and_no_request_yet(tmp_path):
    [finding] = check_client(tmp_path)
    assert (finding.level, finding.facts) == (Level.OK, {})
    assert [*check_requests(tmp_path)] == []


@pytest.mark.parametrize(
    ("last", "level"), [("suggested", Level.OK), ("failed", Level.WARNING)]
)
def test_how_the_last_requests_ended(tmp_path, last, level):
    journal = Journal(tmp_path)
    for outcome in ("suggested", "nothing", "suggested", last):
        journal.add({"outcome": outcome, "reason": "no engine"})
    journal.close(10)
    [finding] = check_requests(tmp_path)

    assert finding.level is level
    assert sum(finding.facts["outcomes"].values()) == 4
    assert ("no engine" in finding.said) == (last == "failed")
