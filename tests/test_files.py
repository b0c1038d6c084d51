"""Files that settings name, and private files that are replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dg_lsp.files import read_regular, write_private
from tests.full_disk import disk_to_fill


def test_only_a_file_is_read_and_nothing_is_waited_for(tmp_path):
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.write_bytes(b"text")
    os.mkfifo(pipe)
    assert read_regular(file, 4) == b"text"
    for path in (pipe, tmp_path, Path(os.devnull), tmp_path / "absent"):
        with pytest.raises(OSError, match=path.name):
            read_regular(path, 100)
    with pytest.raises(OSError, match="3 bytes"):
        read_regular(file, 3)


def test_a_file_is_replaced_as_a_whole_and_for_the_user_alone(tmp_path):
    path = tmp_path / "tokens"
    path.write_bytes(b"old")
    path.chmod(0o666)
    before = os.umask(0)
    try:
        assert write_private(path, b"new")
        assert not write_private(path, b"newer", replaces=False)
        assert write_private(tmp_path / "made", b"made", replaces=False)
    finally:
        os.umask(before)
    assert path.read_bytes() == b"new"
    assert {one.name: one.stat().st_mode & 0o777 for one in tmp_path.iterdir()} == {
        "tokens": 0o600,
        "made": 0o600,
    }


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "tokens"
    path.write_bytes(b"old")

    def fail(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"new")
    assert [one.name for one in tmp_path.iterdir()] == ["tokens"]
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(os.name == "nt", reason="there are no such limits")
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    with disk_to_fill(tmp_path) as (disk, fill, free):
        write_private(disk / "tokens", b"old")
        fill()
        with pytest.raises(OSError, match="tokens") as caught:
            write_private(disk / "tokens", b"new" * 10_000)
        free()
        assert caught.value.filename == f"{disk}/tokens"
        assert (disk / "tokens").read_bytes() == b"old"
