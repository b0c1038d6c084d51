"""Real disks that are full: a small one that is mounted, or else a limit on what is written."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SMALL_BYTES = 1 << 20


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
