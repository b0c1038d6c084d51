"""Lock files that die with their holder, and the holder's process id beside them.

filelock does the locking but does not say who holds a lock, so the holder writes its process
id into a file of its own. The lock file is no place for it: on Windows it cannot be read while
it is locked, and filelock before version 4 empties it at every attempt to take it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

POLL_S = 0.02


def try_lock(path: Path, patience_s: float = 0.0) -> BaseFileLock | None:
    """The lock, held until it is released or the process ends; `None` while another holds it.

    `OSError` where the file cannot be opened.
    """
    # Front ends import this module, and most of them never need a lock.
    from filelock import FileLock, Timeout

    lock = FileLock(path, mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=patience_s, poll_interval=POLL_S)
    except Timeout:
        return None
    return lock


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock."""
    try:
        import fcntl
    except ImportError:
        return _is_held_on_windows(path)
    # As filelock does it, which takes as long to import as a bare Python to start.
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _is_held_on_windows(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        lock = try_lock(path)
    except OSError:
        return False
    if lock is not None:
        lock.release()
    return lock is None


def note_holder(path: Path) -> None:
    """Say that this process holds the lock. `OSError` where that cannot be written."""
    path.with_suffix(".pid").write_text(f"{os.getpid()}\n", encoding="utf-8")


def holder(path: Path) -> int | None:
    """The process that holds the lock, or held it last; `None` where it did not say."""
    with contextlib.suppress(OSError, ValueError):
        return int(path.with_suffix(".pid").read_text(encoding="utf-8").strip())
    return None
