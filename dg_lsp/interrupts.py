"""Ctrl-C in the command line's process, wherever it comes.

Python raises `KeyboardInterrupt` in whatever the main thread is doing. Within an import that
is no help: libraries make other errors of it, native code aborts the process, and in a callback
of the interpreter it is printed and forgotten. While the interpreter ends, a traceback is
printed. In these places there is nothing to clean up but the terminal, so the process ends at
once; everywhere else, `KeyboardInterrupt` is raised as ever.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""

IMPORTS = "<frozen importlib._bootstrap>"
"""The file of the frames that import a module."""
SHOW_CURSOR = b"\x1b[?25h"

_raise: Callable[[int, FrameType | None], NoReturn] = signal.default_int_handler
_is_ending = False


def handle() -> None:
    """Handle Ctrl-C from now on, unless it is ignored, as in the background of a shell."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    signal.signal(signal.SIGINT, _interrupt)
    # asyncio cancels what it runs, instead of being interrupted anywhere, if it finds this one.
    signal.default_int_handler = _interrupt
    sys.unraisablehook = _after_callback


def end_at_once() -> None:
    """There is nothing left but the end of the interpreter."""
    global _is_ending
    _is_ending = True


def show_cursor(before: bytes = b"") -> None:
    """Give the terminal, if there is one, its cursor back, which a drawing has hidden."""
    # On a terminal that cannot do that there are no drawings.
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return
    for descriptor in filter(os.isatty, (1, 2)):
        with contextlib.suppress(OSError):
            os.write(descriptor, before + SHOW_CURSOR)
        break


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    if _is_ending or _is_importing(frame):
        _end()
    _raise(number, frame)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_filename != IMPORTS:
        frame = frame.f_back
    return frame is not None


def _after_callback(error: Any) -> None:
    """Nobody but this hook gets what is raised in a finalizer or a callback."""
    if issubclass(error.exc_type, KeyboardInterrupt):
        _end()
    sys.__unraisablehook__(error)


def _end() -> NoReturn:
    # On a line of its own, as a drawing ends that is interrupted.
    show_cursor(b"\n")
    os._exit(EXIT_INTERRUPTED)
