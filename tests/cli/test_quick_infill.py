"""`dg-lsp infill` in the engine's process prints what it prints in its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from dg_lsp import cli
from dg_lsp.cli import quick_infill, run
from dg_lsp.cli.quick_infill import fill_quickly
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.reason import ReasonCode

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no Unix sockets")

ENGINE = '''
"""Writes the digest of its job, so that other jobs have other texts."""
import dataclasses, hashlib, os, sys, time
from dg_lsp.cli import compose, main
from dg_lsp.fed_job import FedJob
from dg_lsp.job import Candidate, Draft, Infill, ModelInfo, OpenedModel
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.service.schema import encode_job

class Scripted:
    def submit(self, job):
        handle = FedJob(job)
        if "DIES" in job.suffix:
            os._exit(9)
        if "WAITS" in job.suffix:
            handle.start()
            return handle
        if "FAILS" in job.suffix:
            handle.fail(Reason(ReasonCode.OUT_OF_MEMORY, "no room"))
            return handle
        known = repr(encode_job(dataclasses.replace(job, document="")))
        text = "v" + hashlib.sha256(known.encode()).hexdigest()[:8]
        texts = () if "NOTHING" in job.suffix else (text, text + "2")
        for step in (1, 2):
            handle.publish(Draft(text[:step], (0.5,) * step, step, 2))
        segments = (tuple(text for _ in range(len(job.pinned) + 1)),) if job.pinned else ((),)
        handle.finish(Infill(tuple(
            Candidate(text, 0.9 - n / 10, -n, (0.9 - n / 10,) * len(text), segments=segments[0])
            for n, text in enumerate(texts)
        ), 2, model="mine"))
        return handle
    async def close(self): pass

def open_scripted(model, device, *more):
    if "BROKEN" in os.environ:
        raise CheckpointError("it is broken", ReasonCode.NO_MODEL)
    return OpenedModel(Scripted(), ModelInfo("mine", "cpu", 3000, 1000, False), len)

compose.open_infiller = open_scripted
main()
'''
COMMAND = "import sys; from dg_lsp.cli import run; sys.exit(run(['infill', *sys.argv[1:]]))"
# Tests that run in the background of a shell inherit that it is ignored.
INTERRUPTIBLE = (
    f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {COMMAND}"
)
ITSELF = ("--engine", "auto")
"""The default, said aloud: then the command does all in its own process."""

Printed = tuple[int, bytes, bytes]


def start(directory: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    """An engine, and where it listens."""
    places = {f"DG_LSP_{kind}_DIR": str(directory) for kind in ("RUNTIME", "LOG", "STATE")}
    process = subprocess.Popen(
        [sys.executable, "-c", ENGINE, "engine", "run", *options],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **places},
    )
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said.startswith("dg-lsp: listening at ")
    return process, said.split()[-1]


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate()


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="dgl"))
    process, _ = start(directory)
    until_ready(directory)
    yield directory
    stop(process)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def empty(monkeypatch) -> Iterator[Path]:
    """A runtime directory without an engine."""
    directory = Path(tempfile.mkdtemp(prefix="dgl"))
    monkeypatch.setenv("DG_LSP_RUNTIME_DIR", str(directory))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def engine(directory, monkeypatch) -> None:
    """The environment of a user whose engine runs and has its model."""
    monkeypatch.setenv("DG_LSP_RUNTIME_DIR", str(directory))


def until_ready(directory: Path) -> None:
    """Wait until the engine has loaded its model."""
    script = "from dg_lsp.cli.running import open_running; assert open_running(None, None)"
    environment = {**os.environ, "DG_LSP_RUNTIME_DIR": str(directory)}
    command = [sys.executable, "-c", script]
    subprocess.run(command, env=environment, check=True, timeout=60)


@pytest.fixture
def refuse_to_load(monkeypatch) -> None:
    def refuse(*options: object, **named: object) -> None:
        raise CheckpointError("loaded here", ReasonCode.NO_MODEL)

    monkeypatch.setattr("dg_lsp.cli.compose.open_infiller", refuse)


@pytest.fixture
def both(engine, monkeypatch, capsysbinary) -> Callable[..., tuple[Printed, Printed]]:
    """What is printed in the engine's process, and in the command's."""

    def once(*arguments: str, stdin: bytes) -> Printed:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = run(["infill", *arguments])
        captured = capsysbinary.readouterr()
        return status, captured.out, captured.err

    def run_both(*arguments: str, stdin: bytes = b"") -> tuple[Printed, Printed]:
        with monkeypatch.context() as patch:
            patch.setattr(cli, "_parse", lambda arguments: pytest.fail("was not quick"))
            quick = once(*arguments, stdin=stdin)
        return quick, once(*arguments, *ITSELF, stdin=stdin)

    return run_both


KEY = f'key = "AKIA{"Q3EGRTZ7PLW2XUVB"}"\n'
PLAIN = "def add(a, b):\n    return \n\n\nprint(add(1, 2))\n"


@pytest.mark.parametrize(
    ("text", "arguments", "status"),
    [
        (PLAIN, "a.py:2:12", 0),
        (PLAIN, "a.py:2:12 -n 2 --json", 0),
        (PLAIN, "a.py:2:12 --seed 7 --max-tokens 9", 0),
        (PLAIN, "a.py:2:5 --to 2:11 --strength 0.3 --json", 0),
        (PLAIN.replace("\n", "\r\n"), "a.py:2:12 --json", 0),
        ("\ufeff" + PLAIN, "a.py:2:12 --json", 0),
        ("def f(a):\n    return a + 1\n\ndef f(a):\n    return \n", "a.py:5:12 --json", 0),
        (KEY + "x = \n", "a.py:2:5", 0),
        (KEY + "x = \n", ".env:2:5", 0),
        ("x = \nNOTHING\n", "a.py:1:5", 0),
        ("x = \nNOTHING\n", "a.py:1:5 --json", 0),
        ("best = None\nfor n in (1, 2):\n    best = n\n", "a.py:1:1 --to 3:1", 0),
        ("x = …\ny = […]\n", "a.py --hole", 0),
        ("\ufeffx = ?\ny = [?]\n", "a.py --hole --mark ? --json", 0),
        ("x = \nFAILS\n", "a.py:1:5", 1),
        ("x = \nFAILS\n", "a.py:1:5 --json", 1),
        (PLAIN, "a.py:99:1", 2),
        (PLAIN, "a.py:1:99 --json", 2),
        (PLAIN, "a.py:0:1", 2),
        (PLAIN, "a.py:2:5 --to 1:1", 2),
        (PLAIN, "a.py:2:5 --instruction shorter", 2),
        (PLAIN, "a.py:2:5 --to 2:11 --instruction shorter --json", 2),
        (PLAIN, "a.py:2:12 -n 40", 2),
        (PLAIN, "a.py:2:12 --max-tokens 0", 2),
        (PLAIN, "a.py:2:12 --mark x", 2),
        (PLAIN, "a.py --hole", 2),
        (KEY, "a.py:1:12", 2),
        (KEY, "a.py:1:1 --to 2:1 --json", 2),
        ("line of text\n" * 2000, "a.txt:11:1 --to 1900:1", 2),
        ("a = '\udcff'\n", "a.py:1:1", 2),
        ("a = \0\n", "a.py:1:1 --json", 2),
    ],
)
def test_prints_the_same(text, arguments, status, both, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    site, *options = arguments.split()
    Path(site.split(":")[0]).write_bytes(text.encode(errors="surrogateescape"))

    quick, itself = both(site, *options)

    assert quick == itself
    assert quick[0] == status


@pytest.mark.parametrize(
    "options", [["--name", "a.py"], ["--name", "a.py", "--json"], ["--mark", "@"]]
)
def test_reads_standard_input_the_same(options, both):
    quick, itself = both("-", "--hole", *options, stdin="x = …\ny = …\n".encode())

    assert quick == itself


def until_jobs(count: int) -> None:
    """Wait until the engine has so many open jobs."""
    command = [sys.executable, "-m", "dg_lsp", "engine", "status", "--json"]
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        said = subprocess.run(command, capture_output=True, check=True).stdout
        status = json.loads(said)
        if status["jobs_running"] + status["jobs_waiting"] == count:
            return
    pytest.fail(f"there are never {count} jobs")


@pytest.mark.parametrize("way", [(), ITSELF])
def test_ctrl_c_ends_the_job_without_a_word(way, engine, tmp_path):
    (tmp_path / "a.py").write_text("x = \nWAITS\n")
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, f"{tmp_path}/a.py:1:5", *way],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    until_jobs(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out, err) == (130, b"", b"")
    until_jobs(0)


def test_loads_next_to_nothing(engine, tmp_path):
    (tmp_path / "a.py").write_text(PLAIN)
    heavy = "{'asyncio', 'dg_lsp.document', 'dg_lsp.job', 'pathlib', 'rich', 'typer'}"
    script = f"{COMMAND.replace('sys.exit', 'status = ')}\n"
    script += f"sys.exit(status or ', '.join({heavy} & {{*sys.modules}}) or 0)"
    ended = subprocess.run(
        [sys.executable, "-c", script, f"{tmp_path}/a.py:2:12"], capture_output=True, text=True
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("v")


PROCESS = f"from dg_lsp.cli import streams; streams.adopt(); {COMMAND}"


@pytest.mark.parametrize("way", [(), ITSELF])
@pytest.mark.parametrize("options", [("a.py:2:12",), ("a.py:2:12", "--json"), ("-", "--hole")])
@pytest.mark.parametrize(
    ("closed", "said"), [(0, "standard input is closed"), (1, "standard output is closed")]
)
def test_streams_that_are_closed(options, closed, said, way, engine, tmp_path):
    (tmp_path / "a.py").write_text(PLAIN)
    ended = subprocess.run(
        [sys.executable, "-c", PROCESS, *options, *way],
        cwd=tmp_path,
        input=None if closed == 0 else "x = …\n".encode(),
        capture_output=True,
        preexec_fn=lambda: os.close(closed),
    )

    if closed == 0 and options[0] != "-":
        # Nobody reads it.
        assert (ended.returncode, ended.stderr) == (0, b"")
    else:
        status = 2 if closed == 0 else 1
        assert (ended.returncode, ended.stderr) == (status, f"dg-lsp: {said}\n".encode())


# On a terminal.


def test_draws_the_same(engine, tmp_path, python_on_a_terminal):
    (tmp_path / "a.py").write_text("if x:\n    y = \n# 日本\n")
    site = f"{tmp_path}/a.py:2:9"
    ends = []
    for way in ((), ITSELF):
        status, drawn, said = python_on_a_terminal("-c", COMMAND, site, "-n", "2", *way)
        assert (status, said) == (0, b"")
        assert b"step 2 of 2" in drawn
        assert drawn.rstrip().endswith(b"\x1b[?25h")
        # The last frame, whose times differ.
        ends.append(re.sub(rb"[0-9]+ ms", b"", drawn[drawn.rindex(b"\x1b[2K") :]))

    assert ends[0] == ends[1]


def test_the_cursor_comes_back_after_ctrl_c(engine, tmp_path):
    pty = pytest.importorskip("pty")
    (tmp_path / "a.py").write_text("x = \nWAITS\n")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, f"{tmp_path}/a.py:1:5"],
        stdout=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    drawn = b""
    while b"waiting for the first step" not in drawn:
        drawn += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    # A terminal gives what it has piece by piece, and an error or nothing at its end.
    with contextlib.suppress(OSError):
        while more := os.read(ours, 65536):
            drawn += more
    os.close(ours)

    assert b"\x1b[?25l" in drawn
    assert drawn.endswith(b"\x1b[?25h")


# What is left to the command.


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["{file}:2:12", "{file}:2:12"],
        ["{file}:2:12", "--model", "mine"],
        ["{file}:2:12", "--engine", "never"],
        ["{file}:2:12", "--vram", "16GB"],
        ["{file}:2:12", "--help"],
        ["{file}:2:12", "--"],
        ["{file}:2:12", "--to"],
        ["{file}:2:12", "--seed=3"],
        ["{file}:2:12", "--seed", "x"],
        ["{file}:2:12", "--seed", "-1"],
        ["{file}:2:12", "--seed", "9999999999"],
        ["{file}:2:5", "--to", "2:11", "--strength", "nan"],
        ["{file}"],
        ["{dir}:1:1"],
        ["{dir}/absent.py:1:1"],
        ["{dir}/pipe:1:1"],
        ["{dir}/large.txt:1:1"],
        ["{dir}/\udcff.py:1:1"],
        ["{dir}/a\0b:1:1"],
    ],
)
def test_leaves_what_is_unusual_to_the_command(arguments, engine, tmp_path):
    (tmp_path / "a.py").write_text(PLAIN)
    (tmp_path / "large.txt").write_text("x" * 4_000_001)
    (tmp_path / "\udcff.py").write_text(PLAIN)
    os.mkfifo(tmp_path / "pipe")
    filled = [one.format(file=tmp_path / "a.py", dir=tmp_path) for one in arguments]

    assert fill_quickly(filled) is None


def test_without_an_engine_the_command_has_what_came_in(
    empty, refuse_to_load, monkeypatch, capsys
):
    stdin = io.TextIOWrapper(io.BytesIO("x = …\n".encode()))
    monkeypatch.setattr(sys, "stdin", stdin)

    assert run(["infill", "-", "--hole"]) == 2
    assert capsys.readouterr() == ("", "dg-lsp: loaded here\n")


@pytest.mark.parametrize("what", ["ended", "other version"])
def test_an_engine_that_cannot_be_used_leaves_all_to_the_command(
    what, empty, refuse_to_load, monkeypatch, capsys
):
    process, _ = start(empty)
    until_ready(empty)
    if what == "ended":
        process.kill()
        process.wait()
        assert stat.S_ISSOCK((empty / "engine.sock").stat().st_mode)
    else:
        monkeypatch.setattr(quick_infill, "__version__", "0.0.1")
        monkeypatch.setattr("dg_lsp.__version__", "0.0.1")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("x = …\n".encode())))
    try:
        assert run(["infill", "-", "--hole"]) == 2
        assert capsys.readouterr() == ("", "dg-lsp: loaded here\n")
    finally:
        stop(process)


def test_an_engine_whose_model_cannot_be_loaded_leaves_all_to_the_command(
    empty, refuse_to_load, tmp_path, monkeypatch, capsys
):
    (tmp_path / "a.py").write_text(PLAIN)
    monkeypatch.setenv("BROKEN", "1")
    process, _ = start(empty)
    try:
        assert run(["infill", f"{tmp_path}/a.py:2:12"]) == 2
        assert capsys.readouterr() == ("", "dg-lsp: loaded here\n")
    finally:
        stop(process)


@pytest.mark.parametrize("way", [(), ITSELF])
def test_an_engine_that_dies_is_an_error(way, empty, tmp_path, capsys):
    (tmp_path / "a.py").write_text("x = \nDIES\n")
    process, _ = start(empty)
    until_ready(empty)

    assert run(["infill", f"{tmp_path}/a.py:1:5", *way]) == 1
    assert capsys.readouterr() == ("", "dg-lsp: the engine ended while it worked on this\n")
    stop(process)


def listening(directory: Path) -> socket.socket:
    """Somebody else in place of the engine."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "engine.sock"))
    listener.listen()
    return listener


