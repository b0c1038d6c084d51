"""Snapshots by version, and spans found again after edits elsewhere."""

from __future__ import annotations

import pytest
from lsprotocol import types

from dg_lsp.job import Span
from dg_lsp.server.convert import Units
from dg_lsp.server.workspace.documents import (
    KEPT_SNAPSHOTS,
    Documents,
    find_again,
    relative_path,
)

URI = "file:///a.py"


def opened(text: str = "a") -> Documents:
    documents = Documents()
    documents.open(types.TextDocumentItem(URI, "python", 1, text))
    return documents


def change(documents: Documents, version: int, text: str) -> bool:
    identifier = types.VersionedTextDocumentIdentifier(version, URI)
    whole = types.TextDocumentContentChangeWholeDocument(text)
    return documents.change(identifier, [whole], Units.UTF16)


def test_older_versions_are_kept_for_a_while():
    documents = opened()
    for version in range(2, KEPT_SNAPSHOTS + 3):
        assert change(documents, version, "a" * version)

    now = documents.get(URI)
    assert now is not None
    assert now.version == KEPT_SNAPSHOTS + 2
    assert documents.at_version(URI, None) is documents.at_version(URI, now.version) is now
    assert documents.at_version(URI, 1) is None
    older = documents.at_version(URI, 5)
    assert older is not None
    assert older.text == "aaaaa"
    documents.close(URI)
    assert documents.at_version(URI, 5) is documents.get(URI) is None


def test_an_edit_of_what_is_not_open_changes_nothing():
    documents = Documents()
    assert not change(documents, 2, "x")
    assert documents.get(URI) is None


@pytest.mark.parametrize(
    ("before", "now", "expect"),
    [
        ("ab[cd]ef", "ab[cd]ef", "cd"),
        ("ab[cd]ef", "XYab[cd]ef", "cd"),
        ("ab[cd]ef", "b[cd]ef", "cd"),
        ("ab[cd]ef", "ab[cd]efXY", "cd"),
        ("ab[cd]ef", "ab[cd]", "cd"),
        ("ab[cd]ef", "ab[cd]Xef", "cd"),
        ("ab[cd]ef", "abX[cd]ef", "cd"),
        ("ab[cd]ef", "ab[cXd]ef", None),
        ("ab[cd]ef", "ab[c]ef", None),
        ("ab[cd]ef", "Xab[cd]Xef", None),
        ("ab[cd]ef", "", None),
        ("ab[]ef", "Xab[]ef", ""),
        ("ab[]ef", "ab[]efX", ""),
        # At an empty span itself nobody can tell before which side something was typed.
        ("ab[]ef", "abX[]ef", None),
    ],
)
def test_finds_a_span_again(before, now, expect):
    start, end = before.index("["), before.index("]") - 1
    text, changed = (one.replace("[", "").replace("]", "") for one in (before, now))

    found = find_again(Span(start, end), text, changed)
    if expect is None:
        assert found is None
    else:
        assert found is not None
        assert changed[found.start : found.end] == expect
        if "[" in now:
            assert found.start == now.index("[")


@pytest.mark.parametrize(
    ("path", "expect"),
    [
        ("/work/a/b.py", "b.py"),
        ("/work/c.py", "c.py"),
        ("/workshop/c.py", "/workshop/c.py"),
        ("untitled:Untitled-1", "untitled:Untitled-1"),
    ],
)
def test_paths_as_seen_from_the_workspace(path, expect):
    assert relative_path(path, ["/work", "/work/a/"]) == expect


@pytest.mark.parametrize(
    ("path", "expect"),
    [
        (r"c:\Work\lib\b.py", "lib/b.py"),
        (r"C:\work\a\b.py", "b.py"),
        (r"c:\workshop\b.py", r"c:\workshop\b.py"),
        (r"\\server\share\b.py", "b.py"),
    ],
)
def test_paths_of_windows_are_shown_with_slashes(path, expect):
    roots = [r"c:\work", r"c:\work\a", "", r"\\server\share"]
    assert relative_path(path, roots) == expect
