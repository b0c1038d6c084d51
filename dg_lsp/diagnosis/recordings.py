"""Recorded typing sessions: whether they are recorded, where they are kept, and their format.

A recording is a file of JSON lines. The first line is an object: `format` (1), `language`, and
the document's `text` when recording began. Each further line is an edit: milliseconds since the
one before, offset in code points, number of characters removed, text inserted.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FORMAT = 1
MOST_RECORDINGS = 20
MOST_EDITS = 5_000
"""Of one recording; further edits are not recorded."""
MOST_CHARS = 200_000
"""Of a document that is recorded, and of all that is inserted."""


@dataclass(frozen=True, slots=True)
class RecordedEdit:
    """One edit, `after_ms` after the one before."""

    after_ms: int
    at: int
    removed: int
    inserted: str


@dataclass(frozen=True, slots=True)
class Recording:
    """One typing session in one document."""

    language: str
    text: str
    edits: tuple[RecordedEdit, ...]


def recordings_directory(state: Path) -> Path:
    return state / "recordings"


def is_recording(state: Path) -> bool:
    """Whether the user has switched recording on."""
    return (recordings_directory(state) / "on").exists()


def switch(state: Path, *, on: bool) -> None:
    """Switch recording on or off; what was recorded stays. May raise `OSError`."""
    directory = recordings_directory(state)
    if on:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / "on").touch(mode=0o600)
    else:
        (directory / "on").unlink(missing_ok=True)


def keep(state: Path, recording: Recording) -> None:
    """Write a recording, and delete the oldest ones. May raise `OSError`."""
    directory = recordings_directory(state)
    head = {"format": FORMAT, "language": recording.language, "text": recording.text}
    lines: list[object] = [head]
    lines += [[one.after_ms, one.at, one.removed, one.inserted] for one in recording.edits]
    path = directory / f"{time.time_ns()}-{os.getpid()}.jsonl"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    for old in _files(state)[:-MOST_RECORDINGS]:
        with contextlib.suppress(OSError):
            old.unlink()


def read_recordings(state: Path) -> list[Recording]:
    """All that can be read, oldest first."""
    found = []
    for path in _files(state):
        with contextlib.suppress(OSError, ValueError, TypeError, LookupError):
            found.append(_parse(path.read_text(encoding="utf-8").splitlines()))
    return found


def forget(state: Path) -> None:
    """Delete all recordings. May raise `OSError`."""
    for path in _files(state):
        path.unlink(missing_ok=True)


def _files(state: Path) -> list[Path]:
    return sorted(recordings_directory(state).glob("*.jsonl"))


def _parse(lines: Sequence[str]) -> Recording:
    head = json.loads(lines[0])
    if head["format"] != FORMAT:
        raise ValueError(f"format {head['format']} is not known")
    edits = tuple(RecordedEdit(*json.loads(line)) for line in lines[1:])
    return Recording(head["language"], head["text"], edits)
