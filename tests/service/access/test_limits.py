"""What one client may ask for, under a clock that the test moves."""

from __future__ import annotations

import pytest

from dg_lsp.job import Earlier, InfillJob, Seed, Snippet
from dg_lsp.reason import ReasonCode
from dg_lsp.service.access.limits import (
    BURST_S,
    Accounts,
    ClientLimits,
    ContextTooLongError,
    OverLimitError,
    count_chars,
)

JOB = InfillJob("a" * 60, "b" * 30, document="a.py")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def accounts(clock: Clock, **limits: float) -> Accounts:
    none = {"requests_per_s": 0, "bytes_per_s": 0, "context_chars": 0, "open_jobs": 0}
    return Accounts(ClientLimits(**{**none, **limits}), clock)


def refused(call, *arguments) -> OverLimitError:
    with pytest.raises(OverLimitError) as raised:
        call(*arguments)
    return raised.value


def test_requests_come_in_a_burst_and_then_at_the_rate(clock):
    account = accounts(clock, requests_per_s=2).of("ada")
    for _ in range(2 * int(BURST_S)):
        account.begin_request()
    over = refused(account.begin_request)
    assert (over.code, 0 < over.retry_after_s <= 0.5) == (ReasonCode.RATE_LIMITED, True)
    for _ in range(5):
        clock.now += over.retry_after_s
        account.begin_request()
        over = refused(account.begin_request)


def test_a_refused_request_costs_nothing(clock):
    account = accounts(clock, requests_per_s=1).of("ada")
    for _ in range(int(BURST_S)):
        account.begin_request()
    waits = {refused(account.begin_request).retry_after_s for _ in range(100)}
    assert len(waits) == 1


def test_bytes_count_once_they_are_known(clock):
    account = accounts(clock, bytes_per_s=1000).of("ada")
    account.begin_request()
    account.count_bytes(int(1000 * BURST_S) + 5000)
    over = refused(account.begin_request)
    assert over.code is ReasonCode.RATE_LIMITED
    assert over.retry_after_s == pytest.approx(5, abs=0.01)
    clock.now += over.retry_after_s
    account.begin_request()


def test_open_jobs(clock):
    account = accounts(clock, open_jobs=2).of("ada")
    account.check_job(JOB, 1)
    assert refused(account.check_job, JOB, 2).code is ReasonCode.TOO_MANY_JOBS


def test_a_job_that_is_too_long_is_refused_for_good(clock):
    account = accounts(clock, context_chars=90).of("ada")
    account.check_job(JOB, 1000)
    with pytest.raises(ContextTooLongError) as raised:
        account.check_job(InfillJob("a" * 60, "b" * 31), 0)
    assert raised.value.code is ReasonCode.TOO_LARGE


def test_every_text_of_a_job_counts():
    job = InfillJob(
        "12",
        "345",
        snippets=(Snippet("path", "67"),),
        seeds=(Seed("89"),),
        earlier=Earlier("0"),
        replaced="ab",
        instruction="cde",
        shown=("f", "g"),
    )
    assert count_chars(job) == 17


def test_clients_have_accounts_of_their_own_and_nobody_named_has_none(clock):
    of = accounts(clock, requests_per_s=1, open_jobs=1).of
    for _ in range(int(BURST_S)):
        of("ada").begin_request()
    refused(of("ada").begin_request)
    of("bob").begin_request()
    for _ in range(1000):
        of("").begin_request()
        of("").check_job(JOB, 1000)
