"""The command line around the commands: lazy imports, exit statuses, one-line errors."""

from __future__ import annotations

import errno
import io
import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import dg_lsp
from dg_lsp.cli import main, run
from dg_lsp.reason import Reason, ReasonCode

HEAVY = ("torch", "transformers", "numpy", "pygls")


def python(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload, no-any-return]


def test_help_version_and_refusals_load_nothing_heavy() -> None:
    script = f"""
import sys
from dg_lsp.cli import run
statuses = [run([*line.split()]) for line in ("--help", "infill --help", "--version")]
statuses.append(run(["infill", "absent.py:1:1"]))
print(statuses, [name for name in {HEAVY} if name in sys.modules])
"""
    ended = python("-c", script)

    assert ended.stdout.endswith("[0, 0, 0, 2] []\n")
    assert "FILE:LINE:COLUMN" in ended.stdout
    assert ended.stderr.startswith("dg-lsp: absent.py ")


def test_the_version_alone_loads_no_command() -> None:
    script = "import sys; from dg_lsp.cli import run; run(['--version'])"
    ended = python("-c", f"{script}; print('dg_lsp.cli.infill' in sys.modules)")

    assert ended.stdout == f"dg-lsp {dg_lsp.__version__}\nFalse\n"


def test_the_server_that_editors_start_loads_no_command_line() -> None:
    script = """
import sys
from dg_lsp.cli import run
statuses = [run(["serve", *options]) for options in ([], ["--stdio"])]
print(statuses, "typer" in sys.modules, file=sys.stderr)
"""
    ended = python("-c", script, stdin=subprocess.DEVNULL)

    # The client went away without a shutdown.
    assert ended.stderr.endswith("[1, 1] False\n")


def test_runs_as_a_module() -> None:
    ended = python("-m", "dg_lsp", "--version")

    assert (ended.returncode, ended.stdout) == (0, f"dg-lsp {dg_lsp.__version__}\n")


def test_without_a_command_it_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2

    assert "infill" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["infil"], ["--wrong"], ["infill", "--wrong", "x"]])
