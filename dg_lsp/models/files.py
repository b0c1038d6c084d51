"""Whether the files of a loaded model are still those that were loaded.

Weights in 4 bits are mapped into memory, not read, so that a model larger than the memory can
still be used and two engines share what they have in memory. dg-lsp itself never changes a file
in use: it writes new ones and renames them, which leaves the mapped ones as they are. Something
else may, for example an interrupted copy or a failing disk.
"""

from __future__ import annotations

from pathlib import Path

WEIGHTS = "*.safetensors"
Stamps = dict[str, tuple[int, int, int, int]]
"""Device, inode, size and time of the last change of each file, by its name."""


def stamp(directory: Path) -> Stamps:
    """The present state of the weights in a directory."""
    return {path.name: found for path in directory.glob(WEIGHTS) if (found := _stamp(path))}


def changed_file(directory: Path, before: Stamps) -> Path | None:
    """A file that is not what it was; one that was removed stays in memory as it was."""
    for name, then in before.items():
        now = _stamp(directory / name)
        if now is not None and now != then:
            return directory / name
    return None


def _stamp(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
