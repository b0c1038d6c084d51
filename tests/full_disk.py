"""Real disks that are full: a small one that is mounted, or else a limit on what is written."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

SMALL_BYTES = 1 << 20
Switch = Callable[[], object]


def _mount(at: Path) -> bool:
    if sys.platform != "linux" or os.getuid() != 0:
        return False
    options = f"size={SMALL_BYTES},mode=755"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(at)], capture_output=True
    )
    return mounted.returncode == 0


@contextlib.contextmanager
def small_disk() -> Iterator[Path | None]:
    """A disk of a megabyte; `None` where this user cannot mount one."""
    at = Path(tempfile.mkdtemp(prefix="dgl"))
    if not _mount(at):
        at.rmdir()
        yield None
        return
    try:
        yield at
    finally:
        # Processes that were ended may still hold files.
        subprocess.run(["umount", "--lazy", str(at)], check=True)
        at.rmdir()


def limit_files(most_bytes: int | None) -> None:
    """Where nothing can be mounted: files of this process cannot grow any larger."""
    import resource

    most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (most if most_bytes is None else most_bytes, most)
    )


@contextlib.contextmanager
def disk_to_fill(
    otherwise: Path,
) -> Iterator[tuple[Path, Callable[[], object], Callable[[], object]]]:
    """A disk, or the other directory if there can be none; what fills it, and what frees it."""
    with small_disk() as disk:
        if disk is not None:
            yield disk, lambda: fill(disk), (disk / "ballast").unlink
            return
        try:
            yield otherwise, lambda: limit_files(10), lambda: limit_files(None)
        finally:
            limit_files(None)


def fill(disk: Path) -> Path:
    """Leave no byte; returns the file that takes the room."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        for size in (4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return ballast


with small_disk() as found:
    CAN_MOUNT = found is not None
