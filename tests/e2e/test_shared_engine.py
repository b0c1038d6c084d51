"""Two editors, one engine process with the bundled model, and what when it is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dg_lsp.service.client.patience import SILENCE_S

TEXT = "import os\n\nfor name in os.listdir(path):\n    print(\n"


def engine(command: str, runtime: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "dg_lsp", "engine", command, *arguments],
        env={**os.environ, "DG_LSP_RUNTIME_DIR": str(runtime)},
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """A runtime directory whose engine ends with the tests."""
    directory = tmp_path_factory.mktemp("run")
    directory.chmod(0o700)
    yield directory
    engine("stop", directory)


@pytest.fixture(scope="module")
def editors(start_server, runtime):
    environment = {"DG_LSP_RUNTIME_DIR": str(runtime), "OMP_NUM_THREADS": "1"}
    made = [
        start_server("-m", "dg_lsp", "serve", "--device", "cpu", environment=environment)
        for _ in range(2)
    ]
    # One is shown drafts; the other has deadlines.
    for editor, drafts in zip(made, (True, False), strict=True):
        editor.begin({"experimental": {"dgLsp": {"drafts": drafts, "status": True}}})
        editor.open(TEXT)
    return made


def engine_pids(runtime) -> list[int]:
    told = [json.loads(line) for line in engine("status", runtime, "--json").splitlines()]
    return [one["pid"] for one in told if "pid" in one]


@contextlib.contextmanager
def slowed(pid: int) -> Iterator[None]:
    """Let a process run a tenth of the time, so that a job lasts until somebody looks."""
    done = threading.Event()

    def hold() -> None:
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.kill(pid, signal.SIGSTOP)
                is_over = done.wait(0.045)
                os.kill(pid, signal.SIGCONT)
                if is_over or done.wait(0.005):
                    return

    holding = threading.Thread(target=hold)
    holding.start()
    try:
        yield
    finally:
        done.set()
        holding.join()


def configure(editor, **settings: int) -> None:
    """These settings, and no others than at the start."""
    section = {"debounceMs": 0, "draftIntervalMs": 0, **settings}
    editor.notify("workspace/didChangeConfiguration", {"settings": {"dgLsp": section}})


def status(editor) -> dict:
    return editor.ask("workspace/executeCommand", {"command": "dg-lsp.status"})


def test_both_are_answered_by_one_engine(editors, runtime):
    requests = [editor.send_inline(3, 10, kind=1) for editor in editors]
    for editor, request in zip(editors, requests, strict=True):
        assert "result" in editor.answer(request)
        assert status(editor)["model"] == "bundled"
    assert len(engine_pids(runtime)) == 1


def test_a_killed_engine_is_an_empty_answer_soon_and_a_new_engine_later(editors, runtime):
    [killed] = engine_pids(runtime)
    first, requests = editors[0], []
    num_drafts = len(first.told("dgLsp/draft"))
    # A slowed engine may seem silent, which ends a request at its deadline.
    for editor in editors:
        configure(editor, deadlineMs=60_000)
    with slowed(killed):
        for number, editor in enumerate(editors):
            editor.insert(0, 0, f"# {number}\n")
            requests.append(editor.send_inline(4, 10, kind=1))
        first.until(lambda: len(first.told("dgLsp/draft")) > num_drafts)
        os.kill(killed, signal.SIGKILL)
    for editor, request in zip(editors, requests, strict=True):
        assert "result" in editor.answer(request)
    # Nobody waited for another engine.
    assert engine_pids(runtime) == []
    for editor in editors:
        configure(editor)

    for editor in editors:
        editor.insert(0, 0, "# again\n")
        assert "result" in editor.answer(editor.send_inline(5, 10, kind=1))
        assert status(editor)["kind"] == "Normal"
    [now] = engine_pids(runtime)
    assert now != killed


def test_a_stopped_engine_is_an_answer_at_the_deadline_and_goes_on_later(editors, runtime):
    [stopped] = engine_pids(runtime)
    os.kill(stopped, signal.SIGSTOP)
    try:
        for editor in editors:
            editor.insert(0, 0, "# stopped\n")
            request, asked = editor.send_inline(6, 10, kind=1), time.monotonic()
            assert editor.answer(request)["result"] == {"items": []}
            # The client gives up an engine after ten seconds, a request before.
            assert time.monotonic() - asked < SILENCE_S
            told = status(editor)
            assert (told["kind"], told["code"]) == ("Error", "engine-silent")
    finally:
        os.kill(stopped, signal.SIGCONT)
    for editor in editors:
        editor.insert(0, 0, "# again\n")
        assert "result" in editor.answer(editor.send_inline(7, 10, kind=1))
        assert status(editor)["kind"] == "Normal"
    assert engine_pids(runtime) == [stopped]


def test_the_front_ends_leave_and_the_engine_lives_on(editors, runtime):
    for editor in editors:
        editor.finish()
        assert editor.wait()[0] == 0
    assert len(engine_pids(runtime)) == 1
