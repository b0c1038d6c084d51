"""Frames, cut anywhere, with the headers that clients really send."""

from __future__ import annotations

import pytest

from dg_lsp.server.rpc.frames import MAX_HEADER_BYTES, FrameError, FrameReader

TWO = b"Content-Length: 2\r\n\r\n{}content-length:4\r\nContent-Type: x\r\n\r\n[{}]"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_reads_frames_cut_anywhere_and_headers_in_any_case(size):
    reader = FrameReader()
    pieces = [TWO[at : at + size] for at in range(0, len(TWO), size)]

    assert [body for piece in pieces for body in reader.feed(piece)] == [b"{}", b"[{}]"]


def test_an_empty_body_is_a_frame():
    assert [*FrameReader().feed(b"Content-Length: 0\r\n\r\n" + TWO)] == [b"", b"{}", b"[{}]"]


@pytest.mark.parametrize(
    "header",
    [
        b"\r\nContent-Length: 2",
        b"\nContent-Length: 2",
        b"CONTENT-LENGTH :\t002 ",
        b"Content-Length: 2\r\nContent-Length: 2",
        b"X-Odd: ;:\r\nContent-Length: 2\r\nY:",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_odd_headers_whose_length_is_clear_are_read(header, size):
    reader, stream = FrameReader(), header + b"\r\n\r\n{}" + TWO
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]

    bodies = [body for piece in pieces for body in reader.feed(piece)]
    assert bodies == [b"{}", b"{}", b"[{}]"]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"x" * (MAX_HEADER_BYTES + 1),
        b"Content-Length: 99999999999\r\n\r\n",
        b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"Content-Length: -4\r\n\r\n",
        b"Content-Length: +5\r\n\r\n",
        b"Content-Length: 5.0\r\n\r\n",
        b"Content-Length: two\r\n\r\n",
        b"Content-Length: \xc2\xb2\r\n\r\n",
        b"Content-Length:\r\n\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n",
        b"X: 1\r\n\r\n",
        # Line ends of the wrong kind, and no header at all: their end would never come.
        b"Content-Length: 2\n\n{}",
        b"Content-Length: 2\r\nContent-Type: x\n",
        b'{"jsonrpc": "2.0", "id": 1, "method": "initialize"}',
        b"\x16\x03\x01\x02\x00",
        # What is left of a body whose Content-Length was too short.
        b'"}Content-Length: 2\r\n\r\n',
        b" secret\r\nContent-Length: 2\r\n\r\n",
    ],
)
@pytest.mark.parametrize("size", [3, 100_000])
def test_a_stream_that_cannot_be_trusted_ends_after_the_frames_before(nonsense, size):
    reader, bodies, stream = FrameReader(), [], TWO + nonsense
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]

    def read() -> None:
        for piece in pieces:
            bodies.extend(reader.feed(piece))

    with pytest.raises(FrameError) as refused:
        read()
    assert bodies == [b"{}", b"[{}]"]
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)
