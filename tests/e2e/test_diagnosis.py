"""Traces of two real windows in one place, and the doctor asked by an editor."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SECRETS = "file:///work/.env"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    directory = tmp_path_factory.mktemp("d")
    directory.chmod(0o700)
    return {f"DG_LSP_{kind}_DIR": str(directory) for kind in ("RUNTIME", "STATE", "LOG")}


@pytest.fixture(scope="module")
def windows(start_server, environment):
    made = [start_server("-m", "dg_lsp", "serve", environment=environment) for _ in range(2)]
    for window in made:
        window.begin({"textDocument": {"inlineCompletion": {}}})
        window.open("K=1\n", SECRETS)
    return made


def asked(window, line: int):
    where = {"textDocument": {"uri": SECRETS}, "position": {"line": line, "character": 0}}
    params = {**where, "context": {"triggerKind": 2}}
    return window.ask("textDocument/inlineCompletion", params)


def command(window, name: str):
    return window.ask("workspace/executeCommand", {"command": name})


def test_an_editor_learns_why_nothing_was_offered(windows):
    for line, window in enumerate(windows):
        assert asked(window, line) == {"items": []}
        told = command(window, "dg-lsp.trace")
        assert (told["outcome"], told["file"]) == ("refused", ".env")
        assert told["reason_code"] == "excluded"


def test_the_doctor_reports_to_an_editor(windows):
    report = command(windows[0], "dg-lsp.doctor")

    areas = [finding["area"] for finding in report["findings"]]
    assert report["level"] == "ok", report
    assert {"torch", "model", "engine", "editor"} <= {*areas}
    assert "self-test" not in areas


def test_the_traces_of_all_windows_end_in_one_place(windows, environment):
    for window in windows:
        window.finish()
        assert window.wait() == (0, "")
    ended = subprocess.run(
        [sys.executable, "-m", "dg_lsp", "trace", "--json"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    told = [json.loads(line) for line in ended.stdout.splitlines()]

    assert [one["position"] for one in told] == [[0, 0], [1, 0]]
    assert {one["outcome"] for one in told} == {"refused"}
