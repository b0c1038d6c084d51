"""Which directory has the user's sockets and locks, and whether only the user can enter it.

`dg-lsp infill` looks there before it does anything else, so this module uses nothing that takes
time to import, and plain strings for paths. `address.runtime_directory` is for everybody else.
"""

from __future__ import annotations

import os
import stat
import sys

MAX_SOCKET_PATH_BYTES = 100
"""The kernel takes 104 (macOS) or 108 (Linux) with the closing zero."""
LONGEST_NAME = len("/engine-12345678.sock")
SHORT_PARENT = "/tmp"
SESSIONS = "/run/user"
"""Where systemd makes the directories that XDG_RUNTIME_DIR names."""
WAY_OUT = "set DG_LSP_RUNTIME_DIR to a directory of your own, for the editor too"


class UnusableError(Exception):
    """The directory cannot be used; the message is one line that says why."""


def chosen(given: str | None = None) -> str:
    """The directory that every process of the user comes to: it depends on the environment
    alone, or on what is `given` on the command line."""
    moved = os.environ.get("DG_LSP_RUNTIME_DIR")
    if given is None and moved:
        given = os.path.expanduser(moved)
        if not os.path.isabs(given):
            raise UnusableError(f"DG_LSP_RUNTIME_DIR is {moved!r}; it must be an absolute path")
    return given or _default()


def socket_directory(given: str | None = None) -> str:
    """The same, or if its path is too long for a socket, a short stand-in that is the same for
    every process."""
    directory = chosen(given)
    if os.path.isabs(directory):
        # Two ways to write a path are one path, before it is counted.
        directory = "/" + "/".join(one for one in directory.split("/") if one not in ("", "."))
    if len(os.fsencode(directory)) + LONGEST_NAME <= MAX_SOCKET_PATH_BYTES:
        return directory
    import hashlib

    known_by = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    return f"{SHORT_PARENT}/dg-lsp-{os.getuid()}-{known_by}"


def make(directory: str) -> None:
    """Make a directory of sockets where it is missing, and check it; raises `UnusableError`."""
    try:
        _make(os.path.dirname(directory) or ".")
        _check_parent(directory)
        _make(directory)
    except OSError as error:
        raise UnusableError(
            f"the runtime directory {directory} cannot be made: {error.strerror}; {WAY_OUT}"
        ) from error
    _check(directory)


def check(directory: str) -> None:
    """Refuse a directory that others could enter or replace; `OSError` if it is missing."""
    _check_parent(directory)
    _check(directory)


def _default() -> str:
    if sys.platform in ("win32", "darwin"):
        import platformdirs

        return platformdirs.user_runtime_dir("dg-lsp", appauthor=False)
    session = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(session) and _can_exist(session):
        return f"{session}/dg-lsp"
    # Not all processes of a user are given the variable: those that cron starts are not. Nor do
    # all have the same TMPDIR.
    session = f"{SESSIONS}/{os.getuid()}"
    if os.access(session, os.W_OK | os.X_OK):
        return f"{session}/dg-lsp"
    return f"{SHORT_PARENT}/dg-lsp-{os.getuid()}"


def _can_exist(directory: str) -> bool:
    """Whether a directory is there or can be made: a logout removes that of the session, and
    what outlives it, for example in tmux, still has the variable."""
    if os.path.exists(directory):
        return True
    above = os.path.dirname(directory.rstrip("/"))
    while not os.path.exists(above):
        above = os.path.dirname(above)
    return os.path.isdir(above) and os.access(above, os.W_OK | os.X_OK)


def _make(directory: str) -> None:
    """With parents that are the user's alone as well, whatever the umask is."""
    above = os.path.dirname(directory)
    if above and not os.path.exists(above):
        _make(above)
    try:
        os.mkdir(directory, 0o700)
    except OSError:
        if not os.path.isdir(directory):
            raise


def _check_parent(directory: str) -> None:
    """Others must not be able to put another directory in its place."""
    parent = os.path.dirname(directory) or "."
    above = os.stat(parent)
    if above.st_uid not in (os.getuid(), 0):
        raise UnusableError(f"{parent} belongs to another user; {WAY_OUT}")
    if above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX:
        raise UnusableError(f"others may write to {parent}; {WAY_OUT}")


def _check(directory: str) -> None:
    """Others must not be able to enter the directory."""
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode):
        raise UnusableError(f"the runtime directory {directory} is no directory; {WAY_OUT}")
    if found.st_uid != os.getuid():
        raise UnusableError(
            f"the runtime directory {directory} belongs to another user; {WAY_OUT}"
        )
    if found.st_mode & 0o077:
        raise UnusableError(
            f"the runtime directory {directory} is open to others; chmod 700 it"
        )
