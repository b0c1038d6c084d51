"""Reports progress: as a bar on a terminal, as lines elsewhere, as JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Count = Callable[[int, int], None]
"""Called with the number of bytes done and the total."""

JSON_EVERY_S = 0.2


class Told:
    """Reports progress, to people on stderr and to programs on stdout."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def say(self, line: str, event: str = "said", **facts: Any) -> None:
        """A line for people, and an event with the same facts for a program."""
        if self._as_json:
            self._send({"event": event, "message": line, **facts})
        else:
            print(f"dg-lsp: {line}", file=sys.stderr, flush=True)

    @contextmanager
    def progress(self, *whats: str) -> Iterator[list[Count]]:
        """Progress in bytes of each: a bar on a terminal, elsewhere a line at every tenth."""
        if self._as_json:
            yield [self._json_count(what) for what in whats]
        elif sys.stderr.isatty():
            with _bars(whats) as counts:
                yield counts
        else:
            yield [self._tenths(what) for what in whats]

    def _json_count(self, what: str) -> Count:
        last = -JSON_EVERY_S

        def count(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= JSON_EVERY_S or done >= total:
                last = now
                self._send({"event": "progress", "what": what, "done": done, "total": total})

        return count

    def _tenths(self, what: str) -> Count:
        from dg_lsp.models.checkpoint import size_in_words

        said = -1

        def count(done: int, total: int) -> None:
            nonlocal said
            tenth = 10 * done // max(1, total)
            if tenth > said:
                said = tenth
                self.say(f"{what}: {size_in_words(done)} of {size_in_words(total)}")

        return count

    def _send(self, event: dict[str, Any]) -> None:
        print(json.dumps(event), flush=True)


@contextmanager
def _bars(whats: Sequence[str]) -> Iterator[list[Count]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True, highlight=False, markup=False)
    with Progress(*columns, console=console) as bars:
        tasks = [bars.add_task(what, total=None) for what in whats]

        def count_of(task: TaskID) -> Count:
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield [count_of(task) for task in tasks]
