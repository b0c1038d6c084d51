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
    alive 0                     a sign of life while there are open jobs
"""

from __future__ import annotations

from dataclasses import dataclass

from dg_lsp.service.fields import Json, dump_json

PATH, PROTOCOL = "/v1/jobs", "dg-lsp-jobs"
LONGEST_JOB_BYTES = 64 * 1024
"""A longer job goes as a request of its own, which is parsed on a thread."""
LONGEST_LINE_BYTES = 32 * 1024 * 1024
"""More without an end is not from our engine."""


class LineError(ValueError):
    """What came in is no line of a job channel."""


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

    def feed(self, piece: bytes) -> list[Line]:
        *whole, self._rest = (self._rest + piece).split(b"\n")
        if max(map(len, (*whole, self._rest))) > self._longest_bytes:
            raise LineError(f"a line of more than {self._longest_bytes} bytes")
        return [_parse(one) for one in whole]


def _parse(text: bytes) -> Line:
    word, _, rest = text.partition(b" ")
    number, _, body = rest.partition(b" ")
    if not (word.isalpha() and number.isdigit() and len(number) <= 18):
        raise LineError("a line is a word, a number and JSON")
    return Line(word.decode(), int(number), body)
