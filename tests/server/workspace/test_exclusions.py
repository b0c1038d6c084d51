"""What is excluded stays so whatever way the editor takes to it, and however it changes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from dg_lsp.server.workspace.documents import Document
from dg_lsp.server.workspace.exclusions import (
    MAX_AT_ONCE_BYTES,
    RECHECK_S,
    RENEW_S,
    STILL_READING,
    Exclusions,
    file_of,
    is_other_version,
)

IGNORED = "excluded: ignored by .gitignore line 1 (build/)"


def document(uri: str) -> Document:
    return Document(uri, "python", 1, "x = 1\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "build").mkdir(parents=True)
    (root / ".gitignore").write_text("build/\n")
    return root


def reason(uri: str, *folders: Path, exclusions: Exclusions | None = None) -> str | None:
    exclusions = exclusions or Exclusions((), ())
    return exclusions.verdict(document(uri), [str(folder) for folder in folders]).reason


def test_a_folder_that_is_added_later_counts_at_once(tmp_path: Path, root: Path) -> None:
    exclusions = Exclusions(("*.py",), ())
    (root / ".gitignore").unlink()
    (tmp_path / ".gitignore").write_text("root/build/\n")
    uri = (root / "build" / "a.py").as_uri()

    assert reason(uri, root, exclusions=exclusions) is None
    assert reason(uri, tmp_path, exclusions=exclusions) is not None
    assert reason(uri, root, exclusions=exclusions) is None


def test_a_symlink_hides_nothing_either_way_round(tmp_path: Path, root: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    real, linked = (root / "build" / "a.py"), (link / "build" / "a.py")

    assert reason(real.as_uri(), link) == IGNORED
    assert reason(linked.as_uri(), root) == IGNORED
    assert reason(linked.as_uri(), link) == IGNORED
    assert reason((link / "a.py").as_uri(), root) is None


def test_a_link_to_a_secret_is_as_secret(root: Path) -> None:
    (root / ".env").write_text("x")
    (root / "settings.txt").symlink_to(root / ".env")

    assert "environment file" in (reason((root / "settings.txt").as_uri(), root) or "")


@pytest.mark.parametrize("marker", [".git", ".gitignore"])
def test_without_a_folder_the_nearest_repository_counts(root: Path, marker: str) -> None:
    (root / ".git").mkdir()
    (root.parent / ".gitignore").write_text("*\n")
    if marker == ".gitignore":
        (root / ".git").rmdir()

    assert reason((root / "build" / "a.py").as_uri()) == IGNORED
    assert reason((root / "a.py").as_uri()) is None


def test_outer_ignore_files_of_a_repository_count_without_a_folder(root: Path) -> None:
    (root / ".git").mkdir()
    inner = root / "build" / "inner"
    inner.mkdir()
    (inner / ".gitignore").write_text("*.log\n")

    assert reason((inner / "a.py").as_uri()) == IGNORED


@pytest.mark.parametrize(
    "uri",
    [
        "file://{path}",
        "vscode-notebook-cell:{path}#W0sZmlsZQ%3D%3D",
        "vscode-notebook-cell://wsl%2Bubuntu{path}#ch0000001",
        'git:{path}?{{"path":"{path}","ref":"HEAD"}}',
        "untitled:{path}",
        "vscode-remote://ssh-remote%2Bhost{path}",
        "gitlens://abc{path}?ref=1",
    ],
)
def test_a_document_is_judged_by_its_file_whatever_its_scheme(root: Path, uri: str) -> None:
    ignored, kept = root / "build" / "a.ipynb", root / "a.ipynb"

    assert reason(uri.format(path=ignored), root) == IGNORED
    assert reason(uri.format(path=ignored)) == IGNORED
    assert reason(uri.format(path=kept), root) is None


@pytest.mark.parametrize(
    ("uri", "expect"),
    [
        ("file:///a/b%20c.py", "/a/b c.py"),
        ("file:///c%3A/Work/a.py", "c:/Work/a.py"),
        ("file://server/share/a.py", "//server/share/a.py"),
        ("git:/c:/work/a.py?{}", "c:/work/a.py"),
        ("untitled:Untitled-1", "Untitled-1"),
        ("untitled:.env", ".env"),
        ("file:///a/%00.env", "/a/.env"),
        ("file:///a/\ud83d.py", "/a/\ufffd.py"),
        ("//[bad", "//[bad"),
        ("", "."),
        ("\0", "."),
        # Too long for any system, so it is no file's.
        ("file:///" + "a/" * 200_000 + "b.py", "b.py"),
        ("file:///" + "a/" * 200_000 + ".env", ".env"),
        ("\ud83d", "\ufffd"),
    ],
)
def test_the_file_of_a_uri(uri: str, expect: str) -> None:
    assert file_of(uri) == Path(expect)
    assert reason(uri) is None or ".env" in uri


def test_changes_by_other_programs_are_noticed(root: Path) -> None:
    now = 0.0
    exclusions = Exclusions((), (), clock=lambda: now)
    uri = (root / "a.py").as_uri()

    assert reason(uri, root, exclusions=exclusions) is None
    (root / ".gitignore").write_text("a.py\n")
    now += RECHECK_S
    assert reason(uri, root, exclusions=exclusions) is not None
    (root / ".gitignore").unlink()
    now += RECHECK_S
    assert reason(uri, root, exclusions=exclusions) is None
    # A save in the editor counts from the next request on.
    (root / ".gitignore").write_text("*\n")
    exclusions.look_again()
    assert reason(uri, root, exclusions=exclusions) is not None


def test_between_two_looks_the_disk_is_left_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exclusions = Exclusions((), (), clock=lambda: 0.0)
    uri = (root / "build" / "a.py").as_uri()
    reason(uri, root, exclusions=exclusions)
    monkeypatch.setattr(os.path, "realpath", None)

    assert reason(uri, root, exclusions=exclusions) == IGNORED


def test_a_look_ahead_spares_the_next_verdict_its_own(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    exclusions = Exclusions((), (), clock=lambda: now)
    uri = (root / "build" / "a.py").as_uri()
    reason(uri, root, exclusions=exclusions)
    now += RENEW_S
    exclusions.renew([uri, "file:///unknown.py"])
    now += RECHECK_S - RENEW_S / 2
    monkeypatch.setattr(os.path, "realpath", None)

    assert reason(uri, root, exclusions=exclusions) == IGNORED


def test_a_look_ahead_delays_no_news(root: Path) -> None:
    now = 0.0
    exclusions = Exclusions((), (), clock=lambda: now)
    uri = (root / "a.py").as_uri()
    reason(uri, root, exclusions=exclusions)
    now += RENEW_S
    (root / ".gitignore").write_text("a.py\n")
    exclusions.renew([uri])
    now += RECHECK_S - RENEW_S
    assert reason(uri, root, exclusions=exclusions) is not None

    (root / ".gitignore").unlink()
    exclusions.look_again()
    exclusions.renew([uri])
    assert reason(uri, root, exclusions=exclusions) is None


async def settled(exclusions: Exclusions, uri: str, root: Path) -> str | None:
    async with asyncio.timeout(60):
        while (found := reason(uri, root, exclusions=exclusions)) == STILL_READING:
            await asyncio.sleep(0.01)
    return found


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("line_{n}", 100_000),
        ("*_{n}.log", 100_000),
        ("a/**/{n}", 100_000),
        ("[!a]{n}?", 10_000),
    ],
)
async def test_a_hundred_thousand_lines_are_matched_beside_the_loop(
    root: Path, line: str, count: int
) -> None:
    lines = "".join(line.format(n=n) + "\n" for n in range(count))
    (root / ".gitignore").write_text("build/\n" + lines)
    exclusions = Exclusions((), ())
    ignored, kept = (root / "build" / "a.py").as_uri(), (root / "src" / "b.py").as_uri()

    # Nobody waits for it, and nothing is shown meanwhile.
    assert reason(ignored, root, exclusions=exclusions) == STILL_READING
    assert await settled(exclusions, ignored, root) == IGNORED
    assert await settled(exclusions, kept, root) is None


async def test_globs_of_the_settings_are_matched_beside_the_loop_too(root: Path) -> None:
    globs = tuple(f"*{n}*" for n in range(1000, 1000 + MAX_AT_ONCE_BYTES // 6 + 1))
    exclusions = Exclusions((), (*globs, "a.py"))
    uri = (root / "a.py").as_uri()

    assert reason(uri, root, exclusions=exclusions) == STILL_READING
    found = await settled(exclusions, uri, root)
    assert "a.py" in found


def test_one_file_in_two_versions() -> None:
    file = "file:///work/a.py"
    assert is_other_version(file, 'git:/work/a.py?{"path":"/work/a.py","ref":"HEAD"}')
    assert is_other_version("file:///work/a.ipynb", "vscode-notebook-cell:/work/a.ipynb#1")
    assert is_other_version(file, file)
    assert not is_other_version(file, "git:/work/b.py?{}")
    assert not is_other_version(file, "file:///work/b.py")
    cells = "vscode-notebook-cell:/work/a.ipynb#"
    assert not is_other_version(f"{cells}1", f"{cells}2")
