"""A job that is fed from the loop or from a thread: its drafts, and its one end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from dg_lsp.fed_job import FedJob
from dg_lsp.job import Candidate, Draft, Infill, InfillJob, JobResult, JobState

JOB = InfillJob("a", "b")
DONE = Infill((Candidate("x", 0.5, -1.0),), 3)


def draft(step: int) -> Draft:
    return Draft("x", (0.5,), step, 9)


def at_once(feed: Callable[[], None]) -> None:
    feed()


def on_a_thread(feed: Callable[[], None]) -> None:
    thread = threading.Thread(target=feed)
    thread.start()
    thread.join()


@pytest.mark.parametrize("run", [at_once, on_a_thread])
async def test_a_late_reader_finds_the_last_draft_and_the_end(run):
    ended: list[FedJob] = []
    handle = FedJob(JOB, ended.append)

    def feed() -> None:
        for step in (1, 2, 3):
            handle.publish(draft(step))
        handle.finish(DONE)
        handle.publish(draft(4))

    run(feed)

    assert await handle.result() == JobResult(JobState.DONE, DONE)
    assert [one.step async for one in handle.drafts()] == [3]
    assert [one async for one in handle.drafts()] == []
    assert (handle.state, ended) == (JobState.DONE, [handle])


@pytest.mark.parametrize("run", [at_once, on_a_thread])
@pytest.mark.parametrize(
    ("end", "state"),
    [
        (FedJob.cancel, JobState.CANCELLED),
        (FedJob.supersede, JobState.SUPERSEDED),
        (lambda handle: handle.fail("out of memory"), JobState.FAILED),
    ],
)
async def test_the_first_end_stands_and_leaves_no_draft(run, end, state):
    ended: list[FedJob] = []
    handle = FedJob(JOB, ended.append)
    assert handle.start()
    handle.publish(draft(1))

    def feed() -> None:
        end(handle)
        handle.finish(DONE)
        handle.cancel()

    run(feed)

    # Whoever denoises sees the end at once, whatever the loop is doing.
    assert (handle.state, handle.is_open, handle.start()) == (state, False, False)
    result = await handle.result()
    assert (result.state, result.infill.candidates) == (state, ())
    assert result.infill.reason
    assert [one async for one in handle.drafts()] == []
    assert ended == [handle]


async def test_a_reader_that_gives_up_leaves_the_job_alone():
    handle = FedJob(JOB)
    waiting = asyncio.create_task(handle.result())
    await asyncio.sleep(0)
    waiting.cancel()
    handle.finish(DONE)

    assert (await handle.result()).infill == DONE


def test_what_comes_after_the_loop_is_gone_is_lost_in_silence():
    async def submit() -> FedJob:
        return FedJob(JOB)

    handle = asyncio.run(submit())
    on_a_thread(lambda: handle.publish(draft(1)))
    handle.finish(DONE)

    assert handle.state is JobState.DONE
