"""What is written to a pipe, at once or on a thread, arrives in order and holds nothing up."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time

import pytest

from dg_lsp.server.rpc.pipe_writer import PipeWriter


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(end)


def read_all(descriptor: int) -> bytes:
    read = b""
    while piece := os.read(descriptor, 1 << 16):
        read += piece
    return read


def test_a_short_message_is_there_when_the_call_returns(pipe) -> None:
    reading, writing = pipe
    writer = PipeWriter(writing, 1 << 20)
    os.set_blocking(reading, False)
    for number in range(20):
        writer.write(b"%d\n" % number)
        assert os.read(reading, 100) == b"%d\n" % number
    writer.flush(5)


def test_what_does_not_fit_is_written_later_and_in_order(pipe) -> None:
    reading, writing = pipe
    rng = random.Random(1)
    pieces = [
        bytes([65 + n % 26]) * rng.choice([1, 100, 4096, 9000, 70_000]) for n in range(90)
    ]
    writer = PipeWriter(writing, 1 << 30)
    # Nobody reads yet, and the pipe holds far less.
    for piece in pieces[:60]:
        writer.write(piece)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(read_all(reading)))
    reader.start()
    for piece in pieces[60:]:
        writer.write(piece)
    writer.flush(20)
    os.close(writing)
    reader.join(20)

    assert read == [b"".join(pieces)]


def test_a_pipe_that_is_closed_at_the_other_end(pipe) -> None:
    reading, writing = pipe
    writer = PipeWriter(writing, 1 << 20)
    os.close(reading)

    def keep_writing() -> None:
        while True:
            writer.write(b"x")
            time.sleep(0.001)

    with pytest.raises(BrokenPipeError):
        keep_writing()
    writer.flush(5)


def test_nothing_is_written_after_the_end(pipe) -> None:
    reading, writing = pipe
    writer = PipeWriter(writing, 1 << 20)
    writer.write(b"before")
    writer.flush(5)
    writer.write(b"after")
    os.close(writing)

    assert read_all(reading) == b"before"


def test_what_nobody_reads_is_lost_beyond_the_limit(pipe) -> None:
    lost = []
    writer = PipeWriter(pipe[1], 200_000, lambda: lost.append(True))
    for _ in range(60):
        writer.write(b"x" * 10_000)

    assert 30 <= len(lost) <= 40
