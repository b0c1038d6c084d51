"""Recordings are opt-in, bounded, and read back as they were written."""

from __future__ import annotations

import sys

import pytest

from dg_lsp.diagnosis.recordings import (
    MOST_RECORDINGS,
    RecordedEdit,
    Recording,
    forget,
    is_recording,
    keep,
    read_recordings,
    recordings_directory,
    switch,
)

EDITS = (RecordedEdit(120, 4, 0, "é"), RecordedEdit(80, 4, 1, "\n"))


def test_off_until_it_is_switched_on(tmp_path):
    assert not is_recording(tmp_path)
    switch(tmp_path, on=True)
    assert is_recording(tmp_path)
    switch(tmp_path, on=False)
    assert not is_recording(tmp_path)


def test_what_is_kept_is_read_back(tmp_path):
    switch(tmp_path, on=True)
    recording = Recording("python", "x = \n", EDITS)
    keep(tmp_path, recording)

    assert read_recordings(tmp_path) == [recording]
    forget(tmp_path)
    assert read_recordings(tmp_path) == []


def test_only_the_last_ones_are_kept(tmp_path):
    switch(tmp_path, on=True)
    for number in range(MOST_RECORDINGS + 3):
        keep(tmp_path, Recording("python", str(number), EDITS))

    kept = [one.text for one in read_recordings(tmp_path)]
    assert kept == [str(number) for number in range(3, MOST_RECORDINGS + 3)]


@pytest.mark.skipif(sys.platform == "win32", reason="no modes there")
def test_only_the_user_can_read_them(tmp_path):
    switch(tmp_path, on=True)
    keep(tmp_path, Recording("python", "x", EDITS))

    assert recordings_directory(tmp_path).stat().st_mode & 0o077 == 0
    for path in recordings_directory(tmp_path).iterdir():
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2, "text": ""}', "no JSON"])
def test_files_that_are_something_else_are_left_out(tmp_path, text):
    switch(tmp_path, on=True)
    (recordings_directory(tmp_path) / "1.jsonl").write_text(text)

    assert read_recordings(tmp_path) == []
