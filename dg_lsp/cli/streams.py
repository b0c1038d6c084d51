"""Standard input, output and error, whatever the caller has connected them to.

In place of a closed stream, Python has `None`, and the next file that is opened gets its
descriptor; an error in writing names no file. After `adopt`, every stream is there, and one
that does not work raises an error with a sentence when it is used.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

from dg_lsp.reason import FULL, CodedError, ReasonCode

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDIN, STDOUT = "standard input", "standard output"


class OutputError(CodedError, OSError):
    """Standard output is closed, or what it leads to takes no more."""

    code = ReasonCode.BAD_FILE


class InputError(CodedError, ValueError):
    """Standard input is closed or cannot be read."""

    code = ReasonCode.BAD_FILE


def adopt() -> None:
    """Replace the streams of this process; the caller's files stay open."""
    _fill_gaps()
    # Nothing is lost that could be told: there is nobody to tell.
    sys.stderr = _text(sys.stderr, _Lossy)
    sys.stdout = _text(sys.stdout, _Output)


def read_stdin(most_bytes: int) -> bytes:
    """At most so many bytes of standard input; raises `InputError`."""
    try:
        return sys.stdin.buffer.read(most_bytes)
    except OSError as error:
        raise InputError(_said(STDIN, "read", error)) from error


def check_both() -> None:
    """Refuse to talk through an input or output that is closed."""
    try:
        os.read(sys.stdin.fileno(), 0)
    except OSError as error:
        raise InputError(_said(STDIN, "read", error)) from error
    try:
        os.write(sys.stdout.fileno(), b"")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _output_error(error) from error


def discard_output() -> None:
    """Discard the interpreter's last flush, which would otherwise print an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _fill_gaps() -> None:
    """Put a file in the place of each closed stream, so that no other file takes it; reading or
    writing it fails as before, but for messages on standard error, which go nowhere."""
    gaps = (
        ("stdin", "r", os.O_WRONLY),
        ("stdout", "w", os.O_RDONLY),
        ("stderr", "w", os.O_RDWR),
    )
    for number, (name, mode, wrong_way) in enumerate(gaps):
        if getattr(sys, name) is not None:
            continue
        with contextlib.suppress(OSError):
            taken = os.open(os.devnull, wrong_way)
            if taken != number:
                os.dup2(taken, number)
                os.close(taken)
            # As the caller's, it is for the programs that we start, too.
            os.set_inheritable(number, True)
        stream = open(  # noqa: SIM115
            number, mode, encoding="utf-8", errors="backslashreplace", closefd=False
        )
        setattr(sys, name, stream)


def _text(stream: TextIO, kind: type[_Output]) -> TextIO:
    """The stream, written through `kind`; what a test or a tool has put there is left alone."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    if not isinstance(raw, io.RawIOBase):
        return stream
    # With PYTHONUNBUFFERED, Python does not look how much of what it wrote was taken, so that
    # on a full disk the end would be missing without a word. What is printed still appears
    # line by line.
    is_unbuffered = raw is buffer
    return io.TextIOWrapper(
        io.BufferedWriter(kind(stream, raw)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=is_unbuffered or getattr(stream, "line_buffering", True),
    )


class _Output(io.RawIOBase):
    """A stream whose errors say that it is standard output."""

    def __init__(self, stream: TextIO, raw: io.RawIOBase) -> None:
        # The stream would close its descriptor if nobody held it.
        self._stream, self._raw = stream, raw

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, data: ReadableBuffer, /) -> int | None:
        try:
            return self._write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _output_error(error) from error

    def _write(self, data: ReadableBuffer) -> int:
        while (taken := self._raw.write(data)) is None:
            # It is full for now, and somebody who shares it does not want to wait.
            import select

            select.select([], [self._raw.fileno()], [])
        return taken


class _Lossy(_Output):
    """Standard error: what it does not take is lost, and the command goes on."""

    def write(self, data: ReadableBuffer, /) -> int | None:
        try:
            return self._write(data)
        except OSError:
            return memoryview(data).nbytes


def _output_error(error: OSError) -> OutputError:
    code = ReasonCode.DISK_FULL if error.errno in FULL else None
    return OutputError(_said(STDOUT, "written", error), code)


def _said(name: str, done: str, error: OSError) -> str:
    if error.errno == errno.EBADF:
        return f"{name} is closed"
    return f"{name} cannot be {done}: {error.strerror}"
