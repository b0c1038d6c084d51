"""Frames, cut anywhere, with the headers that clients really send."""

from __future__ import annotations

import pytest

from dg_lsp.server.frames import MAX_HEADER_BYTES, FrameError, FrameReader

TWO = b"Content-Length: 2\r\n\r\n{}content-length:4\r\nContent-Type: x\r\n\r\n[{}]"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_reads_frames_cut_anywhere_and_headers_in_any_case(size):
    reader = FrameReader()
    pieces = [TWO[at : at + size] for at in range(0, len(TWO), size)]

    assert [body for piece in pieces for body in reader.feed(piece)] == [b"{}", b"[{}]"]


@pytest.mark.parametrize(
    "header", [b"X: 1", b"Content-Length: two", b"Content-Length: -4", b"Content-Length:"]
)
def test_a_header_without_a_length_is_skipped(header):
    assert FrameReader().feed(header + b"\r\n\r\n" + TWO) == [b"{}", b"[{}]"]


def test_an_empty_body_is_a_frame():
    assert FrameReader().feed(b"Content-Length: 0\r\n\r\n" + TWO)[0] == b""


@pytest.mark.parametrize(
    "nonsense", [b"x" * (MAX_HEADER_BYTES + 1), b"Content-Length: 99999999999\r\n\r\n"]
)
def test_what_is_no_stream_of_frames_is_refused(nonsense):
    with pytest.raises(FrameError):
        FrameReader().feed(nonsense)
