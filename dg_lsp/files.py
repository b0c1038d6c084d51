"""Files of the user: read as what they are, and replaced as a whole.

A path in a setting may name anything: opening a pipe waits for a writer, and a device may never
end. A file that is written in place is half written when the process or the disk ends.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path


class NotRegularError(OSError):
    """A directory, a pipe or a device, where a file is needed."""


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file. `OSError` if it is none, cannot be read or is longer."""
    # Without waiting for whoever writes to a pipe.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegularError(f"{path} is not a file")
    with open(descriptor, "rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(f"{path} is longer than {most_bytes} bytes")
    return data


def write_private(path: Path, data: bytes, *, replaces: bool = True) -> bool:
    """Write a file that only the user can access, as a whole; nothing is left if that fails.

    False if there is a file already and it is not to be replaced. `OSError` as from `open`,
    with the name of the file.
    """
    with naming(path):
        return _write_private(path, data, replaces)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors in writing a file that is open do not name it, unlike those in opening it."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _write_private(path: Path, data: bytes, replaces: bool) -> bool:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
        if replaces:
            os.replace(draft, path)
        else:
            # Unlike a rename, this fails if somebody else was first.
            os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    return True
