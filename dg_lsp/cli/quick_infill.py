"""The usual `dg-lsp infill` beside a running engine, without the imports of the command.

The engine's process has loaded all that the command needs. So this module sends it the command
line and what the file holds, and prints what comes back; `served_infill.py` is the other side.
It imports next to nothing, and leaves whatever is unusual to the command itself.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from typing import TYPE_CHECKING, Any, BinaryIO

from dg_lsp import __version__, interrupts
from dg_lsp.cli.streams import read_stdin
from dg_lsp.reason import CodedError, ReasonCode

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

ENGINE = "engine.sock"
"""Of the engine with the default model and device, which the command would use as well."""
PATH, VERSION_HEADER = "/v1/command", "dg-lsp-version"

MOST_BYTES = 4_000_000
"""Of a file; the engine takes no larger request."""
STDIN_BYTES = 20 * 1024 * 1024 + 1
"""As much as the command reads of standard input."""

HEAD_S = 5.0
"""For the head of the answer, which comes before anything is computed."""
SILENCE_S = 10.0
"""The engine sends a sign of life every second."""
MOST_S = 4200.0
"""Signs of life must not hold the command for ever."""

TEXTS = {"--to": "to", "--mark": "mark", "--name": "name", "--instruction": "instruction"}
WHOLE = {
    "--candidates": "candidates",
    "-n": "candidates",
    "--seed": "seed",
    "--max-tokens": "max_tokens",
}
SWITCHES = {"--hole": "hole", "--json": "as_json"}
"""Options, and their names in `filling.Asked`. Whoever gives others chooses the model."""

COLOURS = ("TERM", "COLORTERM", "NO_COLOR")
"""Variables that say which colours a terminal has."""
UNUSUAL = ("COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Variables by which rich draws in another way."""
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", interrupts.SHOW_CURSOR.decode()


class RefusedError(CodedError, ValueError):
    """The engine says that the command line cannot be followed."""


def fill_quickly(arguments: list[str]) -> int | None:
    """The exit status, or `None` if the command must do it by itself."""
    asked = _parse(arguments)
    if asked is None:
        return None
    draws = "as_json" not in asked and sys.stdout.isatty()
    terminal = _terminal() if draws else None
    if draws and terminal is None:
        return None
    engine = _find()
    connection = None if engine is None else _connect(engine)
    if engine is None or connection is None:
        return None
    with connection:
        content = _content(asked)
        if content is None:
            return None
        status = None
        if len(content) <= MOST_BYTES:
            first = json.dumps({"asked": asked, "terminal": terminal}).encode()
            answer = _send(connection, first + b"\n" + content)
            status = None if answer is None else _print(answer, engine, draws)
    if status is None and asked["site"] == "-":
        import io

        sys.stdin = io.TextIOWrapper(io.BytesIO(content))
    return status


def _parse(arguments: list[str]) -> dict[str, Any] | None:
    """The fields of `filling.Asked`; `None` if anything is not as it usually is."""
    asked: dict[str, Any] = {}
    left = iter(arguments)
    for one in left:
        if one in SWITCHES:
            asked[SWITCHES[one]] = True
        elif one in TEXTS or one in WHOLE or one == "--strength":
            value = next(left, "-")
            digits = value.replace(".", "", 1) if one == "--strength" else value
            if value.startswith("-"):
                return None
            if one in TEXTS:
                asked[TEXTS[one]] = value
            elif not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
                return None
            elif one in WHOLE:
                asked[WHOLE[one]] = int(value)
            else:
                asked["strength"] = float(value)
        elif "site" in asked or (one.startswith("-") and one != "-"):
            return None
        else:
            asked["site"] = one
    return asked if "site" in asked else None