def test_wrong_usage_is_one_line(
    arguments: list[str], failure: Callable[..., Reason], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("dg-lsp: ")
    assert captured.err.count("\n") == 1
    assert failure(*arguments).code is ReasonCode.INVALID_ARGUMENT


def test_the_exit_status_is_that_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["dg-lsp", "infill", "absent.py:1:1"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2


def test_an_unbuffered_output_stays_open_for_its_owner(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    raw = open(tmp_path / "output", "wb", buffering=0)  # noqa: SIM115
    monkeypatch.setattr(sys, "argv", ["dg-lsp", "infill", "absent.py:1:1"])
    with raw, monkeypatch.context() as patch:
        stdout = io.TextIOWrapper(raw, write_through=True)
        patch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit):
            main()
        patch.undo()
        stdout.write("more\n")

    assert (tmp_path / "output").read_text() == "more\n"


def raise_from_model(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def open_infiller(model: str | None, device: str | None, vram: str | None) -> None:
        raise error

    monkeypatch.setattr("dg_lsp.cli.compose.open_infiller", open_infiller)


def fill_this_file() -> int:
    return run(["infill", f"{__file__}:1:1"])


def test_an_unexpected_error_is_one_line_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DG_LSP_DEBUG", raising=False)
    raise_from_model(monkeypatch, RuntimeError("first\n  second \x1b[2J"))

    assert fill_this_file() == 1

    assert capsys.readouterr().err == (
        "dg-lsp: RuntimeError: first second \ufffd[2J "
        "(run again with DG_LSP_DEBUG=1 for the traceback)\n"
    )


def test_a_program_gets_the_code_of_a_defect(
    monkeypatch: pytest.MonkeyPatch, failure: Callable[..., Reason]
) -> None:
    raise_from_model(monkeypatch, RuntimeError("broken"))

    reason = failure("infill", f"{__file__}:1:1", status=1)

    assert reason == Reason(ReasonCode.DEFECT, "RuntimeError: broken")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_disk_that_is_full_is_no_defect(
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    failure: Callable[..., Reason],
    capsys: pytest.CaptureFixture[str],
) -> None:
    raise_from_model(monkeypatch, OSError(number, os.strerror(number), "/a/model"))
    said = f"/a/model cannot be written: {os.strerror(number)}"

    assert fill_this_file() == 1
    assert capsys.readouterr() == ("", f"dg-lsp: {said}\n")
    reason = failure("infill", f"{__file__}:1:1", status=1)
    assert reason == Reason(ReasonCode.DISK_FULL, said)


def test_an_interruption_that_a_library_made_an_error_of_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ImportError("cannot import torch")
    error.__context__ = KeyboardInterrupt()
    raise_from_model(monkeypatch, error)

    assert fill_this_file() == 130
    assert capsys.readouterr() == ("", "")


def test_a_program_that_has_left_before_the_code_comes_gets_the_status(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dg_lsp", "infill", "absent.py:1:1", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 2
        assert process.stderr is not None
        assert process.stderr.read().count(b"\n") == 1


def test_the_traceback_is_there_for_the_asking(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DG_LSP_DEBUG", "1")
    raise_from_model(monkeypatch, RuntimeError("broken"))

    assert fill_this_file() == 1

    error = capsys.readouterr().err
    assert error.startswith("Traceback")
    assert error.endswith("RuntimeError: broken\n")


def test_an_unknown_value_error_is_not_taken_for_the_users_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raise_from_model(monkeypatch, ValueError("span [2, 1) is not a range"))

    assert fill_this_file() == 1


def test_an_interruption_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raise_from_model(monkeypatch, KeyboardInterrupt())

    assert fill_this_file() == 130

    assert capsys.readouterr() == ("", "")


HANGING = """
import asyncio, signal, sys
from dg_lsp.__main__ import main
from dg_lsp.cli import compose

# Tests that run in the background of a shell inherit that it is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Hanging:
    state = None
    def submit(self, job): return self
    async def drafts(self):
        print("running", file=sys.stderr, flush=True)
        await asyncio.Event().wait()
        yield
    def cancel(self): print("cancelled", file=sys.stderr)
    async def close(self): print("closed", file=sys.stderr)

from dg_lsp.job import ModelInfo, OpenedModel
opened = OpenedModel(Hanging(), ModelInfo("m", "cpu", 9, 9), len)
compose.open_infiller = lambda *asked, **wishes: opened
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGINT cannot be sent to one process there")
def test_ctrl_c_ends_a_running_job() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HANGING, "infill", f"{__file__}:1:1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=60)

    assert (process.returncode, output, error) == (130, "", "cancelled\nclosed\n")


SCRIPTED = """
from dg_lsp.cli import compose, main
from dg_lsp.job import Candidate, Draft, Infill, JobResult, JobState, ModelInfo, OpenedModel

class Scripted:
    state = JobState.DONE
    def submit(self, job): return self
    async def drafts(self): yield Draft("ab", (0.1, 0.2), 1, 2)
    async def result(self):
        candidate = Candidate("cd", 0.9, -0.1, (0.9, 0.9))
        return JobResult(JobState.DONE, Infill((candidate,), 2))
    async def close(self): pass

opened = OpenedModel(Scripted(), ModelInfo("m", "cpu", 9, 9), len)
compose.open_infiller = lambda *asked, **wishes: opened
main()
"""


@pytest.mark.parametrize("arguments", [["--help"], ["infill", f"{__file__}:1:1"]])
def test_a_closed_pipe_is_quiet(arguments: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPTED, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""

    assert process.returncode == 1


@pytest.mark.skipif(os.name == "nt", reason="there is no limit on the size of files")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments", [["--help"], ["infill", "-", "--hole"], ["infill", "-", "--hole", "--json"]]
)
def test_a_full_disk_is_never_success(
    tmp_path: Path, arguments: list[str], unbuffered: str
) -> None:
    import resource

    def fill_the_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONDONTWRITEBYTECODE": "1"}
    output = tmp_path / "output"
    with output.open("wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPTED, *arguments],
            input="x = …\n" + "y = 1\n" * 1000,
            encoding="utf-8",
            stdout=stdout,
            stderr=subprocess.PIPE,
            preexec_fn=fill_the_disk,
            timeout=60,
            env={**environment, "DG_LSP_RUNTIME_DIR": str(tmp_path / "none")},
        )

    assert output.stat().st_size <= 100
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr


def test_draws_on_a_real_terminal(tmp_path: Path, python_on_a_terminal) -> None:
    path = tmp_path / "sample.py"
    path.write_text("x = \n")
    status, drawn, said = python_on_a_terminal(
        "-c", SCRIPTED, "infill", f"{path}:1:5", PYTHONIOENCODING="ascii", COLUMNS="60"
    )

    assert (status, said) == (0, b"")
    assert b"step 1 of 2" in drawn
    assert b"cd" in drawn


def test_the_help_of_every_command_is_readable_on_forty_columns() -> None:
    script = """
import sys, typer
from dg_lsp.cli import commands, run

def visit(command, path):
    run([*path, "--help"])
    shown = [one for one in command.params if not getattr(one, "hidden", False)]
    print("NAMES", *(name for one in shown for name in one.opts if name.startswith("-")))
    for name in commands.COMMANDS if not path else getattr(command, "commands", {}):
        visit(command.get_command(None, name), [*path, name])

visit(typer.main.get_command(commands._app), [])
"""
    pages = python("-c", script, env={**os.environ, "COLUMNS": "40"}).stdout.split("NAMES")
    assert len(pages) > 20
    for page, names in itertools.pairwise(pages):
        text = page.partition("Usage:")[2]
        assert text
        # The mark of a hole stands alone.
        assert not re.search(r"\w…", text)
        assert max(map(len, text.splitlines())) <= 40
        assert all(name in text for name in names.partition("\n")[0].split())


@pytest.mark.parametrize(
    ("command", "extra"), [("bench peers", "bench"), ("eval santacoder-fim", "eval")]
)
def test_help_says_what_to_install(command: str, extra: str) -> None:
    environment = {**os.environ, "COLUMNS": "100"}
    shown = python("-m", "dg_lsp", *command.split(), "--help", env=environment)

    assert f"pip install 'dg-lsp[{extra}]'" in " ".join(shown.stdout.split())


def test_help_breaks_its_lines_at_the_terminal_s_width_alone() -> None:
    shown = python(
        "-m", "dg_lsp", "engine", "run", "--help", env={**os.environ, "COLUMNS": "300"}
    )

    assert "with --listen, tools and other machines connect over TCP, each with" in shown.stdout


@pytest.mark.parametrize(
    "command",
    [["models"], ["doctor", "--no-self-test"], ["engine", "status"], ["engine", "stop"]],
)
def test_commands_that_only_look_load_no_tensor_library(
    command: list[str], tmp_path: Path
) -> None:
    # Not in a process of their own either: one that is started would find this torch.
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise SystemExit('torch was imported')")
    (tmp_path / "torch" / "version.py").write_text("__version__ = '9.9'\ncuda = None\n")
    script = f"""
import sys
from dg_lsp.cli import run
run({command})
print([name for name in ("torch", "transformers") if name in sys.modules])
"""
    ended = python("-c", script, env={**os.environ, "PYTHONPATH": str(tmp_path)})

    assert ended.stdout.endswith("[]\n")
    assert "torch was imported" not in ended.stdout + ended.stderr
