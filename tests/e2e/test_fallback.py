"""A window whose settings name an engine that is not there, and allow the one here."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

TEXT = "import os\n\nfor name in os.listdir(path):\n    print(\n"


@pytest.mark.parametrize(
    ("is_allowed", "told"),
    [(False, ("Error", "no-engine", "")), (True, ("Normal", "local-engine", "bundled"))],
)
def test_the_engine_here_answers_only_if_the_user_allows_it(
    start_server, tmp_path, is_allowed, told
):
    tmp_path.chmod(0o700)
    environment = {"DG_LSP_RUNTIME_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
    editor = start_server(
        *("-m", "dg_lsp", "serve", "--device", "cpu", "--model", "bundled"),
        environment=environment,
    )
    editor.ask(
        "initialize",
        {
            "processId": None,
            "rootUri": "file:///work",
            "capabilities": {"experimental": {"dgLsp": {"status": True}}},
            "initializationOptions": {
                "debounceMs": 0,
                "engine": {"address": nobody, "localFallback": is_allowed},
            },
        },
    )
    editor.notify("initialized", {})
    editor.open(TEXT)
    assert "result" in editor.answer(editor.send_inline(3, 10, kind=1))
    status = editor.ask("workspace/executeCommand", {"command": "dg-lsp.status"})
    assert (status["kind"], status["code"], status["model"]) == told
    editor.finish()
    assert editor.wait()[0] == 0
    stop = [sys.executable, "-m", "dg_lsp", "engine", "stop"]
    stopped = subprocess.run(stop, env={**os.environ, **environment}, stdout=subprocess.PIPE)
    assert (b"stopped 1" in stopped.stdout) == is_allowed
