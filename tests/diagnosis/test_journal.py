"""The file of traces: bounded, shared by processes, no trouble where it cannot be written."""

from __future__ import annotations

import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from dg_lsp.diagnosis.journal import (
    Journal,
    client_file,
    follow_traces,
    read_client,
    read_traces,
    state_directory,
    trace_file,
)


def write(directory: Path, *records: dict, **options: int) -> None:
    journal = Journal(directory, **options)
    for record in records:
        journal.add(record)
    journal.close(10)


def test_the_last_traces_come_back_oldest_first(tmp_path):
    write(tmp_path / "a" / "b", *({"n": n} for n in range(5)))

    assert read_traces(tmp_path / "a" / "b", 3) == [{"n": 2}, {"n": 3}, {"n": 4}]
    assert read_traces(tmp_path / "a" / "b", 0) == []
    assert read_traces(tmp_path / "absent", 3) == []


def test_only_the_user_can_read_them(tmp_path):
    write(tmp_path / "state", {"n": 1})

    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert trace_file(tmp_path / "state").stat().st_mode & 0o777 == 0o600


def test_it_stays_bounded_and_keeps_the_newest(tmp_path):
    write(tmp_path, *({"n": n} for n in range(300)), max_file_bytes=1000)

    assert sum(path.stat().st_size for path in tmp_path.glob("trace*.jsonl")) < 2100
    kept = [record["n"] for record in read_traces(tmp_path, 1000)]
    assert kept == list(range(kept[0], 300))
    assert len(kept) > 80


def _write_many(directory: Path, name: int) -> None:
    write(directory, *({"from": name, "n": n} for n in range(200)), max_file_bytes=5_000)


def test_processes_share_the_file(tmp_path):
    spawning = multiprocessing.get_context("spawn")
    writers = [spawning.Process(target=_write_many, args=(tmp_path, name)) for name in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)

    # About 7000 bytes: the file was put aside once, and nothing was lost with it.
    found = read_traces(tmp_path, 1000)
    for name in (1, 2):
        assert [one["n"] for one in found if one["from"] == name] == list(range(200))


@pytest.mark.parametrize("torn", [b'{"n": 1', b"\xff\xfe", b"[1]", b"null", b"[" * 100_000])
def test_lines_that_cannot_be_read_are_left_out(tmp_path, torn):
    write(tmp_path, {"n": 0})
    with trace_file(tmp_path).open("ab") as file:
        file.write(torn + b"\n")
    write(tmp_path, {"n": 2})

    assert read_traces(tmp_path, 9) == [{"n": 0}, {"n": 2}]


def test_a_line_cut_off_by_a_full_disk_does_not_spoil_the_next(tmp_path, monkeypatch):
    really_write = os.write
    lengths = iter([5])

    def short_write(descriptor: int, data: bytes) -> int:
        return really_write(descriptor, data[: next(lengths, len(data))])

    monkeypatch.setattr("dg_lsp.diagnosis.journal.os.write", short_write)
    write(tmp_path, {"n": 1}, {"n": 2}, {"n": 3})

    assert read_traces(tmp_path, 9) == [{"n": 2}, {"n": 3}]


def test_what_cannot_be_written_is_lost_and_nothing_else(tmp_path):
    (tmp_path / "file").write_text("in the way")
    write(tmp_path / "file", {"n": 1})
    journal = Journal(tmp_path / "file" / "below")
    journal.note_client({"name": "x"})
    journal.close(10)

    assert (tmp_path / "file").read_text() == "in the way"


def test_a_disk_that_hangs_holds_nobody_up(tmp_path, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr("dg_lsp.diagnosis.journal.MAX_WAITING", 5)
    monkeypatch.setattr(Journal, "_append", lambda self, *what: gate.wait(30))
    journal = Journal(tmp_path)
    for n in range(100):
        journal.add({"n": n})
    journal.close(0.01)
    gate.set()


def test_following_goes_on_when_the_file_is_put_aside(tmp_path):
    write(tmp_path, {"n": -1})
    coming = follow_traces(tmp_path)
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(next(coming) for _ in range(30)))
    reader.start()
    # It has looked once at least when it waits.
    while not seen:
        write(tmp_path, {"n": 0})
    for n in range(1, 80):
        write(tmp_path, {"n": n}, max_file_bytes=400)
        if not reader.is_alive():
            break
        reader.join(0.02)
    reader.join(10)

    assert not reader.is_alive()
    found = [record["n"] for record in seen if record["n"]]
    assert found == list(range(1, len(found) + 1))


def test_the_last_client(tmp_path):
    journal = Journal(tmp_path)
    journal.note_client({"name": "Neovim"})
    journal.note_client({"name": "Helix"})
    journal.close(10)

    assert read_client(tmp_path) == {"name": "Helix"}
    assert [path.name for path in tmp_path.iterdir()] == ["last-client.json"]
    client_file(tmp_path).write_text("{")
    assert read_client(tmp_path) is None


def test_the_directory_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("DG_LSP_STATE_DIR", str(tmp_path))
    assert state_directory() == tmp_path
    monkeypatch.delenv("DG_LSP_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_directory().name == "dg-lsp"
