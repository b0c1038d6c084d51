"""Caches which documents are excluded, and notices when that changes.

A verdict depends on the settings, the workspace folders and the ignore files above the
document. While a document is in use, the times and sizes of its ignore files are checked every
few seconds, because git, a build or another editor may write them. Watching files would need
support by the client, and would miss files outside the workspace.

A few kilobytes of globs are matched immediately. If there is much more to match, a thread does
it, and nothing is suggested in the document until then.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from dg_lsp.document.exclusion import excluded_because, matches_globs
from dg_lsp.document.ignore_files import Way, path_below, ways_to
from dg_lsp.document.position import without_surrogates
from dg_lsp.server.workspace.documents import Document

log = logging.getLogger(__name__)

RECHECK_S = 2.0
"""How long a verdict is valid before the times of the ignore files are checked again."""
RENEW_S = 1.0
"""How old a verdict is when its ignore files are checked while the engine works."""
MAX_AT_ONCE_BYTES = 32 * 1024
"""Size of ignore files and globs above which a thread matches them; few repositories have
as much."""
MAX_PATH_CHARS = 4096
"""Linux cannot open longer paths (PATH_MAX), but a client may name one."""
STILL_READING = "excluded for now, because its ignore files are large and still being read"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a document."""

    is_included: bool
    """Whether the settings include it."""
    reason: str | None
    """Why it is neither completed nor shown to the model, or None."""


@dataclass(slots=True)
class _Known:
    verdict: Verdict
    ways: tuple[Way, ...]
    checked_s: float


class Exclusions:
    """The verdicts on documents for one set of globs."""

    def __init__(
        self,
        include: Sequence[str],
        exclude: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._include, self._exclude, self._clock = tuple(include), tuple(exclude), clock
        self._folders: tuple[str, ...] = ()
        self._known: dict[str, _Known] = {}

    def verdict(self, document: Document, folders: Sequence[str]) -> Verdict:
        """The verdict according to the current workspace folders and ignore files."""
        if tuple(folders) != self._folders:
            self._folders = tuple(folders)
            self._known.clear()
        known, now = self._known.get(document.uri), self._clock()
        if known and now - known.checked_s < RECHECK_S:
            return known.verdict
        ways = self._ways(document.uri)
        if known and known.ways == ways:
            known.checked_s = now
            return known.verdict
        known = self._known[document.uri] = _Known(Verdict(True, STILL_READING), ways, now)
        if self._size_bytes(ways) <= MAX_AT_ONCE_BYTES:
            known.verdict = judge(ways, self._include, self._exclude)
        else:
            loop = asyncio.get_running_loop()
            judging = loop.run_in_executor(None, judge, ways, self._include, self._exclude)
            judging.add_done_callback(lambda done: _take(known, done))
        return known.verdict

    def renew(self, uris: Iterable[str]) -> None:
        """Check the times of the ignore files now where the next verdict may have to.

        A verdict that is no longer right is left to the next request.
        """
        now = self._clock()
        for uri in uris:
            known = self._known.get(uri)
            if known is None or not RENEW_S <= now - known.checked_s < math.inf:
                continue
            if known.ways == self._ways(uri):
                known.checked_s = now

    def _ways(self, uri: str) -> tuple[Way, ...]:
        return ways_to(file_of(uri), [Path(folder) for folder in self._folders])

    def look_again(self) -> None:
        """Check the times of the ignore files before using any verdict."""
        for known in self._known.values():
            known.checked_s = -math.inf

    def _size_bytes(self, ways: Sequence[Way]) -> int:
        globs = sum(map(len, self._include)) + sum(map(len, self._exclude))
        return globs + sum(stamp.size_bytes for way in ways for stamp in way.stamps)


def _take(known: _Known, judging: asyncio.Future[Verdict]) -> None:
    if judging.cancelled():
        return
    error = judging.exception()
    if error is None:
        known.verdict = judging.result()
    else:
        log.error("ignore files could not be matched", exc_info=error)


def judge(ways: Sequence[Way], include: Sequence[str], exclude: Sequence[str]) -> Verdict:
    """A file is excluded if any of its paths is."""
    reasons = (excluded_because(way.path, way.root, exclude) for way in ways)
    is_included = not include or any(
        matches_globs(path_below(way.path, way.root), include) for way in ways
    )
    return Verdict(is_included, next(filter(None, reasons), None))


@functools.lru_cache(maxsize=256)
def file_of(uri: str) -> Path:
    """The file that a document is about, whatever scheme shows it.

    Notebook cells and git's versions of a file have its path in a different URI. A document
    without a file has a relative path, which is only its name.
    """
    scheme, _, rest = uri.partition(":")
    path = rest.partition("#")[0].partition("?")[0]
    authority = ""
    if path.startswith("//"):
        authority, slash, path = path[2:].partition("/")
        path = slash + path
    path = (unquote(path, errors="surrogateescape") or uri).replace("\0", "")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        path = without_surrogates(path)
    if len(path) > MAX_PATH_CHARS:
        # Not a file, so this is only a name, and its directories are not checked.
        path = path.rpartition("/")[2][-MAX_PATH_CHARS:]
    if path[:1] == "/" and path[2:3] == ":":
        # file:///c:/work
        path = path[1:]
    elif authority and scheme.lower() == "file":
        # A share of Windows.
        path = f"//{authority}{path}"
    return Path(path)


def is_other_version(one: str, other: str) -> bool:
    """Whether two URIs show the same file: now and as of HEAD, or a notebook and its cell.

    Two cells of one notebook are different texts.
    """
    if one == other:
        return True
    if one.partition(":")[0] == other.partition(":")[0]:
        return False
    return os.path.realpath(file_of(one)) == os.path.realpath(file_of(other))
