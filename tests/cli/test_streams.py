"""Standard streams that are closed, full or gone: a sentence, and the status of a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no /dev/full")

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")

PRINTING = (
    ["--help"],
    ["--version"],
    ["models"],
    ["models", "--json"],
    ["engine", "openapi"],
    ["infill", "{file}:1:5"],
    ["infill", "{file}:1:5", "--json"],
    ["infill", "{file}", "--hole"],
)
"""Commands that print something."""

SCRIPTED = """
import sys
from dg_lsp.__main__ import main
from dg_lsp.cli import compose
from dg_lsp.job import Candidate, Infill, JobResult, JobState, ModelInfo, OpenedModel

class Scripted:
    state = JobState.DONE
    def submit(self, job): return self
    async def drafts(self):
        for draft in (): yield draft
    async def result(self):
        return JobResult(JobState.DONE, Infill((Candidate("cd", 0.9, -0.1, (0.9, 0.9)),), 2))
    async def close(self): pass

opened = OpenedModel(Scripted(), ModelInfo("m", "cpu", 9, 9), len)
compose.open_infiller = lambda *asked, **wishes: opened
main()
"""


def closing(descriptors: Iterable[int]) -> Callable[[], None]:
    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return close


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Run a command with some of its streams closed, or with others."""
    (tmp_path / "a.py").write_text("x = …\n")

    def run(
        arguments: list[str], *closed: int, stdin: str | None = None, **others: object
    ) -> tuple[int, str, str]:
        ended = subprocess.run(
            [sys.executable, "-c", SCRIPTED]
            + [one.format(file=tmp_path / "a.py") for one in arguments],
            **{
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "input": stdin,
                **others,
            },  # type: ignore[call-overload]
            preexec_fn=closing(closed),
            encoding="utf-8",
            timeout=60,
            env={
                **os.environ,
                "DG_LSP_RUNTIME_DIR": str(tmp_path / "none"),
                "PYTHONUTF8": "1",
            },
        )
        return ended.returncode, ended.stdout or "", ended.stderr or ""

    return run


@pytest.mark.parametrize("arguments", PRINTING)
def test_a_closed_output(arguments, command):
    status, _, said = command(arguments, 1)

    assert status == 1
    assert said.splitlines()[-1] == "dg-lsp: standard output is closed"
    assert "Error" not in said


@needs_full
@pytest.mark.parametrize("arguments", PRINTING)
def test_a_full_output(arguments, command):
    with open("/dev/full", "w") as full:
        status, _, said = command(arguments, stdout=full)

    assert status == 1
    assert said.splitlines()[-1] == (
        "dg-lsp: standard output cannot be written: No space left on device"
    )
    assert "Error" not in said


@pytest.mark.parametrize("arguments", [["infill", "absent.py:1:1"], ["engine", "status"]])
def test_what_fails_before_it_prints_says_why(arguments, command):
    assert command(arguments, 1) == command(arguments)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_closed_input(options, command):
    status, printed, said = command(["infill", "-", "--hole", *options], 0)

    assert (status, said) == (2, "dg-lsp: standard input is closed\n")
    assert ("bad-file" in printed) == bool(options)


@pytest.mark.parametrize("arguments", PRINTING)
def test_a_closed_input_that_nobody_reads(arguments, command):
    status, printed, _ = command(arguments, 0)

    assert status == 0
    assert printed


def test_without_standard_error_the_messages_are_lost_and_nothing_else(command):
    # A message must not end up among the results.
    assert command(["infill", "absent.py:1:1"], 2) == (2, "", "")
    assert command(["infill", "{file}:1:5"], 2) == (0, "cd\n", "")
    assert command(["models", "--json"], 2)[:2] == command(["models", "--json"])[:2]


@needs_full
def test_a_full_standard_error_changes_nothing(command):
    with open("/dev/full", "w") as full:
        assert command(["infill", "absent.py:1:1"], stderr=full)[0] == 2
        assert command(["infill", "{file}:1:5"], stderr=full) == (0, "cd\n", "")


def test_a_standard_error_that_nobody_reads_any_more(command):
    ours, theirs = os.pipe()
    os.close(ours)
    assert command(["infill", "absent.py:1:1"], stderr=theirs)[0] == 2
    os.close(theirs)


def test_programs_that_are_started_have_all_streams():
    script = """
import subprocess, sys
from dg_lsp.cli import streams
streams.adopt()
child = "import sys; sys.exit([sys.stdin, sys.stdout, sys.stderr].count(None))"
sys.exit(subprocess.run([sys.executable, "-c", child]).returncode)
"""
    ended = subprocess.run([sys.executable, "-c", script], preexec_fn=closing((0, 1, 2)))

    assert ended.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status"), [(["models"], 1), (["infill", "absent.py:1:1"], 2)]
)
def test_all_closed(arguments, status, command):
    assert command(arguments, 0, 1, 2) == (status, "", "")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_pipe_that_does_not_wait_for_its_reader_gets_all(stream):
    # As a parent in Node.js leaves it.
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    script = f"""
import sys
from dg_lsp.cli import streams
streams.adopt()
for _ in range(9):
    print("x" * 20_000, file=sys.{stream})
"""
    with subprocess.Popen([sys.executable, "-c", script], **{stream: theirs}) as process:
        os.close(theirs)
        # More than a pipe holds is written by then.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        with open(ours, "rb") as pipe:
            assert pipe.read() == 9 * (b"x" * 20_000 + b"\n")
    assert process.returncode == 0


@pytest.mark.parametrize("options", [[], ["--stdio"]])
@pytest.mark.parametrize(
    ("closed", "status", "name"), [(0, 2, "standard input"), (1, 1, "standard output")]
)
def test_a_server_that_nobody_can_talk_to(options, closed, status, name, command):
    said = command(["serve", *options], closed, stdin=None if closed == 0 else "")

    assert said == (status, "", f"dg-lsp: {name} is closed\n")
