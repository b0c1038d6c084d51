"""Finds the files of a workspace that are worth searching for code.

It leaves out excluded files, by the same rules as for documents (`exclusion.py`), and code that
nobody in the workspace wrote by hand, which would outweigh the rest: installed and vendored
packages, build outputs, generated and minified files. It follows no symlinks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dg_lsp.document.exclusion import reason
from dg_lsp.document.ignore_files import IgnoreFile, read_ignore_files
from dg_lsp.document.secrets import mask_secrets
from dg_lsp.document.source import SourceError, language_of, read_source

MAX_FILE_BYTES = 400_000
MAX_FILE_CHARS, MAX_LINE_CHARS = 200_000, 1000
"""A file that exceeds these limits is data, generated or packed."""
HEAD_CHARS = 2000
"""Length of a file's beginning in which a generator identifies itself."""

NOT_CODE = frozenset(
    {
        "plaintext",
        "markdown",
        "restructuredtext",
        "latex",
        "diff",
        "json",
        "jsonc",
        "ini",
        "xml",
    }
)
_OF_OTHERS = re.compile(
    r"node_modules|bower_components|jspm_packages|vendor(ed)?|_vendor|third[-_]?party|external"
    r"|site-packages|dist-packages|v?env|virtualenv|dist|build|out|target|bin|obj|_build"
    r"|__pycache__|__generated__|generated|coverage|htmlcov|bazel-.*|cmake-build-.*|Pods"
    r"|deriveddata|.*\.egg-info|\..*",
    re.IGNORECASE,
)
_GENERATED_NAME = re.compile(
    r".*[.-]min\.\w+|.*\.bundle\.\w+|.*_pb2(_grpc)?\.pyi?|.*\.pb\.\w+|.*\.g\.\w+"
    r"|.*\.generated\.\w+|.*_generated\.\w+|.*\.designer\.\w+|.*\.lock|.*-lock\.\w+|go\.sum",
    re.IGNORECASE,
)
_GENERATED = re.compile(
    r"auto(matically)?[- ]?generated|\bdo not (hand[- ]?)?(edit|modify)\b|@generated"
    r"|^\W*(this (file|code) (is|was) )?generated (by|from|with)\b",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class CodeFile:
    """A file of a workspace, not yet read."""

    path: str
    """Without symlinks."""
    modified_ns: int
    size_bytes: int


def code_files(
    folder: Path, globs: Sequence[str], near: Sequence[Path] = (), others: Sequence[Path] = ()
) -> Iterator[CodeFile | None]:
    """The files below a workspace folder, those in directories near the given files first.

    `globs` are those of the setting that excludes files; `others` are folders that are walked
    separately. `None` is yielded between two directories, so that the caller can pause.
    """
    root = Path(os.path.realpath(folder))
    apart = {Path(os.path.realpath(other)) for other in others} - {root}
    first = [parent for file in near for parent in file.parents if parent.is_relative_to(root)]
    waiting = [root, *reversed(first)]
    seen: set[Path] = set()
    while waiting:
        directory = waiting.pop()
        if directory in seen:
            continue
        seen.add(directory)
        yield None
        ignored = read_ignore_files(directory / "file", root)
        if directory != root and (
            any(map(_OF_OTHERS.fullmatch, directory.relative_to(root).parts))
            or _excluded(directory / "file", root, folder, ignored, globs)
        ):
            continue
        folders = []
        for entry in _entries(directory):
            path = Path(entry.path)
            try:
                if entry.is_dir(follow_symlinks=False):
                    if path not in apart:
                        folders.append(path)
                elif (
                    entry.is_file(follow_symlinks=False)
                    and is_code_name(entry.name)
                    and _excluded(path, root, folder, ignored, globs) is None
                ):
                    status = entry.stat(follow_symlinks=False)
                    yield CodeFile(entry.path, status.st_mtime_ns, status.st_size)
            except OSError:
                # It has just been removed.
                continue
        waiting += reversed(folders)


def is_code_name(name: str) -> bool:
    """Whether a file is hand-written code, judging by its name."""
    return language_of(Path(name)) not in NOT_CODE and not _GENERATED_NAME.fullmatch(name)


def read_code(file: CodeFile) -> str | None:
    """The text of a file with its secrets masked; `None` if it is not worth searching.

    Also `None` if the file has changed since it was found; a later walk finds it again.
    """
    if not 0 < file.size_bytes <= MAX_FILE_BYTES:
        return None
    path = Path(file.path)
    try:
        text = read_source(path).text
        status = path.stat()
    except (SourceError, OSError):
        return None
    if (status.st_mtime_ns, status.st_size) != (file.modified_ns, file.size_bytes):
        return None
    return mask_secrets(text) if is_written_by_hand(text) else None


def is_written_by_hand(text: str) -> bool:
    """Whether a text looks like hand-written code, and is not too long."""
    if len(text) > MAX_FILE_CHARS or not text.strip() or _GENERATED.search(text[:HEAD_CHARS]):
        return False
    return max(map(len, text.split("\n"))) <= MAX_LINE_CHARS


def _excluded(
    path: Path, root: Path, folder: Path, ignored: Sequence[IgnoreFile], globs: Sequence[str]
) -> str | None:
    relative = path.relative_to(root).as_posix()
    # The folder may be a symlink, with a name of its own.
    ways = dict.fromkeys((path.as_posix(), f"{folder.as_posix()}/{relative}"))
    return next((why for way in ways if (why := reason(way, relative, ignored, globs))), None)


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []
