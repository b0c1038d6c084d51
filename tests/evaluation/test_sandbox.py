"""Generated code in the sandbox that this machine offers: good, bad, and misbehaving."""

from __future__ import annotations

import os
import socket

import pytest

from dg_lsp.evaluation import sandbox as sandbox_module
from dg_lsp.evaluation.sandbox import (
    Ending,
    Isolation,
    Limits,
    Sandbox,
    SandboxError,
    find_sandbox,
)
from dg_lsp.reason import ReasonCode

LIMITS = Limits(cpu_s=1, wall_s=60.0, memory_bytes=256 << 20)


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return find_sandbox(allow_limits_only=True, limits=LIMITS)


def check(sandbox: Sandbox, program: str, ending: Ending, detail: str = "") -> None:
    verdict = sandbox.run(program)

    assert verdict.ending is ending, verdict
    assert detail in verdict.detail


@pytest.mark.parametrize(
    "program",
    [
        "x = 1\n",
        "import math, re, random, typing, hashlib, collections, itertools, json, datetime\n",
        "import tempfile\nwith tempfile.TemporaryFile() as file:\n    file.write(b'x')\n",
        "print('a word on the way')\n",
        "try:\n    raise SystemExit\nexcept SystemExit:\n    pass\n",
    ],
)
def test_a_program_that_runs_to_its_end_has_passed(sandbox: Sandbox, program: str) -> None:
    check(sandbox, program, Ending.PASSED)


@pytest.mark.parametrize(
    ("program", "ending", "detail"),
    [
        ("assert 1 + 1 == 3\n", Ending.FAILED, "AssertionError"),
        ("def f(:\n", Ending.FAILED, "SyntaxError"),
        ("import nothing_of_that_name\n", Ending.FAILED, "ModuleNotFoundError"),
        ("import sys\nsys.exit(0)\n", Ending.FAILED, "SystemExit"),
        ("import os\nos._exit(0)\n", Ending.FAILED, "ended before its end"),
        ("def f(): f()\nf()\n", Ending.FAILED, "RecursionError"),
        ("import ctypes\nctypes.string_at(0)\n", Ending.CRASHED, ""),
        # Loops.
        ("while True: pass\n", Ending.TIMED_OUT, "1 s of a processor"),
        # Eats memory, at once and bit by bit.
        ("x = bytearray(1 << 40)\n", Ending.FAILED, "MemoryError"),
        ("x = []\nwhile True: x.append(bytearray(1 << 20))\n", Ending.FAILED, "MemoryError"),
        # Writes files.
        ("open('/tmp/x', 'wb').write(bytes(1 << 24))\n", Ending.FAILED, "File too large"),
        # Floods every output it may find, so that no verdict could be read among it.
        (
            "import os\nfor n in range(1, 20):\n    try: os.write(n, b'x' * 100_000)\n"
            "    except OSError: pass\n",
            Ending.FAILED,
            "",
        ),
    ],
)
def test_a_program_that_misbehaves(
    sandbox: Sandbox, program: str, ending: Ending, detail: str
) -> None:
    check(sandbox, program, ending, detail)


def test_a_program_that_sleeps(sandbox: Sandbox) -> None:
    short = Sandbox(sandbox.isolation, Limits(wall_s=1.0))

    check(short, "import time\ntime.sleep(600)\n", Ending.TIMED_OUT, "more than 1 s")


def test_no_process_and_no_thread_can_be_started(sandbox: Sandbox) -> None:
    check(sandbox, "import os\nwhile True: os.fork()\n", Ending.FAILED, "BlockingIOError")
    check(sandbox, "import subprocess\nsubprocess.run('true')\n", Ending.FAILED)
    thread = "import threading\nthreading.Thread(target=print).start()\n"
    check(sandbox, thread, Ending.FAILED, "can't start new thread")


def test_a_gigabyte_of_output_goes_nowhere(sandbox: Sandbox, capfd) -> None:
    program = "import sys\nfor _ in range(1000): sys.stdout.write('x' * 1_000_000)\n"
    verdict = Sandbox(sandbox.isolation, Limits(cpu_s=20, wall_s=60.0)).run(program)

    assert verdict.ending is Ending.PASSED
    assert capfd.readouterr() == ("", "")


def test_one_program_leaves_nothing_to_the_next(sandbox: Sandbox) -> None:
    check(sandbox, "open('/tmp/dg-lsp-left', 'w').close()\n", Ending.PASSED)
    if sandbox.isolation is Isolation.NAMESPACES:
        program = "import os\nassert os.listdir('/tmp') == []\n"
        check(sandbox, program, Ending.PASSED)
    assert sandbox.isolation is Isolation.LIMITS or not os.path.exists("/tmp/dg-lsp-left")


def test_nothing_of_the_host_is_within_reach(sandbox: Sandbox, tmp_path) -> None:
    if sandbox.isolation is Isolation.LIMITS:
        # Where a machine offers no more, that is what the user is told.
        assert "can reach this user" in sandbox.isolation.value
        return
    secret = tmp_path / "secret"
    secret.write_text("x")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        connect = f"import socket\nsocket.create_connection(('127.0.0.1', {port}))\n"
        for program, detail in (
            (f"open({str(secret)!r})\n", "FileNotFoundError"),
            ("open('/etc/passwd')\n", "FileNotFoundError"),
            # Read-only, and somebody else's.
            (f"open({os.__file__!r}, 'a')\n", "OSError" if os.geteuid() else "PermissionError"),
            (connect, "Network is unreachable"),
            ("import os\nassert 'HOME' not in os.environ\n1 / 0\n", "ZeroDivisionError"),
            (
                "import ctypes\nlibc = ctypes.CDLL(None)\n"
                "assert libc.mount(b'x', b'/tmp', b'tmpfs', 0, None) == 0\n",
                "AssertionError",
            ),
        ):
            check(sandbox, program, Ending.FAILED, detail)


def test_without_a_sandbox_it_takes_leave_to_run_code(monkeypatch) -> None:
    def cannot(self: Sandbox, program: str) -> None:
        raise SandboxError("no namespaces")

    monkeypatch.setattr(Sandbox, "run", cannot)
    monkeypatch.setattr(sandbox_module.os, "geteuid", lambda: 1000)

    with pytest.raises(SandboxError) as refused:
        find_sandbox(allow_limits_only=False)
    assert refused.value.code is ReasonCode.BAD_DATA
    assert "--allow-execution" in str(refused.value)


def test_root_is_refused_without_a_sandbox(monkeypatch) -> None:
    def cannot(self: Sandbox, program: str) -> None:
        raise SandboxError("no namespaces")

    monkeypatch.setattr(Sandbox, "run", cannot)
    monkeypatch.setattr(sandbox_module.os, "geteuid", lambda: 0)

    with pytest.raises(SandboxError) as refused:
        find_sandbox(allow_limits_only=True)
    assert refused.value.code is ReasonCode.BAD_DATA
    assert "root" in str(refused.value)
    assert "--allow-execution" not in str(refused.value)
