"""Cuts a byte stream into the bodies of LSP base protocol messages.

A malformed header block raises `FrameError`: the start of the next message is then unknown, and
a server that skipped ahead would silently stop reacting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_HEADER_BYTES = 8 * 1024
MAX_BODY_BYTES = 1024 * 1024 * 1024

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header name, which is a `token` of RFC 9110."""
_LENGTH = re.compile(rb"[0-9]{1,20}")
_ODD_LENGTH = re.compile(rb"[-+0-9.,]{0,30}")
"""What a log may show: after a wrong cut, a header may contain the user's text."""


class FrameError(ValueError):
    """The stream can no longer be read as frames; the message is one line."""


class FrameReader:
    """Turns bytes, cut anywhere, into message bodies."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length: int | None = None

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the complete bodies, including those before a bad frame."""
        self._buffer += piece
        while True:
            if self._length is None:
                self._length = self._read_header()
            if self._length is None or len(self._buffer) < self._length:
                return
            body = bytes(self._buffer[: self._length])
            del self._buffer[: self._length]
            self._length = None
            yield body

    def _read_header(self) -> int | None:
        """The length in the next header block, once the block is complete."""
        # Some clients end a message with an extra line end.
        while self._buffer.startswith((b"\r", b"\n")):
            del self._buffer[:1]
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            _check_beginning(bytes(self._buffer[: MAX_HEADER_BYTES + 1]))
            return None
        length = _length_of(bytes(self._buffer[:end]))
        del self._buffer[: end + 4]
        return length


def _check_beginning(header: bytes) -> None:
    """Refuse what cannot become a header block, instead of waiting for its end forever."""
    if len(header) > MAX_HEADER_BYTES:
        raise FrameError(f"a header is longer than {MAX_HEADER_BYTES} bytes")
    *lines, last = header.removesuffix(b"\r").split(b"\r\n")
    for line in lines:
        _split(line)
    if last and not _NAME.fullmatch(last.rstrip()):
        _split(last)


def _length_of(header: bytes) -> int:
    lengths = set()
    for line in header.split(b"\r\n"):
        name, value = _split(line)
        if name == b"content-length":
            if not _LENGTH.fullmatch(value):
                shown = ascii(value.decode()) if _ODD_LENGTH.fullmatch(value) else "no number"
                raise FrameError(f"Content-Length is {shown}, not a number of bytes")
            lengths.add(int(value))
    if not lengths:
        raise FrameError(f"a header of {len(header)} bytes has no Content-Length")
    if len(lengths) > 1:
        raise FrameError(f"a header with {len(lengths)} different values of Content-Length")
    length = lengths.pop()
    if length > MAX_BODY_BYTES:
        raise FrameError(f"a message of {length} bytes; the limit is {MAX_BODY_BYTES}")
    return length


def _split(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.fullmatch(name.rstrip(b" \t")) or b"\n" in line:
        raise FrameError(f"{len(line)} bytes are no header line, which ends with CR LF")
    return name.rstrip(b" \t").lower(), value.strip(b" \t")