def _terminal() -> dict[str, Any] | None:
    """What the engine must know of the terminal; `None` for one that needs a closer look."""
    is_utf8 = (sys.stdout.encoding or "").lower() in ("utf-8", "utf8")
    is_dumb = os.environ.get("TERM", "").lower() in ("", "dumb", "unknown")
    if not is_utf8 or is_dumb or any(name in os.environ for name in UNUSUAL):
        return None
    columns = lines = 0
    for descriptor in range(3):
        try:
            columns, lines = os.get_terminal_size(descriptor)
            break
        except OSError:
            continue
    known = {name: os.environ[name] for name in COLOURS if name in os.environ}
    # Where the size is unknown, rich assumes this one.
    return {"columns": columns or 80, "lines": lines or 25, "environment": known}


def _find() -> str | None:
    """The socket of the user's engine, in a directory that nobody else can enter."""
    from dg_lsp.service import runtime

    try:
        directory = runtime.socket_directory()
        runtime.check(directory)
        path = f"{directory}/{ENGINE}"
        return path if stat.S_ISSOCK(os.lstat(path).st_mode) else None
    except (OSError, runtime.UnusableError):
        return None


def _connect(path: str) -> socket.socket | None:
    """A connection to the engine, if it runs: what has ended leaves its socket behind."""
    # Without an engine, the command itself may never need it.
    import socket

    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(HEAD_S)
        connection.connect(path)
    except OSError:
        connection.close()
        return None
    return connection


def _content(asked: dict[str, Any]) -> bytes | None:
    """What is in the file, or comes from standard input."""
    path, *place = [asked["site"]] if "hole" in asked else asked["site"].rsplit(":", 2)
    if path == "-" and "hole" in asked:
        return read_stdin(STDIN_BYTES)
    if "hole" not in asked and len(place) < 2:
        return None
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except (OSError, ValueError):
        return None


def _send(connection: socket.socket, request: bytes) -> BinaryIO | None:
    """The answer after its head; `None` if the engine does not take the request."""
    head = (
        f"POST {PATH} HTTP/1.0\r\n"
        f"content-length: {len(request)}\r\n"
        f"{VERSION_HEADER}: {__version__}\r\n\r\n"
    )
    try:
        connection.sendall(head.encode() + request)
        answer: BinaryIO = connection.makefile("rb")
        if answer.readline().split()[1:2] != [b"200"]:
            return None
        while answer.readline().strip():
            pass
    except OSError:
        return None
    connection.settimeout(SILENCE_S)
    return answer


def _print(answer: BinaryIO, engine: str, draws: bool) -> int | None:
    """Print what comes; the exit status, or `None` if the engine leaves it to the command."""
    is_hidden = False
    if draws:
        # The file may contain characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        for name, value in _news(answer, engine):
            if name == "err":
                print(value, file=sys.stderr)
            elif name == "out" and draws:
                sys.stdout.write(value)
                sys.stdout.flush()
                shown, hidden = value.rfind(SHOW_CURSOR), value.rfind(HIDE_CURSOR)
                is_hidden = hidden > shown or (is_hidden and hidden == shown)
            elif name == "out":
                sys.stdout.buffer.write(value.encode())
                sys.stdout.buffer.flush()
            elif name == "error":
                kind = RefusedError if value["is_refused"] else CodedError
                raise kind(value["message"], ReasonCode(value["code"]))
            else:
                return value if name == "status" else None
    finally:
        if is_hidden:
            # As a drawing ends that is interrupted.
            interrupts.show_cursor(b"\n")
    raise CodedError("the engine ended while it worked on this", ReasonCode.ENGINE_LOST)


def _news(answer: BinaryIO, engine: str) -> Iterator[tuple[str, Any]]:
    """The lines of an answer, each with a name and a value."""
    ends = time.monotonic() + MOST_S
    try:
        while line := answer.readline():
            if not line.endswith(b"\n"):
                return
            if line.strip():
                yield next(iter(json.loads(line).items()))
            elif time.monotonic() > ends:
                raise TimeoutError
    except TimeoutError as error:
        message = f"the engine at {engine} does not answer in time"
        raise CodedError(message, ReasonCode.ENGINE_SILENT) from error
    except ConnectionError:
        return
