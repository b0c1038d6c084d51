"""How much each client of a shared engine may ask for.

A client is a token's name, so opening several windows or connections does not raise a limit.
Rates are token buckets: a client that was quiet may send a burst. All of it runs on the event
loop, so nothing is locked.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from dg_lsp.job import InfillJob
from dg_lsp.reason import CodedError, ReasonCode

BURST_S = 10.0
"""How many seconds of its rate a client may use at once after a pause."""
FULL_S = 1.0
"""When a client with too many open jobs may try again; most jobs take less."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What one client may ask for; 0 means no limit."""

    requests_per_s: float = 40
    """Fast typing is ten keystrokes a second, most of which reach no engine; a job that is
    cancelled takes two requests."""
    bytes_per_s: float = 2_000_000
    """A request of the editors is 30 to 100 kB."""
    context_chars: int = 200_000
    """Of one job: the text around the span and all that goes with it. The default of
    `dgLsp.context.budgetChars` is 24,000."""
    open_jobs: int = 16
    """Jobs that wait or run: one for each document in which somebody types or rewrites."""


class OverLimitError(CodedError):
    """A client asks for more than it may; the message says which limit and when to retry."""

    def __init__(self, message: str, code: ReasonCode, retry_after_s: float) -> None:
        super().__init__(message, code)
        self.retry_after_s = retry_after_s


class ContextTooLongError(CodedError):
    """A job with more text than one job may have. Trying again would not help."""

    code = ReasonCode.TOO_LARGE


class _Bucket:
    """Fills with `rate` per second, up to `BURST_S` seconds' worth; may be overdrawn once."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate, self._level, self._at = rate, rate * BURST_S, now

    def wait_s(self, now: float) -> float:
        """Seconds until something may be taken; 0 if now."""
        self._level = min(self._rate * BURST_S, self._level + (now - self._at) * self._rate)
        self._at = now
        return 0.0 if self._level > 0 else (1e-3 - self._level) / self._rate

    def take(self, amount: float) -> None:
        self._level -= amount


class ClientAccount:
    """What one client has used."""

    def __init__(self, name: str, limits: ClientLimits, clock: Callable[[], float]) -> None:
        self._name, self._limits, self._clock = name, limits, clock
        now = clock()
        rates = {"requests": limits.requests_per_s, "bytes": limits.bytes_per_s}
        self._buckets = {what: _Bucket(rate, now) for what, rate in rates.items() if rate}

    def begin_request(self) -> None:
        """Count a request; raises `OverLimitError` if the client must wait."""
        now = self._clock()
        for what, bucket in self._buckets.items():
            wait_s = bucket.wait_s(now)
            if wait_s > 0:
                limit = getattr(self._limits, f"{what}_per_s")
                raise OverLimitError(
                    f"{self._name} sends more than {limit:g} {what} per second, which is the "
                    f"engine's limit; try again in {math.ceil(wait_s)} s",
                    ReasonCode.RATE_LIMITED,
                    wait_s,
                )
        if "requests" in self._buckets:
            self._buckets["requests"].take(1)

    def count_bytes(self, number: int) -> None:
        """Count the body of a request, once its length is known."""
        if "bytes" in self._buckets:
            self._buckets["bytes"].take(number)

    def check_job(self, job: InfillJob, open_jobs: int) -> None:
        """Raise if a job is too long, or one too many beside the client's open ones."""
        chars, most = count_chars(job), self._limits.context_chars
        if most and chars > most:
            raise ContextTooLongError(
                f"the job has {chars} characters, and this engine takes {most} from a client; "
                "lower dgLsp.context.budgetChars"
            )
        if self._limits.open_jobs and open_jobs >= self._limits.open_jobs:
            raise OverLimitError(
                f"{self._name} has {open_jobs} open jobs, which is the engine's limit for one "
                "client",
                ReasonCode.TOO_MANY_JOBS,
                FULL_S,
            )


class Accounts:
    """The accounts of all clients. Names come from the file of tokens, so there are few."""

    def __init__(
        self, limits: ClientLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits, self._clock = limits, clock
        self._accounts: dict[str, ClientAccount] = {}

    def of(self, name: str) -> ClientAccount:
        if name not in self._accounts:
            # Without a name there is only the user of this machine.
            limits = self._limits if name else NO_LIMITS
            self._accounts[name] = ClientAccount(name, limits, self._clock)
        return self._accounts[name]


NO_LIMITS = ClientLimits(0, 0, 0, 0)
DEFAULT_LIMITS = ClientLimits()


def count_chars(job: InfillJob) -> int:
    """Characters of all text in a job."""
    texts = [job.prefix, job.suffix, job.replaced or "", job.instruction or "", *job.shown]
    texts += [snippet.text for snippet in job.snippets] + [seed.text for seed in job.all_seeds]
    texts += [one.text for one in job.pinned]
    earlier = (job.earlier, *(one.earlier for one in job.pinned))
    return sum(map(len, texts)) + sum(len(one.text) for one in earlier if one)
