"""The command line: finds the command, runs it and reports errors in one line.

Each command is a separate module, imported only when it is run or listed, so that
`dg-lsp --help` and `--version` load no tensor library. Because the user waits for them, the
command line that editors use is not parsed at all, and that of `dg-lsp infill` is left to a
running engine.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from dg_lsp.cli import streams
from dg_lsp.interrupts import EXIT_INTERRUPTED, end_at_once, show_cursor
from dg_lsp.reason import CodedError, Reason, ReasonCode, reason_json, reason_of

SERVE = (["serve"], ["serve", "--stdio"])
"""How editors start the server; parsing it with typer would take a fifth of the time to the
first answer."""

FILL = "infill"
"""Importing what this command uses takes longer than filling a span, so that a running engine
does the work in its process."""

OTHERS = 0o077
"""What is refused to the group and to others, in a mode."""
EXIT_FAILED = 1
EXIT_REFUSED = 2
"""The exit status of an invalid request."""

MOST_CAUSES = 30
"""Of an error; more have a circle."""


def main() -> NoReturn:
    """Run the command line of this process and exit with its status."""
    # Whatever dg-lsp stores is for the user alone, also where the shell's umask is none.
    os.umask(os.umask(OTHERS) | OTHERS)
    streams.adopt()
    status = run(sys.argv[1:])
    # All is said and done but the interpreter's own end.
    end_at_once()
    sys.exit(status)


class ArgumentError(CodedError, ValueError):
    """An argument or option that cannot be followed; the message says why."""

    code = ReasonCode.INVALID_ARGUMENT


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        status = _dispatch([*arguments])
        # Buffered output must fail here, not while the interpreter shuts down.
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        # rich exits with this status when the reader of its output is gone.
        streams.discard_output()
        return EXIT_FAILED
    except Exception as error:
        return _fail(error, as_json="--json" in arguments)
    return status


def _dispatch(arguments: list[str]) -> int:
    if arguments in SERVE:
        return _serve()
    status = _fill_quickly(arguments[1:]) if arguments[:1] == [FILL] else None
    return _parse(arguments) if status is None else status


def _fill_quickly(arguments: list[str]) -> int | None:
    if os.name == "nt":
        # The engine has no Unix socket there.
        return None
    from dg_lsp.cli.quick_infill import fill_quickly

    return fill_quickly(arguments)


def _serve() -> int:
    from dg_lsp.cli.language_server import run_server

    return run_server()


def _parse(arguments: Sequence[str]) -> int:
    from dg_lsp.cli.commands import run_command

    return run_command(arguments)


def _fail(error: Exception, as_json: bool) -> int:
    """Say what went wrong, to a program on stdout as well, and return the exit status."""
    if _is_interruption(error):
        return _interrupted()
    reason = reason_of(error)
    is_refused = isinstance(error, CodedError) and isinstance(error, ValueError)
    if isinstance(error, CodedError) or reason.code is not ReasonCode.DEFECT:
        _complain(reason.message)
    else:
        reason = Reason(ReasonCode.DEFECT, f"{type(error).__name__}: {error}")
        if os.environ.get("DG_LSP_DEBUG"):
            import traceback

            traceback.print_exc()
        else:
            _complain(f"{reason.message} (run again with DG_LSP_DEBUG=1 for the traceback)")
    try:
        if as_json:
            print(json.dumps({"error": reason_json(reason)}))
        sys.stdout.flush()
    except OSError:
        # The reader is gone, or the disk is full, which may be what went wrong.
        streams.discard_output()
    return EXIT_REFUSED if is_refused else EXIT_FAILED


def _interrupted() -> int:
    """The exit status of an interruption, which may have come while a drawing began."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    show_cursor()
    return EXIT_INTERRUPTED


def _is_interruption(error: BaseException | None) -> bool:
    """Whether a library made this error of an interruption."""
    for _ in range(MOST_CAUSES):
        if error is None or isinstance(error, KeyboardInterrupt):
            break
        error = error.__cause__ or error.__context__
    return isinstance(error, KeyboardInterrupt)


def _complain(message: str) -> None:
    """Write one line to stderr; file names and model output may contain control characters."""
    line = " ".join(part.strip() for part in message.splitlines() if part.strip())
    shown = "".join(char if char.isprintable() else "\ufffd" for char in line)
    print(f"dg-lsp: {shown}", file=sys.stderr)
