"""Records the last requests of all windows in one bounded file in the user's state directory,
and what became of suggestions in another.

A file is used instead of the engine's memory because refusals never reach an engine, and the
requests around its end matter most. Every process appends whole lines of JSON; a process that
finds the file full renames it over its predecessor. A thread does the writing, and what cannot
be written is lost, so that no request waits for the disk or fails because of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dg_lsp.files import write_private
from dg_lsp.service.process.lock import try_lock

Record = dict[str, Any]

MAX_FILE_BYTES = 4_000_000
"""Size of each of two files: thousands of requests, or some dozens with their text."""
MAX_USAGE_BYTES = 1_000_000
"""Size of each of two files: about ten thousand suggestions."""
MAX_WAITING = 1000
"""Maximum number of records that wait for a slow disk; others are lost."""
CLOSE_S = 1.0
FOLLOW_S = 0.2


def state_directory() -> Path:
    """Where traces and the last client are kept; `DG_LSP_STATE_DIR` moves it."""
    moved = os.environ.get("DG_LSP_STATE_DIR")
    if moved:
        return Path(moved)
    import platformdirs

    return Path(platformdirs.user_state_dir("dg-lsp", appauthor=False))


def trace_file(directory: Path) -> Path:
    return directory / "trace.jsonl"


def usage_file(directory: Path) -> Path:
    return directory / "usage.jsonl"


def client_file(directory: Path) -> Path:
    return directory / "last-client.json"


class Journal:
    """Writes records in the background."""

    def __init__(self, directory: Path, max_file_bytes: int = MAX_FILE_BYTES) -> None:
        self._directory, self._max_file_bytes = directory, max_file_bytes
        self._waiting: queue.Queue[tuple[str, Record] | None] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._is_torn = False
        """Whether the last line was cut off by a full disk."""

    def add(self, record: Record) -> None:
        """Record a trace; returns immediately."""
        self._put("trace", record)

    def note_usage(self, record: Record) -> None:
        """Record what became of a suggestion; returns immediately."""
        self._put("usage", record)

    def note_client(self, facts: Record) -> None:
        """Record the last client; returns immediately."""
        self._put("client", facts)

    def close(self, patience_s: float = CLOSE_S) -> None:
        """Write the waiting records, unless that takes too long."""
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(None)
            self._thread.join(patience_s)

    def _put(self, kind: str, record: Record) -> None:
        if self._thread is None:
            name = "dg-lsp journal"
            self._thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._thread.start()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait((kind, record))

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            kind, record = item
            # A lone surrogate of the user's text stays escaped.
            data = json.dumps(record, separators=(",", ":")).encode()
            with contextlib.suppress(OSError):
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                if kind == "trace":
                    self._append(trace_file(self._directory), data, self._max_file_bytes)
                elif kind == "usage":
                    self._append(usage_file(self._directory), data, MAX_USAGE_BYTES)
                else:
                    write_private(client_file(self._directory), data)

    def _append(self, path: Path, data: bytes, max_bytes: int) -> None:
        # Opened for each record, because another process may have renamed the file.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            line = b"\n" * self._is_torn + data + b"\n"
            # A single write, so that the lines of several processes do not mix.
            self._is_torn = os.write(descriptor, line) < len(line)
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if size > max_bytes:
            self._put_aside(path, max_bytes)

    def _put_aside(self, path: Path, max_bytes: int) -> None:
        lock = try_lock(path.with_suffix(".lock"))
        if lock is None:
            # Another process is about to do it.
            return
        try:
            # It may have been done between our look and our lock.
            if path.stat().st_size > max_bytes:
                path.replace(_older(path))
        finally:
            lock.release()


def read_traces(directory: Path, count: int) -> list[Record]:
    """The last traces, oldest first. Raises `OSError` if a file cannot be read."""
    found = _read(trace_file(directory), count)
    return found[max(0, len(found) - count) :]


def read_usage(directory: Path) -> list[Record]:
    """What became of suggestions, oldest first. Raises `OSError` if a file cannot be read."""
    return _read(usage_file(directory), None)


def forget_usage(directory: Path) -> None:
    """Delete what was recorded. Raises `OSError` if that is impossible."""
    path = usage_file(directory)
    for one in (path, _older(path)):
        one.unlink(missing_ok=True)


def follow_traces(directory: Path) -> Iterator[Record]:
    """New traces as they are recorded."""
    path = trace_file(directory)
    at = path.stat().st_size if path.exists() else 0
    identity = _identity(path)
    rest = b""
    while True:
        # Checked first: a file renamed after this is read to its end in the next round.
        now = _identity(path)
        if now != identity:
            yield from _records([*(rest + _read_from(_older(path), at)).split(b"\n")])
            identity, at, rest = now, 0, b""
        piece = _read_from(path, at)
        at += len(piece)
        *lines, rest = (rest + piece).split(b"\n")
        yield from _records(lines)
        if not piece:
            time.sleep(FOLLOW_S)


def read_client(directory: Path) -> Record | None:
    """The last client, if there was one and its record can be read."""
    try:
        [record] = _records([client_file(directory).read_bytes()])
    except (OSError, ValueError):
        return None
    return record


def _records(lines: list[bytes]) -> list[Record]:
    """The lines that can be read; a full disk or a crash may have truncated one."""
    records = []
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            record = json.loads(line)
            if isinstance(record, dict):
                records.append(record)
    return records


def _read(path: Path, count: int | None) -> list[Record]:
    """The last records or more; all of them without a count."""
    found: list[Record] = []
    for one in (path, _older(path)):
        if count is None or len(found) < count:
            with contextlib.suppress(FileNotFoundError):
                found = [*_records(one.read_bytes().split(b"\n")), *found]
    return found


def _older(path: Path) -> Path:
    return path.with_suffix(".1.jsonl")


def _identity(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _read_from(path: Path, at: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(at)
            return file.read()
    except OSError:
        return b""