def test_an_engine_that_never_answers_is_left(empty, tmp_path, monkeypatch):
    monkeypatch.setattr(quick_infill, "HEAD_S", 0.2)
    (tmp_path / "a.py").write_text(PLAIN)
    with listening(empty):
        assert fill_quickly([f"{tmp_path}/a.py:2:12"]) is None


def test_an_engine_that_falls_silent_is_an_error(empty, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(quick_infill, "SILENCE_S", 0.2)
    (tmp_path / "a.py").write_text(PLAIN)
    with listening(empty) as listener:

        def begin() -> None:
            connection = listener.accept()[0]
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n\n")
                while connection.recv(65536):
                    pass

        thread = threading.Thread(target=begin)
        thread.start()
        assert run(["infill", f"{tmp_path}/a.py:2:12", "--json"]) == 1
        thread.join()

    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "engine-silent"
    assert f"{empty}/engine.sock" in error["message"]


# Who may have it done.


def test_nothing_is_sent_through_a_directory_that_others_can_enter(empty, tmp_path):
    (tmp_path / "a.py").write_text(PLAIN)
    with listening(empty) as listener:
        listener.setblocking(False)
        empty.chmod(0o755)

        assert fill_quickly([f"{tmp_path}/a.py:2:12"]) is None
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_an_engine_on_tcp_runs_no_commands(empty):
    process, address = start(empty, "--listen", "127.0.0.1:0", "--insecure")
    headers = {quick_infill.VERSION_HEADER: quick_infill.__version__}
    try:
        refused = httpx.post(f"{address}{quick_infill.PATH}", content=b"{}\n", headers=headers)
    finally:
        stop(process)

    assert refused.status_code == 404
