"""The command line: finds the command, runs it and reports errors in one line.

Each command is a separate module, imported only when it is run or listed, so that
`dg-lsp --help` and `--version` load no tensor library. Because the user waits for them, the
command line that editors use is not parsed at all, and that of `dg-lsp infill` is left to a
running engine.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from dg_lsp.reason import CodedError, Reason, ReasonCode, reason_json

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
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""


def main() -> NoReturn:
    """Run the command line of this process and exit with its status."""
    # Whatever dg-lsp stores is for the user alone, also where the shell's umask is none.
    os.umask(os.umask(OTHERS) | OTHERS)
    _write_all()
    sys.exit(run(sys.argv[1:]))


def _write_all() -> None:
    """Print all or fail: with PYTHONUNBUFFERED, Python does not look how much of what it wrote
    was taken, so that on a full disk the end would be missing without a word."""
    raw = getattr(sys.stdout, "buffer", None)
    if isinstance(raw, io.RawIOBase):
        encoding, errors = sys.stdout.encoding, sys.stdout.errors
        # What is printed still appears line by line, and the file stays open for its owner.
        sys.stdout = open(  # noqa: SIM115
            raw.fileno(), "w", buffering=1, encoding=encoding, errors=errors, closefd=False
        )


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
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # rich exits with this status when the reader of its output is gone.
        _discard_output()
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
    if isinstance(error, CodedError):
        reason = error.reason
        status = EXIT_REFUSED if isinstance(error, ValueError) else EXIT_FAILED
        _complain(reason.message)
    else:
        reason = Reason(ReasonCode.DEFECT, f"{type(error).__name__}: {error}")
        status = EXIT_FAILED
        if os.environ.get("DG_LSP_DEBUG"):
            import traceback

            traceback.print_exc()
        else:
            _complain(f"{reason.message} (run again with DG_LSP_DEBUG=1 for the traceback)")
    try:
        if as_json:
            print(json.dumps({"error": reason_json(reason)}))
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # The reader is gone, or the disk is full, which may be what went wrong.
        _discard_output()
    return status


def _complain(message: str) -> None:
    """Write one line to stderr; file names and model output may contain control characters."""
    line = " ".join(part.strip() for part in message.splitlines() if part.strip())
    shown = "".join(char if char.isprintable() else "\ufffd" for char in line)
    print(f"dg-lsp: {shown}", file=sys.stderr)


def _discard_output() -> None:
    """Discard the interpreter's last flush, which would otherwise print an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
