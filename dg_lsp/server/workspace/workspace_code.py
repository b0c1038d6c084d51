"""Keeps the code of the workspace and of open files indexed, to find seeds in it.

A thread reads and indexes the workspace's files, a few milliseconds at a time with pauses, so
that typing is not affected. It starts with the first lookup; until it is done, a lookup finds
only what is indexed already. Periodic walks over the workspace find files that have changed.
Nothing is written to disk, and nothing outlives the session.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dg_lsp.document.code_files import MAX_FILE_CHARS, CodeFile, code_files, read_code
from dg_lsp.document.code_index import CodeIndex, building_index
from dg_lsp.document.code_store import INDEX_CHARS, CodeStore
from dg_lsp.document.masking import mask_start
from dg_lsp.document.seeds import Elsewhere
from dg_lsp.job import SeedOrigin

log = logging.getLogger(__name__)

MAX_CHARS = 20 * 1024 * 1024
"""Maximum size of the workspace's code, which takes about 70 MB of memory."""
MAX_FILES, MAX_DIRECTORIES = 20_000, 20_000
"""Maximum number of directories of a walk, which starts near the open files."""
MAX_OPEN_FILES = 12
PAUSE_SHARE = 3.0
"""The thread pauses three times as long as it works."""
QUIET_S, MAX_WAIT_S = 0.2, 2.0
"""After a lookup the thread rests so long, as the next key may come; but never longer than
`MAX_WAIT_S` at once, so that it gets on while somebody types without a pause."""
WALK_EVERY_S = 60.0
"""After this time without a walk, the next lookup requests one, because git or a build may have
changed files that are not open."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that is or was open, with the editor's text."""

    uri: str
    path: str
    """Without symlinks; cells of one notebook share it."""
    text: str


@dataclass(slots=True)
class _Workspace:
    """The state of the workspace in its current configuration."""

    folders: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    store: CodeStore = field(default_factory=CodeStore)
    stamps: dict[str, CodeFile] = field(default_factory=dict)
    near: tuple[Path, ...] = ()
    walked_s: float | None = None
    """When the last walk ended; `None` before the first."""


