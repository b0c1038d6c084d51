"""`dg-lsp engine`: what is refused, and a process that runs, tells and stops."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dg_lsp.cli import run
from dg_lsp.cli.commands import run_command
from dg_lsp.cli.engine import _told
from dg_lsp.job import ModelInfo
from dg_lsp.reason import CodedError, Reason, ReasonCode
from dg_lsp.service.access.certificate import own_certificate
from dg_lsp.service.address import DirectoryError
from dg_lsp.service.process.serving import AlreadyRunningError
from dg_lsp.service.schema import EngineStatus

SCRIPTED = """
from dg_lsp.cli import compose, main
from dg_lsp.job import ModelInfo, OpenedModel

class Scripted:
    async def close(self): pass

compose.open_infiller = lambda *asked: OpenedModel(Scripted(), ModelInfo("m", "cpu", 9, 9), len)
main()
"""


@pytest.fixture
def directory(monkeypatch) -> Iterator[Path]:
    """A runtime directory with a path short enough for a socket."""
    found = Path(tempfile.mkdtemp(prefix="dgl"))
    monkeypatch.setenv("DG_LSP_RUNTIME_DIR", str(found))
    monkeypatch.setenv("DG_LSP_LOG_DIR", str(found / "log"))
    monkeypatch.setenv("DG_LSP_ACCESS_DIR", str(found / "access"))
    yield found
    shutil.rmtree(found, ignore_errors=True)


@pytest.fixture
def token_file(tmp_path) -> Path:
    path = tmp_path / "token"
    path.write_text("0123456789abcdef\n")
    return path


def start(*options: str) -> subprocess.Popen[str]:
    """A running engine; returns when it listens."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPTED, "engine", "run", *options],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said.startswith("dg-lsp: listening at ")
    process.told = said.removeprefix("dg-lsp: listening at ").strip()  # type: ignore[attr-defined]
    return process


