"""The engine's log: starts, ends and errors as JSON lines in a rotating file, without any
source text. What became of each job is in the traces (diagnosis/), and `/metrics` counts them.

A full disk or a read-only directory loses log lines but never stops the engine. Messages of
exceptions can quote the user's text, so only those of system errors are logged.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import time
import traceback
from pathlib import Path

import platformdirs

MAX_FILE_BYTES = 2_000_000
KEPT_FILES = 3


def log_directory() -> Path:
    """Where logs go; `DG_LSP_LOG_DIR` moves it."""
    moved = os.environ.get("DG_LSP_LOG_DIR")
    return Path(moved) if moved else Path(platformdirs.user_log_dir("dg-lsp", appauthor=False))


def open_log(path: Path) -> logging.Handler:
    """A handler for the file; the file is opened with the first line."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Earlier versions made it with the shell's umask.
        if path.is_file() and not path.is_symlink():
            path.chmod(0o600)
    except OSError:
        return logging.NullHandler()
    handler = _LastingHandler(
        path, maxBytes=MAX_FILE_BYTES, backupCount=KEPT_FILES, encoding="utf-8", delay=True
    )
    handler.setFormatter(_JsonLines())
    return handler


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "event": record.getMessage()[:500],
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line["error"] = type(error).__name__
            if isinstance(error, OSError | RuntimeError | MemoryError):
                line["reason"] = str(error)[:300]
            line["frames"] = [
                f"{frame.filename}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(error.__traceback__)[-8:]
            ]
        return json.dumps(line)


class _LastingHandler(logging.handlers.RotatingFileHandler):
    """Drops lines that cannot be written."""

    def handleError(self, record: logging.LogRecord) -> None:
        """What could not be written would be written again with the next line: let it go."""
        stream, self.stream = self.stream, None
        try:
            if stream is not None:
                stream.close()
        except (OSError, ValueError):
            pass
