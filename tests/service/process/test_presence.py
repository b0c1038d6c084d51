"""The socket that is made again, and the guard that outlives a removed lock."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dg_lsp.service.process import presence
from dg_lsp.service.process.presence import Presence, guarded

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no Unix sockets")

HOLD = """
import sys, time
from pathlib import Path
from dg_lsp.service.process.presence import guarded
with guarded(Path(sys.argv[1]), 0.0) as is_alone:
    print(is_alone, flush=True)
    time.sleep(60)
"""


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def test_a_socket_is_made_again_and_only_ones_own_is_removed(directory):
    lock = directory / "engine.lock"
    lock.touch()
    own = Presence(lock, directory / "engine.sock")
    assert (own.has_lock, own.has_socket) == (True, False)
    with own.open():
        assert own.has_socket
        assert own.path.stat().st_mode & 0o777 == 0o600
        own.path.unlink()
        assert not own.has_socket
    with own.open():
        assert own.has_socket
        assert connects(own.path)
        own.path.unlink()
        with Presence(lock, own.path).open():
            own.leave()
            assert connects(own.path)
    lock.unlink()
    lock.touch()
    assert Presence(lock, own.path).has_lock


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract sockets")
def test_a_guard_is_held_until_its_process_ends(directory):
    lock = directory / "engine.lock"
    held = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(held, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        with guarded(lock, 0.05) as is_alone:
            assert not is_alone
        with guarded(directory / "other.lock", 0.05) as is_alone:
            assert is_alone
        # Who waits begins when the other has been killed.
        process.send_signal(signal.SIGKILL)
        began = time.monotonic()
        with guarded(lock, 30) as is_alone:
            assert is_alone
        assert time.monotonic() - began < 30


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract sockets")
def test_another_user_who_takes_the_name_keeps_nobody_from_starting(directory, monkeypatch):
    lock = directory / "engine.lock"
    with guarded(lock, 0.0):
        # As another user sees it: the name is ours, and the process is not.
        name = presence.guard_name(lock)
        monkeypatch.setattr(presence, "guard_name", lambda lock: name)
        mine = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: mine + 1)
        with guarded(lock, 5.0) as is_alone:
            assert is_alone