@pytest.mark.parametrize(
    ("options", "code", "names"),
    [
        (["--listen", "nowhere"], ReasonCode.BAD_ADDRESS, "nowhere"),
        (["--listen", "127.0.0.1:0"], ReasonCode.INVALID_ARGUMENT, "dg-lsp token new"),
        (["--listen", "0.0.0.0:0", "--insecure"], ReasonCode.INVALID_ARGUMENT, "0.0.0.0"),
        (["--listen", "box:1", "--insecure"], ReasonCode.INVALID_ARGUMENT, "box"),
        (["--insecure"], ReasonCode.INVALID_ARGUMENT, "--listen"),
        (["--backend", "vllm+http://box"], ReasonCode.INVALID_ARGUMENT, "--listen"),
        (
            ["--listen", "127.0.0.1:0", "--insecure", "--backend", "http://box"],
            ReasonCode.INVALID_ARGUMENT,
            "vllm",
        ),
        (["--limit", "jobs=1"], ReasonCode.INVALID_ARGUMENT, "--listen"),
        (["--listen", "box:1", "--limit", "jobs=-1"], ReasonCode.INVALID_ARGUMENT, "jobs=-1"),
        (["--listen", "box:1", "--limit", "x=1"], ReasonCode.INVALID_ARGUMENT, "requests"),
        (
            ["--listen", "box:1", "--token-file", "TOKEN", "--tls-cert", "absent"],
            ReasonCode.BAD_CERTIFICATE,
            "absent",
        ),
        (
            ["--listen", "127.0.0.1:0", "--token-file", "absent"],
            ReasonCode.BAD_TOKEN,
            "absent",
        ),
        (
            ["--listen", "203.0.113.1:1", "--token-file", "TOKEN"],
            ReasonCode.BAD_ADDRESS,
            "203.0.113.1:1",
        ),
        (["--idle-minutes", "-1"], ReasonCode.INVALID_ARGUMENT, "--idle-minutes"),
        (["--idle-minutes", "x"], ReasonCode.INVALID_ARGUMENT, "--idle-minutes"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    options, code, names, directory, token_file, capsys
):
    options = [str(token_file) if option == "TOKEN" else option for option in options]
    with pytest.raises(CodedError) as raised:
        run_command(["engine", "run", *options])
    assert (raised.value.code, names in str(raised.value)) == (code, True)

    assert run(["engine", "run", *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [["engine"], ["engine", "go"], ["engine", "status", "--address", "nowhere"]],
)
def test_wrong_usage_is_one_line(arguments, directory, capsys):
    assert run(arguments) == 2

    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("http://127.0.0.1:{port}", ReasonCode.NO_ENGINE),
        ("https://nowhere.invalid:{port}", ReasonCode.UNREACHABLE),
    ],
)
def test_the_status_says_why_nobody_answers_at_an_address(address, code, directory, failure):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        asked = address.format(port=taken.getsockname()[1])
    told = failure("engine", "status", "--address", asked, status=1)

    assert (told.code, asked in told.message) == (code, True)


def test_without_an_engine(directory, failure, capsys):
    assert failure("engine", "status", status=1).code is ReasonCode.NO_ENGINE
    assert run(["engine", "stop"]) == 0
    said = capsys.readouterr()
    assert (said.out.count("\n"), "--address" in said.out, said.err) == (1, True, "")


@pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX")
def test_a_directory_that_is_open_to_others_is_refused(directory):
    directory.chmod(0o755)
    for command in ("run", "status", "stop"):
        with pytest.raises(DirectoryError) as raised:
            run_command(["engine", command])
        assert (raised.value.code, str(directory) in str(raised.value)) == (
            ReasonCode.BAD_DIRECTORY,
            True,
        )


@pytest.mark.skipif(os.name == "nt", reason="there are no Unix sockets")
def test_runs_tells_and_stops(directory, capsys):
    with start() as process:
        assert process.told == str(directory / "engine.sock")
        with pytest.raises(AlreadyRunningError) as raised:
            run_command(["engine", "run"])
        assert raised.value.code is ReasonCode.ALREADY_RUNNING
        assert str(process.pid) in str(raised.value)
        assert run(["engine", "status"]) == 0
        assert f"process   {process.pid}, dg-lsp " in capsys.readouterr().out
        assert run(["engine", "status", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["pid"], told["address"]) == (process.pid, str(directory / "engine.sock"))
        assert run(["engine", "stop"]) == 0
        assert capsys.readouterr() == ("stopped 1 engine\n", "")
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_runs_on_tcp_with_a_token(directory, token_file, failure, capsys):
    with start("--listen", "127.0.0.1:0", "--token-file", str(token_file)) as process:
        asked = ["engine", "status", "--address", process.told]
        assert failure(*asked).code is ReasonCode.TOKEN_REFUSED
        assert run([*asked, "--token-file", str(token_file), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["pid"] == process.pid
        asked = ["--address", process.told, "--token-file", str(token_file)]
        assert run(["engine", "stop", *asked]) == 0
        assert process.told in capsys.readouterr().out
        assert process.wait(10) == 0
    assert run(["engine", "status", *asked]) == 1


def test_runs_on_tls_with_named_tokens(directory, failure, capsys, monkeypatch):
    tokens = {}
    for name, options in (("ada", []), ("ops", ["--admin"])):
        assert run(["token", "new", name, *options]) == 0
        tokens[name] = capsys.readouterr().out.strip()
    own = own_certificate(directory / "access")
    listen = ("--listen", "127.0.0.1:0", "--tls-cert", str(own.certificate))
    with start(*listen, "--tokens", str(directory / "access" / "tokens.json")) as process:
        told = process.stderr.readline()
        assert told.strip().endswith(f"sha256:{own.fingerprint}")
        assert process.told.startswith("https://")
        asked = ["engine", "status", "--address", process.told]
        assert failure(*asked).code is ReasonCode.BAD_CERTIFICATE
        asked += ["--fingerprint", own.fingerprint]
        assert failure(*asked).code is ReasonCode.TOKEN_REFUSED
        monkeypatch.setenv("DG_LSP_TOKEN", tokens["ada"])
        assert run([*asked, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["pid"] == process.pid
        stop = ["engine", "stop", *asked[2:]]
        with pytest.raises(CodedError) as raised:
            run_command(stop)
        assert raised.value.code is ReasonCode.NOT_ALLOWED
        assert run(["token", "revoke", "ada"]) == 0
        assert failure(*asked).code is ReasonCode.TOKEN_REFUSED
        monkeypatch.setenv("DG_LSP_TOKEN", tokens["ops"])
        assert run(stop) == 0
        assert process.wait(10) == 0
        log = "".join(path.read_text() for path in (directory / "log").iterdir())
        assert not any(token in log for token in tokens.values())


CURL = [
    (
        "/infill",
        {"input_prefix": "a = ", "input_suffix": "\n", "n_predict": 0},
        lambda said: said["content"] == "",
    ),
    ("/v1/unload", {}, lambda said: said["unloaded"] in (True, False)),
]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_reaches_it_on_the_loopback(directory):
    with start("--listen", "127.0.0.1:0", "--insecure") as process:
        for path, body, is_right in CURL:
            said = subprocess.run(
                ["curl", "-s", f"{process.told}{path}", "-d", json.dumps(body)],
                capture_output=True,
                text=True,
                timeout=20,
            ).stdout
            assert is_right(json.loads(said))
        process.terminate()
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("options", "warns"),
    [
        (["--listen", "0.0.0.0:0", "--insecure"], True),
        (["--listen", "0.0.0.0:0"], False),
        (["--listen", "127.0.0.1:0"], False),
        (["--listen", "127.0.0.1:0", "--insecure"], False),
    ],
)
def test_an_engine_that_everybody_can_listen_to_says_so(directory, token_file, options, warns):
    with start(*options, "--token-file", str(token_file)) as process:
        process.terminate()
        said = process.stderr.read()
    assert ("warning: there is no TLS" in said) == warns


def test_the_help_of_the_group_loads_nothing_heavy():
    script = """
import sys
from dg_lsp.cli import run
print(run(["engine", "--help"]), run(["engine", "run", "--help"]))
print([name for name in ("torch", "h11", "uvicorn", "starlette") if name in sys.modules])
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )

    assert ended.stdout.endswith("0 0\n[]\n")
    assert "Serve the model until stopped." in ended.stdout
    assert ended.stderr == ""


def test_the_status_says_how_the_model_runs_and_why_not_faster():
    note = Reason(ReasonCode.KERNEL_FAILED, "plain torch instead of steps without graphs")
    model = ModelInfo("large", "cuda:0", 9, 9, notes=(note,), runs_as="plain torch")
    lines = _told(None, EngineStatus("1.0", 7, "ready", model=model)).splitlines()

    assert "device    cuda:0, plain torch" in lines
    assert f"note      {note.message}" in lines
