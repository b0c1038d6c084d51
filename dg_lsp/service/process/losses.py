"""Remembers how an engine was lost, so that the next one or the user can do something.

An engine that loses its GPU notes that before it exits; whoever starts the next one asks, and
so does that one itself, to compute in another way: it is started anew once and not for ever. An
engine that is ended by a fault in native code leaves only its last words on stderr.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

EXIT_STATUS = 71
"""Of an engine process that lost its GPU (EX_OSERR of sysexits.h)."""
FORGET_S = 600.0
MOST = 2
"""Losses within `FORGET_S` after which no engine is started."""


@dataclass(frozen=True, slots=True)
class Loss:
    """An engine lost its GPU."""

    at: float
    """When, in seconds since the epoch."""
    runs_as: str
    """The way in which the model ran; empty if unknown."""


def note(directory: Path, name: str, runs_as: str = "") -> None:
    """Record that the engine `name` loses its GPU now."""
    kept = [*recent(directory, name), Loss(time.time(), runs_as)]
    with contextlib.suppress(OSError):
        text = json.dumps([[one.at, one.runs_as] for one in kept])
        _path(directory, name).write_text(text, encoding="utf-8")


def recent(directory: Path, name: str) -> list[Loss]:
    """The losses of the engine within the last `FORGET_S`."""
    try:
        found = json.loads(_path(directory, name).read_text(encoding="utf-8"))
        every = [Loss(float(at), str(runs_as)) for at, runs_as in found]
    except (OSError, ValueError, TypeError):
        return []
    now = time.time()
    return [one for one in every if 0 <= now - one.at < FORGET_S]


def last_words(stderr: Path) -> str:
    """Why an engine was ended by a fault, if it was; the interpreter writes that at the end."""
    try:
        said = stderr.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = _FATAL.search(said)
    if found is None:
        return ""
    fault = found[1].strip()
    hint = _HINTS.get(fault, "")
    return f"the engine was ended by a fault ({fault[:80].lower()}){hint}"


_FATAL = re.compile(r"^Fatal Python error: (.+)$", re.MULTILINE)
_HINTS = {"Bus error": ", as when a file of the model is cut short while it is in use"}


def note_fault(directory: Path, name: str, said: str) -> None:
    """Leave word of a fault for the next engine, which has a log."""
    with contextlib.suppress(OSError):
        (directory / f"{name}.fault").write_text(said, encoding="utf-8")


def take_fault(directory: Path, name: str) -> str:
    """What was left by `note_fault`, once."""
    path = directory / f"{name}.fault"
    try:
        said = path.read_text(encoding="utf-8")
        path.unlink()
    except (OSError, UnicodeDecodeError):
        return ""
    return said


def forget(directory: Path, name: str) -> None:
    """The user wants another try."""
    _path(directory, name).unlink(missing_ok=True)


def _path(directory: Path, name: str) -> Path:
    return directory / f"{name}.gpu-lost"
