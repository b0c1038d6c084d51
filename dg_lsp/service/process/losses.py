"""Remembers when an engine lost its GPU, so that it is started anew once and not for ever.

The engine process notes the loss before it exits, and whoever starts the next one asks.
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

EXIT_STATUS = 71
"""Of an engine process that lost its GPU (EX_OSERR of sysexits.h)."""
FORGET_S = 600.0
MOST = 2
"""Losses within `FORGET_S` after which no engine is started."""


def note(directory: Path, name: str) -> None:
    """Record that the engine `name` loses its GPU now."""
    times = [*recent(directory, name), time.time()]
    with contextlib.suppress(OSError):
        _path(directory, name).write_text(json.dumps(times), encoding="utf-8")


def recent(directory: Path, name: str) -> list[float]:
    """When the engine lost its GPU, within the last `FORGET_S`."""
    try:
        found = json.loads(_path(directory, name).read_text(encoding="utf-8"))
        now = time.time()
        return [one for one in found if isinstance(one, float) and 0 <= now - one < FORGET_S]
    except (OSError, ValueError, TypeError):
        return []


def forget(directory: Path, name: str) -> None:
    """The user wants another try."""
    _path(directory, name).unlink(missing_ok=True)


def _path(directory: Path, name: str) -> Path:
    return directory / f"{name}.gpu-lost"
