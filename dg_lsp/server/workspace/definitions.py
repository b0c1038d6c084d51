"""Keeps what open and imported files define, for the documents that are being edited.

Files are read and parsed in a thread, whenever another line of a document is asked about. What
is known is handed out per line: it does not change while the user types in one, because the
engine would have to read the prompt again. Nothing is written to disk.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dg_lsp.document.code_files import CodeFile, read_code
from dg_lsp.document.definitions import DefinedFile, defined_in
from dg_lsp.document.ignore_files import ways_to
from dg_lsp.document.imports import imported_paths
from dg_lsp.document.masking import mask_start
from dg_lsp.document.related import MAX_FILE_CHARS, MAX_FILES
from dg_lsp.document.source import language_of
from dg_lsp.server.workspace.documents import Document, relative_path
from dg_lsp.server.workspace.exclusions import file_of, judge

log = logging.getLogger(__name__)

MOST_IMPORTED = 24
"""Maximum number of imported files of a document."""
SENDING_S = 0.05
"""How long the thread waits at first, so that the job of this place is sent meanwhile."""
MOST_KEPT = 64
"""Maximum number of files whose definitions are kept."""


@dataclass(frozen=True, slots=True)
class Place:
    """The lines around the cursor's; another line is another place."""

    uri: str
    language: str
    above: str
    below: str


@dataclass(frozen=True, slots=True)
class _Kept:
    stamp: object
    """The text of an open file; the time and size of another."""
    file: DefinedFile


Known = tuple[tuple[str, DefinedFile], ...]
"""Files by their URIs."""


class WorkspaceDefinitions:
    """What the files define that one session may show."""

    def __init__(self) -> None:
        self._place: Place | None = None
        self._known: Known = ()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._imported: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        """The imported files that have been found, by document."""
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._work: Future[None] | None = None
        self._closed = False

    def known(
        self,
        place: Place,
        open_files: Sequence[Document],
        folders: Sequence[str],
        exclude: Sequence[str],
    ) -> Known:
        """What is known at this place; more will be at the next one.

        `open_files` are the others that may be shown. Imported files are looked for in the
        folders; `exclude` are the globs of the setting.
        """
        if place == self._place:
            return self._known
        open_files = open_files[:MAX_FILES]
        self._place = place
        with self._lock:
            uris = [file.uri for file in open_files]
            uris += self._imported.get(place.uri, ()) if folders else ()
            self._known = tuple(
                (uri, self._kept[uri].file) for uri in uris if uri in self._kept
            )
        if not self._closed and (self._work is None or self._work.done()):
            if self._threads is None:
                self._threads = ThreadPoolExecutor(1, "definitions")
            self._work = self._threads.submit(
                self._read, place, open_files, [*folders], [*exclude]
            )
        return self._known

    def wait_until_idle(self, timeout_s: float) -> None:
        """Wait for what has been started; for tests."""
        if self._work is not None:
            self._work.result(timeout_s)

    def close(self) -> None:
        """Let the thread end soon."""
        self._closed = True
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _read(
        self,
        place: Place,
        open_files: Sequence[Document],
        folders: list[str],
        exclude: Sequence[str],
    ) -> None:
        time.sleep(SENDING_S)
        try:
            for file in open_files:
                if self._is_due(file.uri, file.text):
                    text = mask_start(file.text, MAX_FILE_CHARS)
                    path = relative_path(file.path, folders)
                    self._keep(file.uri, file.text, path, text, file.language)
            uris = place.uri, *(file.uri for file in open_files)
            shown = {os.path.realpath(file_of(uri)) for uri in uris}
            self._read_imported(place, folders, exclude, shown)
        except Exception:
            # Definitions are optional: without them, suggestions still work.
            log.exception("definitions could not be read")

    def _read_imported(
        self, place: Place, folders: Sequence[str], exclude: Sequence[str], shown: set[str]
    ) -> None:
        """Find and read what a document imports, except the files that are `shown` as they
        are in the editor."""
        own = os.path.realpath(file_of(place.uri))
        found: dict[str, None] = {}
        for folder in map(os.path.realpath, folders):
            if not own.startswith(folder + os.sep):
                continue
            name = os.path.relpath(own, folder)
            for relative in imported_paths(place.above, name, place.language):
                path = os.path.realpath(os.path.join(folder, relative))
                is_inside = path.startswith(folder + os.sep) and path not in shown
                if is_inside and len(found) < MOST_IMPORTED and not self._closed:
                    uri = Path(path).as_uri()
                    if uri not in found and self._read_file(uri, path, folder, exclude):
                        found[uri] = None
        with self._lock:
            self._imported[place.uri] = tuple(found)
            self._imported.move_to_end(place.uri)
            while len(self._imported) > MOST_KEPT:
                self._imported.popitem(last=False)

    def _read_file(self, uri: str, path: str, folder: str, exclude: Sequence[str]) -> bool:
        """Whether a file is there and may be shown; then its definitions are kept."""
        if not os.path.isfile(path):
            return False
        if judge(ways_to(Path(path), [Path(folder)]), (), exclude).reason is not None:
            return False
        try:
            status = os.stat(path)
        except OSError:
            return False
        file = CodeFile(path, status.st_mtime_ns, status.st_size)
        if self._is_due(uri, file):
            text = read_code(file)
            if text is None:
                return False
            name = relative_path(path, [folder])
            self._keep(uri, file, name, text, language_of(Path(path)))
        return True

    def _is_due(self, key: str, stamp: object) -> bool:
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
            return not self._closed and (kept is None or kept.stamp != stamp)

    def _keep(self, key: str, stamp: object, path: str, text: str, language: str) -> None:
        began = time.perf_counter()
        file = defined_in(path, text, language)
        with self._lock:
            self._kept[key] = _Kept(stamp, file)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        # As much time for the other threads.
        time.sleep(time.perf_counter() - began)
