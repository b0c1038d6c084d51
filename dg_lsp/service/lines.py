"""The lines of a job channel: one connection over which a front end sends all its jobs.

A front end asks for it with an HTTP upgrade (`PATH`). After that, either side sends lines of a
word, the number of a job and, for most words, JSON:

    prepare 0 {"prefix": ...}   an `InfillJob` to hold
    job 7 {"prefix": ...}       an `InfillJob`; without JSON, the one that is held
    cancel 7
    accepted 7                  it is in the queue
    draft 7 {"text": ...}       a `Draft`
    infill 7 {"state": ...}     a `JobResult`, the end
    refused 7 {"status": ...}   the status and body of an HTTP answer, the end
    refused 0 {"status": ...}   what is wrong with a line, the end of the channel
    alive 0                     a sign of life while there are open jobs
"""

from __future__ import annotations

from dataclasses import dataclass

from dg_lsp.reason import CodedError, ReasonCode
from dg_lsp.service.fields import Json, dump_json

PATH, PROTOCOL = "/v1/jobs", "dg-lsp-jobs"
LONGEST_JOB_BYTES = 64 * 1024
"""A longer job goes as a request of its own, which is parsed on a thread."""
LONGEST_LINE_BYTES = 32 * 1024 * 1024
"""More without an end is not from our engine."""


class LineError(CodedError, ValueError):
    """What came in is no line of a job channel."""

    code = ReasonCode.INVALID_REQUEST


@dataclass(frozen=True, slots=True)
class Line:
    word: str
    number: int
    body: bytes


def line(word: str, number: int, body: bytes = b"") -> bytes:
    """A line; `body` is JSON as `dump_json` writes it, without a line end."""
    return b"%s %d %s\n" % (word.encode(), number, body)


ALIVE = line("alive", 0)


def refused(number: int, status: int, body: Json, retry_after_s: float | None) -> bytes:
    """The line that says what an HTTP answer would have said."""
    said = {"status": status, "retry_after_s": retry_after_s, "body": body}
    return line("refused", number, dump_json(said))


class LineReader:
    """Turns bytes, cut anywhere, into lines."""

    def __init__(self, longest_bytes: int) -> None:
        self._longest_bytes = longest_bytes
        self._rest = b""
        self.count = 0
        """How many lines were parsed."""

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that are whole now, to be parsed in this order."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        # What is already too long is parsed as well, which says so.
        return [*whole, self._rest] if len(self._rest) > self._longest_bytes else whole

    def parse(self, text: bytes) -> Line:
        """Read one line. Errors quote nothing of it, because it may be a document's text."""
        self.count += 1
        if len(text) > self._longest_bytes:
            said = f"line {self.count} has more than {self._longest_bytes} bytes"
            raise LineError(said, ReasonCode.TOO_LARGE)
        word, _, rest = text.partition(b" ")
        number, _, body = rest.partition(b" ")
        if not (word.isalpha() and number.isdigit() and len(number) <= 18):
            raise LineError(f"line {self.count} is not a word, a number and JSON")
        return Line(word.decode(), int(number), body)