class WorkspaceCode:
    """The code that one session may search."""

    def __init__(
        self,
        pause_share: float = PAUSE_SHARE,
        quiet_s: float = QUIET_S,
        walk_every_s: float = WALK_EVERY_S,
    ) -> None:
        self._pause_share, self._quiet_s = pause_share, quiet_s
        self._walk_every_s = walk_every_s
        self._asked_s = -math.inf
        """When the last lookup was."""
        self._workspace = _Workspace()
        self._open: dict[str, tuple[str, CodeIndex]] = {}
        self._open_due: dict[str, OpenFile] = {}
        """Open files that are to be indexed, by URI."""
        self._walk_due = False
        self._news = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._closed = False
        self._thread: threading.Thread | None = None

    def elsewhere(
        self,
        own: str,
        open_files: Sequence[OpenFile],
        folders: Sequence[str],
        exclude: Sequence[str],
    ) -> list[Elsewhere]:
        """What there is to look in besides the document, which is the file `own`, right now.

        `open_files` are those that may be shown, the latest used first; `folders` are those of
        the workspace, none where it is not to be looked in, and `exclude` the globs of the
        setting.
        """
        self._asked_s = time.monotonic()
        self._set_up(tuple(folders), tuple(exclude), own)
        found = []
        for recency, file in enumerate(open_files[:MAX_OPEN_FILES], 1):
            text, index = self._open.get(file.uri, ("", None))
            if index is None or text != file.text:
                self._open_due[file.uri] = file
                self._wake()
            if index is not None:
                found.append(Elsewhere(index, SeedOrigin.OPEN_FILE, recency))
        hidden = frozenset([own, *(file.path for file in open_files)])
        last = len(found) + 1
        return found + [
            Elsewhere(shelf.index, SeedOrigin.WORKSPACE, last, shelf.hidden | hidden)
            for shelf in self._workspace.store.shelves
        ]

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Whether everything requested is indexed within that time; for tests and
        measurements."""
        return self._idle.wait(timeout_s)

    def close(self) -> None:
        """End the thread soon."""
        self._closed = True
        self._news.set()

    def _set_up(self, folders: tuple[str, ...], exclude: tuple[str, ...], own: str) -> None:
        workspace = self._workspace
        if (folders, exclude) != (workspace.folders, workspace.exclude):
            # A new object: a walk that is under way notices and gives up.
            self._workspace = workspace = _Workspace(folders, exclude, near=(Path(own),))
            self._walk_due = bool(folders)
            self._wake()
        elif (
            folders
            and workspace.walked_s is not None
            and time.monotonic() - workspace.walked_s > self._walk_every_s
        ):
            self._walk_due = True
            self._wake()

    def _wake(self) -> None:
        self._idle.clear()
        self._news.set()
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(
                target=self._run, name="workspace code", daemon=True
            )
            self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            self._news.clear()
            try:
                for _ in self._paced(self._work()):
                    if self._closed:
                        return
            except Exception:
                # Seeds are optional: without them, suggestions still work.
                log.exception("the workspace's code could not be indexed")
            if not self._news.is_set():
                self._idle.set()
            self._news.wait()

    def _paced(self, work: Iterator[None]) -> Iterator[None]:
        began = time.perf_counter()
        for _ in work:
            yield
            time.sleep((time.perf_counter() - began) * self._pause_share)
            self._wait_for_quiet()
            began = time.perf_counter()

    def _wait_for_quiet(self) -> None:
        now = time.monotonic()
        until = now + MAX_WAIT_S
        while not self._closed and now < min(until, self._asked_s + self._quiet_s):
            time.sleep(min(until, self._asked_s + self._quiet_s) - now)
            now = time.monotonic()

    def _work(self) -> Iterator[None]:
        """All that is due, in pieces of a few milliseconds."""
        while self._open_due or self._walk_due:
            yield from self._index_open()
            if self._walk_due:
                self._walk_due = False
                yield from self._walk(self._workspace)

    def _index_open(self) -> Iterator[None]:
        while self._open_due:
            uri, file = self._open_due.popitem()
            masked = mask_start(file.text, MAX_FILE_CHARS)
            yield
            index = yield from building_index([(file.path, masked)])
            self._open.pop(uri, None)
            self._open[uri] = file.text, index
            while len(self._open) > MAX_OPEN_FILES:
                del self._open[next(iter(self._open))]

    def _walk(self, workspace: _Workspace) -> Iterator[None]:
        """Bring the store up to what is on the disk."""
        store, met = workspace.store, dict[str, CodeFile]()
        batch: list[tuple[str, str]] = []
        size_chars = 0
        bound = ""
        directories = 0
        for file in self._files(workspace):
            if self._workspace is not workspace:
                return
            yield
            yield from self._index_open()
            if file is None:
                directories += 1
                if directories > MAX_DIRECTORIES:
                    bound = f"more than {MAX_DIRECTORIES} directories"
                    break
                continue
            met[file.path] = file
            if len(met) > MAX_FILES:
                bound = f"more than {MAX_FILES} files of code"
                break
            if workspace.stamps.get(file.path) == file:
                continue
            text = read_code(file)
            workspace.stamps[file.path] = file
            if text is None:
                store.drop([file.path])
                continue
            if store.size_chars + size_chars + len(text) > MAX_CHARS:
                bound = f"more than {MAX_CHARS} characters of code"
                break
            batch.append((file.path, text))
            size_chars += len(text)
            if size_chars >= INDEX_CHARS:
                yield from store.put(batch)
                batch, size_chars = [], 0
        if batch:
            yield from store.put(batch)
        gone = [path for path in store.paths if path not in met]
        store.drop(gone)
        workspace.stamps = {
            path: stamp for path, stamp in workspace.stamps.items() if path in met
        }
        workspace.walked_s = time.monotonic()
        log.info(
            "%d files with %d characters of the workspace are indexed%s",
            len(store.paths),
            store.size_chars,
            f"; it has {bound}, the rest is left out" if bound else "",
        )

    def _files(self, workspace: _Workspace) -> Iterator[CodeFile | None]:
        folders = [Path(folder) for folder in workspace.folders]
        for folder in folders:
            yield from code_files(folder, workspace.exclude, workspace.near, folders)
