"""Cuts a byte stream into the bodies of LSP base protocol messages.

Header names are read in any case and order. A header that has no usable length is skipped up
to its end, so that one bad frame does not end the session. Knows nothing of JSON.
"""

from __future__ import annotations

MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 1024 * 1024 * 1024


class FrameError(ValueError):
    """What came in cannot be read as frames any more."""


class FrameReader:
    """Turns bytes, cut anywhere, into message bodies."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length: int | None = None

    def feed(self, piece: bytes) -> list[bytes]:
        self._buffer += piece
        bodies: list[bytes] = []
        while True:
            if self._length is None and not self._read_header():
                return bodies
            if self._length is None:
                continue
            if len(self._buffer) < self._length:
                return bodies
            bodies.append(bytes(self._buffer[: self._length]))
            del self._buffer[: self._length]
            self._length = None

    def _read_header(self) -> bool:
        """Whether a whole header was there; it may still have had no length."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEADER_BYTES:
                raise FrameError(f"a header of more than {MAX_HEADER_BYTES} bytes")
            return False
        header = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        for line in header.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length" and value.strip().isdigit():
                length = int(value.strip()[:20])
                if length > MAX_BODY_BYTES:
                    raise FrameError(f"a message of {length} bytes")
                self._length = length
        return True
