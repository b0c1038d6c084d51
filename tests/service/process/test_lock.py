"""Locks: one holder, who can be asked for, and a lock that goes when its holder does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dg_lsp.service.process.lock import holder, is_held, note_holder, try_lock

HOLD = """
import sys
from pathlib import Path
from dg_lsp.service.process.lock import note_holder, try_lock
lock = try_lock(Path(sys.argv[1]))
note_holder(Path(sys.argv[1]))
print(lock is not None, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.lock"


def test_a_lock_has_one_holder_at_a_time(path):
    assert not is_held(path)
    first = try_lock(path)
    assert first is not None

    assert try_lock(path) is None
    assert is_held(path)
    first.release()
    second = try_lock(path)
    assert second is not None
    second.release()
    assert not is_held(path)


def test_asking_who_holds_a_lock_leaves_it_and_the_answer_alone(path):
    lock = try_lock(path)
    note_holder(path)

    for _ in range(3):
        assert (is_held(path), holder(path)) == (True, os.getpid())
    lock.release()


@pytest.mark.parametrize("note", [None, "", "no number", "12 34"])
def test_a_holder_that_did_not_say_who_it_is(path, note):
    if note is not None:
        path.with_suffix(".pid").write_text(note)

    assert holder(path) is None


def test_a_lock_dies_with_its_holder(path):
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"True\n"
        assert (is_held(path), holder(path)) == (True, process.pid)
        assert try_lock(path) is None
        process.kill()

    assert not is_held(path)


def test_a_lock_that_cannot_be_opened_is_an_error_and_is_not_held(tmp_path):
    path = tmp_path / "x.lock"
    path.mkdir()

    with pytest.raises(OSError, match=r"x\.lock"):
        try_lock(path)
    assert not is_held(path)


def test_others_cannot_read_the_lock_file(path):
    lock = try_lock(path)

    assert path.stat().st_mode & 0o077 == 0
    lock.release()
