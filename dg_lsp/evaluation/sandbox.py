"""Runs generated code where it can do no harm, and reports how it ended.

A program runs in a separate interpreter (jail.py), with limits on time, memory, files,
processes and output. On Linux with namespaces, it has no network and sees only the
interpreter's libraries, read-only; `find_sandbox` verifies this first. Elsewhere only the
limits apply, and the caller must have asked the user.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import json
import os
import secrets
import signal
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dg_lsp.evaluation import EvaluationError, jail

JAIL = Path(jail.__file__)
MAX_ANSWER_BYTES = 4096


class Isolation(enum.Enum):
    """How a program is kept away from the host."""

    NAMESPACES = "namespaces: no network, no files of the host but the interpreter's libraries"
    LIMITS = "limits only: the program can reach this user's files and network"


class Ending(enum.Enum):
    """How a program ended."""

    PASSED = "passed"
    """It ran to its end."""
    FAILED = "failed"
    """It raised an exception or exited early."""
    CRASHED = "crashed"
    """A signal ended it."""
    TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one program ended, and in a few words why."""

    ending: Ending
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use."""

    cpu_s: int = 5
    """The benchmark's own harness allows 3 seconds on an idle machine."""
    wall_s: float = 20.0
    """More than the CPU time, because a program may sleep and a machine may be busy."""
    memory_bytes: int = 1 << 30
    file_bytes: int = 1 << 20
    """One file, and all files of a sandbox together are 16 MiB."""
    open_files: int = 64


class SandboxError(EvaluationError):
    """Generated code cannot be run as requested; the message says what to do."""


class Sandbox:
    """Runs programs, one after the other or from several threads."""

    def __init__(self, isolation: Isolation, limits: Limits = Limits()) -> None:
        self.isolation, self.limits = isolation, limits

    def run(self, program: str) -> Verdict:
        """Run a program to its end or to a limit."""
        word = secrets.token_hex(16)
        with contextlib.ExitStack() as stack:
            root = None
            if self.isolation is Isolation.NAMESPACES:
                # The mount point of the sandbox's file system; it stays empty.
                root = stack.enter_context(tempfile.TemporaryDirectory(prefix="dg-lsp-jail-"))
            order = {
                "program": program,
                "word": word,
                "root": root,
                "libraries": _libraries(),
                "limits": {
                    "RLIMIT_CPU": self.limits.cpu_s,
                    "RLIMIT_AS": self.limits.memory_bytes,
                    "RLIMIT_FSIZE": self.limits.file_bytes,
                    "RLIMIT_NOFILE": self.limits.open_files,
                    "RLIMIT_NPROC": 0,
                    "RLIMIT_CORE": 0,
                },
            }
            status, answer = _start(json.dumps(order), self.limits.wall_s)
        if status is None:
            return Verdict(Ending.TIMED_OUT, f"more than {self.limits.wall_s:g} s")
        if status == jail.CANNOT_ISOLATE:
            raise SandboxError(f"the sandbox cannot be set up: {answer}")
        if word in answer:
            return Verdict(Ending.PASSED)
        if answer:
            return Verdict(Ending.FAILED, answer)
        if status == signal.SIGXCPU:
            return Verdict(Ending.TIMED_OUT, f"more than {self.limits.cpu_s} s of a processor")
        if status > 1:
            return Verdict(Ending.CRASHED, f"status {status}")
        return Verdict(Ending.FAILED, "ended before its end")


def find_sandbox(allow_limits_only: bool, limits: Limits = Limits()) -> Sandbox:
    """The best sandbox that works on this machine. Raises `SandboxError`.

    Limits alone are not a sandbox, and need the user's permission.
    """
    if os.name != "posix":
        raise SandboxError("generated code can be run only on Linux and macOS")
    if sys.platform == "linux":
        sandbox = Sandbox(Isolation.NAMESPACES, limits)
        with contextlib.suppress(SandboxError):
            if sandbox.run(_is_shut()).ending is Ending.PASSED:
                return sandbox
    if os.geteuid() == 0:
        raise SandboxError(
            "this machine has no sandbox, and the processes of root cannot be limited; "
            "run this as another user"
        )
    if not allow_limits_only:
        raise SandboxError(
            "this machine has no sandbox (it needs Linux with user namespaces); "
            "--allow-execution runs generated code as your user, with limits only"
        )
    sandbox = Sandbox(Isolation.LIMITS, limits)
    verdict = sandbox.run("")
    if verdict.ending is not Ending.PASSED:
        raise SandboxError(f"programs cannot be limited here: {verdict.detail}")
    return sandbox


def _is_shut() -> str:
    """A program that runs to its end only if it can reach neither files nor network."""
    return f"""
import os, socket
assert set(os.listdir("/")) <= {{"tmp", *{[path.split("/")[1] for path in _libraries()]}}}
assert not any(map(os.path.exists, {[__file__, "/etc/passwd", "/proc/self"]}))
assert os.listdir("/tmp") == []
try:
    socket.create_connection(("127.0.0.1", 9), timeout=1)
except OSError as error:
    # Even the machine itself is unreachable, where it would refuse otherwise.
    assert not isinstance(error, ConnectionRefusedError)
else:
    raise AssertionError("there is a network")
"""


def _start(order: str, wall_s: float) -> tuple[int | None, str]:
    """Exit status and answer of a jail; no status if it ran out of time."""
    # To a file instead of a pipe, so that the limit on files applies to the answer too.
    with (
        tempfile.TemporaryFile() as answer,
        subprocess.Popen(
            # Isolated from the user's environment, site-packages and the directory it is in.
            [sys.executable, "-I", "-S", "-B", str(JAIL)],
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            env={"PYTHONHASHSEED": "0"},
            cwd="/",
            start_new_session=True,
        ) as process,
    ):
        try:
            process.communicate(order.encode(), timeout=wall_s)
        except subprocess.TimeoutExpired:
            return None, ""
        finally:
            # The group is the jail's own, so this ends everything that the program left behind.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        answer.seek(0)
        written = answer.read(MAX_ANSWER_BYTES)
    return process.returncode, written.decode(errors="replace")


@functools.cache
def _libraries() -> list[str]:
    """Directories that the interpreter loads from, none inside another."""
    base = {"installed_base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    paths = [
        sysconfig.get_path(name, "posix_prefix", base) for name in ("stdlib", "platstdlib")
    ]
    paths += [sysconfig.get_config_var("LIBDIR"), "/lib", "/lib64", "/usr/lib", "/usr/lib64"]
    found: list[str] = []
    for path in sorted({path for path in paths if path and Path(path).is_dir()}, key=len):
        if not any(path.startswith(f"{parent}/") for parent in found):
            found.append(path)
    return found
