"""Why nothing comes reaches the user of an editor that knows nothing of our status."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A runtime directory of its own, whose engine ends with the tests."""
    directory = tmp_path_factory.mktemp("run")
    directory.chmod(0o700)
    variables = {
        "DG_LSP_RUNTIME_DIR": str(directory),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    yield variables
    stop = [sys.executable, "-m", "dg_lsp", "engine", "stop"]
    subprocess.run(stop, env={**os.environ, **variables}, capture_output=True, timeout=60)


def shown_by(server, engine: dict[str, str]) -> list[str]:
    """The messages that a user sees who asks three times and leaves."""
    params = {"processId": None, "rootUri": None, "capabilities": {}}
    server.ask("initialize", {**params, "initializationOptions": {"engine": engine}})
    server.notify("initialized", {})
    server.open("x = ")
    for _ in range(3):
        assert server.inline(0, 4, kind=1) == []
    server.finish()
    server.to_the_end()
    assert server.wait()[0] == 0
    return [one["message"] for one in server.told("window/showMessage")]


@pytest.mark.parametrize(
    ("engine", "names"),
    [
        ({"model": "no-such-model"}, "no-such-model"),
        ({"model": "bundled", "device": "cuda"}, "cuda"),
        ({"address": "127.0.0.1:9"}, "127.0.0.1:9"),
    ],
)
def test_a_plain_client_is_told_once_why_there_is_no_engine(
    start_server, environment, engine, names
):
    shown = shown_by(start_server("-m", "dg_lsp", "serve", environment=environment), engine)
    assert len(shown) == 1, shown
    assert names in shown[0]


def test_a_runtime_directory_that_cannot_be_used_is_said_with_the_way_out(
    start_server, environment, tmp_path
):
    tmp_path.chmod(0o777)
    variables = {**environment, "DG_LSP_RUNTIME_DIR": str(tmp_path)}
    shown = shown_by(start_server("-m", "dg_lsp", "serve", environment=variables), {})
    assert [str(tmp_path) in message for message in shown] == [True]
    assert "chmod 700" in shown[0]
