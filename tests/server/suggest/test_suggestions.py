"""Requests about one document, one after the other: who is answered, when, and with what."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from dg_lsp.document import suggestions as document_suggestions
from dg_lsp.document.request import RequestOptions, RequestRefusedError
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.job import (
    Candidate,
    Draft,
    Earlier,
    Infill,
    InfillJob,
    JobResult,
    JobState,
    Seed,
    SeedOrigin,
    TextSource,
)
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.settings import Settings
from dg_lsp.server.suggest.answer import How, Outcome, WithdrawnError
from dg_lsp.server.suggest.decide import Request
from dg_lsp.server.suggest.savings import Savings
from dg_lsp.server.suggest.suggestions import Suggestions

SITE = InsertionSite("file:///a.py", "a.py", "python", "\n", prefix="x = ", suffix="\n")
SETTINGS = Settings(debounce_ms=0, min_confidence=0.0)


class Running:
    """A job that ends when the test says so."""

    def __init__(self, on_draft):
        self.on_draft = on_draft
        self.end = asyncio.get_running_loop().create_future()
        self.is_withdrawn = False

    def draft(self, text, candidate=None):
        self.on_draft(Draft(text, (0.99,) * len(text), 1, 8, candidate=candidate))

    def write(self, *texts, state=JobState.DONE):
        candidates = tuple(Candidate(text, 0.9, -float(n)) for n, text in enumerate(texts))
        self.end.set_result(JobResult(state, Infill(candidates, 1)))


class ByHand:
    """In place of `Jobs`: the jobs that were started."""

    def __init__(self):
        self.running = []
        self.job = None
        """What the engine was asked, where that matters."""
        self.silent = None
        """Why no answer may come for now."""

    def silence(self):
        return self.silent

    async def fill(self, site, options, settings, on_draft, work, ahead=None, pause=None):
        if pause is not None:
            await pause()
        work.job = self.job
        job = Running(on_draft)
        job.earlier = options.earlier
        self.running.append(job)
        try:
            return await job.end
        except asyncio.CancelledError:
            job.is_withdrawn = True
            raise


@pytest.fixture
def jobs():
    return ByHand()


@pytest.fixture
def ask(jobs):
    """Ask for a suggestion after a text was typed, and let the job begin."""
    suggestions = Suggestions(jobs)

    async def send(typed="", *, deadline_s=None, **changes):
        site = replace(replace(SITE, prefix=SITE.prefix + typed), **changes)
        request = Request(site, RequestOptions())
        task = asyncio.create_task(suggestions.suggest(request, SETTINGS, deadline_s))
        await pause()
        return task

    send.suggestions = suggestions
    return send


async def pause():
    for _ in range(6):
        await asyncio.sleep(0)


def texts(answer):
    return [one.text for one in answer.suggestions]


async def test_a_new_job_then_the_rest_of_its_answer(ask, jobs):
    first = await ask()
    jobs.running[0].write("abc")
    fresh, rest = await first, await (await ask("a"))

    assert (texts(fresh), fresh.how, fresh.outcome) == (
        ["abc"],
        How.NEW_JOB,
        Outcome.SUGGESTED,
    )
    assert fresh.work is not None
    assert (texts(rest), rest.how, rest.work) == (["bc"], How.TYPED_THROUGH, None)
    assert len(jobs.running) == 1


async def test_the_newest_wins_and_takes_over_the_job_for_the_same_site(ask, jobs):
    older = await ask()
    newer = await ask()
    superseded = await older
    jobs.running[0].write("abc")
    answer = await newer

    assert (superseded.outcome, superseded.reason.code) == (
        Outcome.SUPERSEDED,
        ReasonCode.SUPERSEDED,
    )
    assert (texts(answer), answer.how) == (["abc"], How.JOB_UNDER_WAY)
    assert answer.work is superseded.work
    assert len(jobs.running) == 1


async def test_the_newest_wins_and_ends_the_job_for_another_site(ask, jobs):
    older = await ask()
    newer = await ask(suffix="\n\n")

    assert (await older).outcome is Outcome.SUPERSEDED
    assert [job.is_withdrawn for job in jobs.running] == [True, False]
    jobs.running[1].write("abc")
    assert texts(await newer) == ["abc"]


async def test_documents_do_not_supersede_each_other(ask, jobs):
    one = await ask()
    other = await ask(uri="file:///b.py")
    for job, text in zip(jobs.running, ("abc", "xyz"), strict=True):
        job.write(text)

    assert [texts(await one), texts(await other)] == [["abc"], ["xyz"]]


@pytest.mark.parametrize(("engine_s", "num_jobs"), [(None, 1), (0.2, 0)])
async def test_an_edit_ends_a_job_that_waits_for_a_pause(ask, jobs, engine_s, num_jobs):
    pace = ask.suggestions.pace
    pace.key(asyncio.get_running_loop().time())
    pace.engine_s = engine_s
    task = await ask()
    ask.suggestions.text_changed(SITE.uri)
    await pause()

    assert task.done() is (num_jobs == 0)
    assert len(jobs.running) == num_jobs
    if task.done():
        assert task.result().outcome is Outcome.SUPERSEDED
    else:
        task.cancel()


async def test_a_withdrawn_request_ends_its_job_and_says_how_far_it_came(ask, jobs):
    task = await ask()
    task.cancel()
    with pytest.raises(WithdrawnError) as withdrawn:
        await task
    await pause()

    assert jobs.running[0].is_withdrawn
    answer = withdrawn.value.answer
    assert (answer.outcome, answer.how) == (Outcome.CANCELLED, How.NEW_JOB)
    assert answer.work is not None


async def test_withdrawing_an_older_request_leaves_the_newer_ones_job_alone(ask, jobs):
    older = await ask()
    newer = await ask()
    older.cancel()
    await pause()
    jobs.running[0].write("abc")

    assert texts(await newer) == ["abc"]


async def test_typing_along_with_a_draft_and_a_job_that_then_writes_otherwise(ask, jobs):
    await ask()
    jobs.running[0].draft("abc")
    typed = await ask("ab")
    assert len(jobs.running) == 1
    jobs.running[0].write("xyz")
    await pause()

    # The first job is of no use; a second one was started for the text as it is now.
    assert len(jobs.running) == 2
    jobs.running[1].write("cd")
    answer = await typed
    assert (texts(answer), answer.how) == (["cd"], How.NEW_JOB)


async def test_a_job_that_nobody_waits_for_leaves_its_answer(ask, jobs):
    soon = await ask(deadline_s=0.02)
    jobs.running[0].draft("a\nb\n")
    jobs.running[0].draft("a\nb\nc")
    answer = await soon
    assert (texts(answer), answer.how) == (["a\nb"], How.DEADLINE)
    jobs.running[0].write("a\nb\ncd")
    await pause()

    whole = await (await ask())
    assert (texts(whole), whole.how) == (["a\nb\ncd"], How.LAST_ANSWER)


async def test_what_is_settled_at_the_deadline_has_its_source_and_no_mask(ask, jobs):
    seed = Seed("a\nb\nd", origin=SeedOrigin.WORKSPACE)
    jobs.job = InfillJob("", "", seeds=(seed,), is_masked=True)
    for text, expect in (("a\nb", ["a\nb"]), ("a #****\n", [])):
        soon = await ask(deadline_s=0.02, suffix=f"\n# {text[2]}\n")
        for _ in range(2):
            jobs.running[-1].draft(text, Candidate(text + "\nc", 0.9, 0.0, seed=0))
        await asyncio.wait({soon}, timeout=0.1)
        assert soon.done() == bool(expect)
        jobs.running[-1].write()
        assert texts(answer := await soon) == expect
        assert {one.source for one in answer.suggestions} <= {TextSource(seed, True)}


@pytest.mark.parametrize("when", ["before the deadline", "later"])
@pytest.mark.parametrize("on_draft", [None, lambda draft: None])
async def test_no_request_waits_for_a_silent_engine_beyond_its_deadline(
    ask, jobs, when, on_draft
):
    silent = Reason(ReasonCode.ENGINE_SILENT, "nothing has come for 2 s")
    if when == "before the deadline":
        jobs.silent = silent
    task = asyncio.create_task(
        ask.suggestions.suggest(Request(SITE, RequestOptions()), SETTINGS, 0.01, on_draft)
    )
    await asyncio.sleep(0.05)
    assert task.done() == (when == "before the deadline")
    jobs.silent = silent
    answer = await task
    assert (answer.outcome, answer.reason) == (Outcome.FAILED, silent)

    # The job goes on, and when the engine is back, the next request gets its answer.
    jobs.silent = None
    again = await ask()
    jobs.running[0].write("late")
    assert texts(await again) == ["late"]
    assert len(jobs.running) == 1


async def test_where_nothing_is_settled_at_the_deadline_the_request_waits_on(ask, jobs):
    soon = await ask(deadline_s=0.01)
    await asyncio.wait({soon}, timeout=0.1)
    assert not soon.done()
    jobs.running[0].write("abc")

    answer = await soon
    assert (texts(answer), answer.how) == (["abc"], How.NEW_JOB)


@pytest.mark.parametrize("typed", ["", "a"])
async def test_an_answer_is_there_as_soon_as_the_job_has_ended(ask, jobs, typed):
    first = await ask()
    jobs.running[0].write("abc")
    # The next request comes in before anybody was told.
    second = await ask(typed)

    await first
    assert texts(await second) == ["abc"[len(typed) :]]
    assert len(jobs.running) == 1


@pytest.mark.parametrize(
    ("state", "outcome"),
    [(JobState.FAILED, Outcome.FAILED), (JobState.SUPERSEDED, Outcome.NOTHING)],
)
async def test_what_is_no_answer_of_the_model_is_not_kept(ask, jobs, state, outcome):
    first = await ask()
    jobs.running[0].write(state=state)

    assert (await first).outcome is outcome
    await ask()
    assert len(jobs.running) == 2


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (
            RequestRefusedError("holds a secret", ReasonCode.SECRET),
            Outcome.REFUSED,
            ReasonCode.SECRET,
        ),
        (KeyError("oops"), Outcome.FAILED, ReasonCode.DEFECT),
    ],
)
async def test_a_job_that_cannot_be_built(ask, jobs, error, outcome, code):
    first = await ask()
    jobs.running[0].end.set_exception(error)
    answer = await first

    assert (answer.outcome, answer.reason.code) == (outcome, code)


async def test_closing_answers_who_waits_and_ends_the_job(ask, jobs):
    waits = await ask()
    ask.suggestions.close()
    await pause()

    assert (await waits).outcome is Outcome.SUPERSEDED
    assert jobs.running[0].is_withdrawn


@pytest.mark.parametrize("seed", range(60))
async def test_in_any_session_every_request_is_answered_and_one_job_runs(ask, jobs, seed):
    rng = random.Random(seed)
    typed, requests = "", []
    for _ in range(30):
        running = [job for job in jobs.running if not job.end.done() and not job.is_withdrawn]
        assert len(running) <= 1
        action = rng.choice(("type", "ask", "move", "cancel", "draft", "end", "wait"))
        if action == "type":
            typed += rng.choice("ab")
        elif action == "move":
            typed = rng.choice(("", "a", "ab"))
        elif action == "ask":
            requests.append(await ask(typed, deadline_s=rng.choice((None, 0.0))))
        elif action == "cancel" and requests:
            rng.choice(requests).cancel()
            await pause()
        elif action == "draft" and running:
            running[0].draft(rng.choice(("a", "ab\n", "ab\nb\n")))
        elif action == "end" and running:
            running[0].write(*rng.choice(((), ("ab",), ("abb", "b"))))
            await pause()
        await pause()
    # Only the newest may still wait; it ends with the jobs that it starts, one after the other.
    for _ in range(10):
        for job in jobs.running:
            if not job.end.done():
                job.write("abab")
        await pause()

    async with asyncio.timeout(10):
        for task in requests:
            try:
                answer = await task
            except WithdrawnError as withdrawn:
                answer = withdrawn.answer
            assert (answer.reason is None) == bool(answer.suggestions)
    assert all(job.end.done() for job in jobs.running)


@pytest.mark.parametrize("warm", [True, False])
async def test_after_a_departure_the_job_starts_from_the_rest_of_the_suggestion(jobs, warm):
    suggestions = Suggestions(jobs, Savings(warm=warm, pause=False))
    ends = []
    for typed in ("", "g", "ge"):
        site = replace(SITE, prefix=SITE.prefix + typed)
        asked = suggestions.suggest(Request(site, RequestOptions()), SETTINGS)
        ends.append(asyncio.create_task(asked))
        await pause()
        if not typed:
            jobs.running[0].write("set(1)")
            await pause()

    starts = [job.earlier for job in jobs.running]
    assert starts == [
        None,
        *([Earlier("et(1)", 2), Earlier("t(1)", 1)] if warm else [None, None]),
    ]
    jobs.running[-1].write("t(1)")
    assert texts(await ends[-1]) == ["t(1)"]


async def test_what_a_draft_ends_with_is_finished_while_the_engine_works(
    ask, jobs, monkeypatch
):
    finished = []

    def finish(text, *args, **options):
        finished.append(text)
        return text

    monkeypatch.setattr(document_suggestions, "finish", finish)
    best = Candidate("finished_once", 0.9, 0.0)
    request = await ask()
    jobs.running[0].draft("finished_onc", best)
    jobs.running[0].draft("finished_once", replace(best, confidence=0.8))
    before = [*finished]
    jobs.running[0].write("finished_once", "other")

    assert texts(await request) == ["finished_once"]
    assert before.count("finished_once") == 1
    assert finished == before
