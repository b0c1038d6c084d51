"""Reads .gitignore files and decides which of their lines applies to a path.

Only `ways_to` and `read_ignore_files` access the disk. Neither .git/info/exclude nor the user's
global ignore file is read, and it does not matter which files git tracks.
"""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dg_lsp.document.globs import Glob

IGNORE_FILE = ".gitignore"
MAX_IGNORE_BYTES = 2 * 1024 * 1024
"""A larger ignore file is not read, and excludes everything below its directory to be safe.
Real ones have a few kilobytes; this is enough for 100,000 lines."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of an ignore file."""

    text: str
    line: int
    """Line number, from 1."""
    glob: Glob
    only_directories: bool
    excludes: bool
    """False for a line that starts with "!"."""

    def names(self, entry: str, is_directory: bool) -> bool:
        """Whether the line matches the file or directory itself."""
        return (is_directory or not self.only_directories) and self.glob.matches(entry)


@dataclass(frozen=True, slots=True)
class IgnoreFile:
    """An ignore file as read."""

    directory: str
    """Relative to the root, "/" between the names, "" for the root itself."""
    rules: tuple[Rule, ...]
    is_too_large: bool = False

    @property
    def path(self) -> str:
        return f"{self.directory}/{IGNORE_FILE}" if self.directory else IGNORE_FILE


@dataclass(frozen=True, slots=True)
class Stamp:
    """Data that shows whether an ignore file has been changed, by any program."""

    file: Path
    modified_ns: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Way:
    """One path of a file, and the ignore files that apply to it."""

    path: Path
    root: Path | None
    stamps: tuple[Stamp, ...]


def ways_to(path: Path, folders: Sequence[Path]) -> tuple[Way, ...]:
    """The path as given and, if it contains a symlink, the real path.

    `folders` are the workspace folders. Outside them, the root is the directory above the file
    with the nearest ".git" or, if there is none, with the nearest ignore file. Makes a few
    system calls per directory above the file, and opens nothing.
    """
    if not path.is_absolute():
        return (Way(path, None, ()),)
    real = Path(os.path.realpath(path))
    # A folder may be a symlink, too.
    known = [*folders, *(Path(os.path.realpath(folder)) for folder in folders)]
    return tuple(_way(one, known) for one in dict.fromkeys((path, real)))


def _way(path: Path, folders: Sequence[Path]) -> Way:
    holding = [folder for folder in folders if folder in path.parents]
    root = max(holding, key=lambda folder: len(folder.parts), default=None)
    root = root or _nearest(path, ".git") or _nearest(path, IGNORE_FILE)
    return Way(path, root, tuple(_stamps(path, root)) if root else ())


def _nearest(path: Path, name: str) -> Path | None:
    return next((parent for parent in path.parents if os.path.lexists(parent / name)), None)


def _stamps(path: Path, root: Path) -> Iterable[Stamp]:
    for directory in _between(path, root):
        file = directory / IGNORE_FILE
        try:
            found = file.stat()
        except OSError:
            continue
        yield Stamp(file, found.st_mtime_ns, found.st_size)


def _between(path: Path, root: Path) -> list[Path]:
    """The directories from the root down to the file's own."""
    if root not in path.parents:
        return []
    return [parent for parent in reversed(path.parents) if parent.is_relative_to(root)]


def read_ignore_files(path: Path, root: Path) -> tuple[IgnoreFile, ...]:
    """The ignore files that apply to a path, outermost first."""
    read = []
    for directory in _between(path, root):
        file = directory / IGNORE_FILE
        try:
            found = file.stat()
            # Pipes, devices and files of /proc, which have no size, may never end.
            if not stat.S_ISREG(found.st_mode) or not found.st_size:
                continue
            with file.open("rb") as opened:
                data = opened.read(MAX_IGNORE_BYTES + 1)
        except OSError:
            # Like git: a file that cannot be read ignores nothing.
            continue
        relative = directory.relative_to(root).as_posix()
        where = "" if relative == "." else relative
        if len(data) > MAX_IGNORE_BYTES:
            read.append(IgnoreFile(where, (), is_too_large=True))
            continue
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="surrogateescape")
        read.append(IgnoreFile(where, parse_rules(text)))
    return tuple(read)


@functools.lru_cache(maxsize=8)
def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules of an ignore file; as in git, a malformed line matches nothing."""
    rules = []
    for number, line in enumerate(text.split("\n"), 1):
        rule = _parse_rule(_without_trailing_spaces(line.removesuffix("\r")), number)
        if rule:
            rules.append(rule)
    return tuple(rules)


def _parse_rule(line: str, number: int) -> Rule | None:
    glob = line.removeprefix("!").removesuffix("/")
    if not glob or line.startswith("#"):
        return None
    return Rule(line, number, Glob(glob), line.endswith("/"), not line.startswith("!"))


def _without_trailing_spaces(line: str) -> str:
    """Without trailing spaces, unless a backslash precedes them."""
    stripped = line.rstrip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if backslashes % 2 and stripped != line else stripped


def path_below(path: Path, root: Path | None) -> str:
    """The path relative to the folder, or to the root directory if it is outside."""
    if root is not None and root in path.parents:
        return path.relative_to(root).as_posix()
    return path.as_posix().lstrip("/")


def deciding_rule(
    relative: str, ignored: Iterable[IgnoreFile]
) -> tuple[Rule, IgnoreFile] | None:
    """The rule that decides about a path, and its file.

    Goes down from the root: nothing below an excluded directory can be included again. On each
    level the innermost file decides, and in a file the last rule that matches.
    """
    inner_first = sorted(ignored, key=lambda file: len(file.directory), reverse=True)
    names = relative.split("/")
    found = None
    for depth in range(1, len(names) + 1):
        entry = "/".join(names[:depth])
        found = _rule_for(entry, depth < len(names), inner_first)
        if found and found[0].excludes:
            return found
    return found


def _rule_for(
    entry: str, is_directory: bool, inner_first: Iterable[IgnoreFile]
) -> tuple[Rule, IgnoreFile] | None:
    for file in inner_first:
        start = f"{file.directory}/" if file.directory else ""
        if not entry.startswith(start):
            continue
        for rule in reversed(file.rules):
            if rule.names(entry[len(start) :], is_directory):
                return rule, file
    return None


def rules_of(globs: Sequence[str]) -> list[IgnoreFile]:
    """The globs of a setting, as if they were in the root's ignore file."""
    return [IgnoreFile("", parse_rules("\n".join(globs)))]
