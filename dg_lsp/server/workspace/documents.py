"""The open documents as the client has them, each an immutable snapshot per version.

pygls has its own store, which is not used because it splits lines where editors do not (form
feed, U+2028) and misplaces positions past the end of a line. Older snapshots are kept for a
while, to find a span again in a newer version. Nothing is read from disk.
"""

from __future__ import annotations

import functools
import os
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePath, PurePosixPath, PureWindowsPath

from lsprotocol import types
from pygls.uris import to_fs_path

from dg_lsp.document.position import common_edges
from dg_lsp.job import Span
from dg_lsp.server.convert import Units, apply_change

_OF_WINDOWS = re.compile(r"[A-Za-z]:[/\\]|\\\\")

NO_VERSION = -(2**31)
"""The version of a change that does not give one."""

KEPT_SNAPSHOTS = 32
"""Older versions that a code action may still refer to; their texts share no memory."""
KEPT_CHARS = 8 * 1024 * 1024
"""Maximum number of characters of all of them together."""
KEPT_CLOSED = 8
"""Number of files that were edited and closed, which are often related to current work."""


@dataclass(frozen=True, slots=True)
class Document:
    """One version of an open document."""

    uri: str
    language: str
    version: int | None
    text: str

    @property
    def path(self) -> str:
        """The file's path, or the URI if the document is not a file."""
        return path_of(self.uri) or self.uri


class Documents:
    """The documents that are open, and those that were recently."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Document] = OrderedDict()
        self._older: OrderedDict[tuple[str, int | None], Document] = OrderedDict()
        self._edited: set[str] = set()
        self._closed: OrderedDict[str, Document] = OrderedDict()
        self._lost: dict[str, str] = {}
        """Languages of documents whose text is unknown because an edit could not be read."""

    def __iter__(self) -> Iterator[Document]:
        """The open documents, most recently edited first."""
        return reversed([*self._open.values()])

    def recent(self) -> Iterator[Document]:
        """The open documents, then those that were edited and closed, most recent first."""
        yield from self
        yield from reversed([*self._closed.values()])

    def get(self, uri: str) -> Document | None:
        return self._open.get(uri)

    def is_lost(self, uri: str) -> bool:
        """Whether the client has the document open but its text is unknown here."""
        return uri in self._lost

    def at_version(self, uri: str, version: int | None) -> Document | None:
        """The snapshot of a version, if it is still kept; by default the current one."""
        now = self._open.get(uri)
        if now is None or version is None or now.version == version:
            return now
        return self._older.get((uri, version))

    def open(self, item: types.TextDocumentItem) -> None:
        self._put(Document(item.uri, item.language_id, item.version, item.text))

    def change(
        self,
        identifier: types.VersionedTextDocumentIdentifier,
        changes: list[types.TextDocumentContentChangeEvent],
        units: Units,
    ) -> bool:
        """Apply edits in order; false if the resulting text is uncertain.

        A document that is out of sync recovers with an edit that replaces its whole text.
        """
        uri = identifier.uri
        before = self._open.get(uri)
        whole = [
            at
            for at, change in enumerate(changes)
            if isinstance(change, types.TextDocumentContentChangeWholeDocument)
        ]
        if before is None and (uri not in self._lost or not whole):
            return False
        text = "" if before is None else before.text
        for change in changes[whole[-1] if whole else 0 :]:
            span = None
            if isinstance(change, types.TextDocumentContentChangePartial):
                span = change.range
            text = apply_change(text, span, change.text, units)
        version = None if identifier.version == NO_VERSION else identifier.version
        if before is None:
            self._put(Document(uri, self._lost[uri], version, text))
        else:
            self._older[uri, before.version] = before
            self._put(replace(before, version=version, text=text))
        self._edited.add(uri)
        kept = sum(len(older.text) for older in self._older.values())
        while self._older and (len(self._older) > KEPT_SNAPSHOTS or kept > KEPT_CHARS):
            _, dropped = self._older.popitem(last=False)
            kept -= len(dropped.text)
        return True

    def lose(self, uri: str, language: str | None, is_opened: bool) -> None:
        """Mark the document as out of sync, because the client's text is unknown."""
        known = self._open.get(uri)
        if language is None:
            language = known.language if known else self._lost.get(uri)
        if language is None and is_opened:
            language = "plaintext"
        self.close(uri)
        if language is not None:
            self._lost[uri] = language

    def close(self, uri: str) -> None:
        self._lost.pop(uri, None)
        closed = self._open.pop(uri, None)
        if closed is not None and uri in self._edited and len(closed.text) <= KEPT_CHARS:
            self._closed[uri] = closed
            if len(self._closed) > KEPT_CLOSED:
                self._closed.popitem(last=False)
        self._edited.discard(uri)
        for key in [key for key in self._older if key[0] == uri]:
            del self._older[key]

    def _put(self, document: Document) -> None:
        self._closed.pop(document.uri, None)
        self._lost.pop(document.uri, None)
        self._open[document.uri] = document
        self._open.move_to_end(document.uri)


def commonest_newline(*texts: str) -> str:
    """The line end that most lines of the texts have."""
    if not any("\r" in text for text in texts):
        return "\n"
    pairs = sum(text.count("\r\n") for text in texts)
    counts = {
        "\n": sum(text.count("\n") for text in texts) - pairs,
        "\r\n": pairs,
        "\r": sum(text.count("\r") for text in texts) - pairs,
    }
    return max(counts, key=lambda newline: counts[newline])


@functools.lru_cache(maxsize=1024)
def path_of(uri: str) -> str:
    """The path that a URI names; empty if it cannot be a file on this machine."""
    try:
        path = to_fs_path(uri) or ""
        os.fsencode(path)
    except ValueError:
        return ""
    return "" if "\0" in path else path


def find_again(span: Span, before: str, now: str) -> Span | None:
    """The span in a text that has changed elsewhere; `None` if the change touches it."""
    if before == now:
        return span
    same_start, same_end = common_edges(before, now)
    if span.end < same_start or (span.end == same_start and span.start < span.end):
        return span
    if span.start > len(before) - same_end or (
        span.start == len(before) - same_end and span.start < span.end
    ):
        moved = len(now) - len(before)
        return Span(span.start + moved, span.end + moved)
    return None


def relative_path(path: str, roots: list[str]) -> str:
    """The path relative to the innermost workspace folder that contains it, with slashes."""
    return _relative_path(path, tuple(roots))


@functools.lru_cache(maxsize=1024)
def _relative_path(path: str, roots: tuple[str, ...]) -> str:
    # Called at each keystroke, for every file that may be related.
    pure = _pure(path)
    folders = [_pure(root) for root in roots if root]
    holding = [folder for folder in folders if folder in pure.parents]
    if not holding:
        return path
    return pure.relative_to(max(holding, key=lambda folder: len(folder.parts))).as_posix()


def _pure(path: str) -> PurePath:
    """A path by the rules of the system that it seems to be from."""
    return PureWindowsPath(path) if _OF_WINDOWS.match(path) else PurePosixPath(path)
