"""From an insertion site to the engine and back."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest

from dg_lsp.document import outline
from dg_lsp.document.request import RequestOptions
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.job import InfillJob, JobState
from dg_lsp.reason import ReasonCode
from dg_lsp.server.link.scripted import ScriptedLink
from dg_lsp.server.settings import Settings
from dg_lsp.server.suggest.answer import Work
from dg_lsp.server.suggest.jobs import Jobs
from dg_lsp.server.suggest.speculation import Ahead

SITE = InsertionSite("file:///a.py", "a.py", "python", "\n", prefix="x = ", suffix="\n")


class Closed:
    def submit(self, job):
        raise RuntimeError("the engine is closed")


class ClosedLink(ScriptedLink):
    async def infiller(self):
        await super().infiller()
        return Closed()


class Context:
    def __init__(self, find_seeds):
        self.find_seeds = find_seeds
        self.asked_for = []

    def files(self, site):
        self.asked_for.append("files")
        return ()

    def definitions(self, site):
        self.asked_for.append("definitions")
        return ()

    def seed_finder(self, site):
        return self.find_seeds

    def renew(self):
        pass


async def fill(make_link, find_seeds=lambda prefix, suffix, replaced: ()):
    jobs = Jobs(make_link(lambda job: ["1"]), Context(find_seeds))
    return await jobs.fill(SITE, RequestOptions(), Settings(), lambda draft: None, Work())


async def test_an_engine_that_has_just_closed_fails_the_job() -> None:
    result = await fill(ClosedLink)
    assert result.state is JobState.FAILED
    assert result.infill.reason.code is ReasonCode.ENGINE_CLOSED


async def test_a_defect_in_building_the_job_is_not_blamed_on_the_engine() -> None:
    def find_seeds(prefix, suffix, replaced):
        raise RecursionError("too deep")

    with pytest.raises(RecursionError):
        await fill(ScriptedLink, find_seeds)


@pytest.mark.parametrize("has_room", [True, False])
async def test_other_files_are_looked_at_for_a_model_that_has_room_for_them(has_room) -> None:
    link = ScriptedLink(lambda job: ["1"])
    link.model = replace(link.model, sees_other_files=has_room)
    context = Context(lambda *around: ())
    at = SITE, RequestOptions(), Settings(), lambda draft: None, Work()
    await Jobs(link, context).fill(*at)

    assert context.asked_for == (["files", "definitions"] if has_room else [])


async def test_a_document_is_read_beside_the_first_answer_and_before_the_second(
    monkeypatch,
) -> None:
    read: list[str] = []
    may_read = threading.Event()

    def slowly(prefix, suffix, language):
        may_read.wait()
        read.append(prefix + suffix)

    monkeypatch.setattr(outline, "read", slowly)
    monkeypatch.setattr(outline, "is_read", lambda *document: bool(read))
    jobs = Jobs(ScriptedLink(lambda job: ["1"]), Context(lambda *around: ()))

    async def answer():
        at = SITE, RequestOptions(), Settings(), lambda draft: None, Work()
        return (await jobs.fill(*at)).state, [*read]

    assert await answer() == (JobState.DONE, [])
    second = asyncio.create_task(answer())
    may_read.set()
    assert await second == (JobState.DONE, ["x = \n"])
    assert await answer() == (JobState.DONE, ["x = \n"])


async def test_a_job_that_waits_for_a_pause_is_sent_ahead() -> None:
    link, seen = ScriptedLink(lambda job: ["1"]), []
    link.engine.prepare = lambda job: seen.append(("prepared", job))

    async def pause() -> None:
        seen.append(("paused", None))

    work = Work()
    jobs = Jobs(link, Context(lambda *around: ()))
    await jobs.fill(SITE, RequestOptions(), Settings(), seen.append, work, pause=pause)
    assert seen[:2] == [("prepared", work.job), ("paused", None)]


async def test_a_document_is_read_while_the_engine_works(monkeypatch) -> None:
    read = asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(outline, "is_read", lambda *document: False)
    monkeypatch.setattr(outline, "read", lambda *document: loop.call_soon_threadsafe(read.set))
    link = ScriptedLink(lambda job: ["1"])
    jobs = Jobs(link, Context(lambda *around: ()))
    link.engine.gate.clear()
    at = SITE, RequestOptions(), Settings(), lambda draft: None, Work()
    running = asyncio.create_task(jobs.fill(*at))
    await read.wait()

    assert link.engine.states == [JobState.RUNNING]
    link.engine.gate.set()
    assert (await running).state is JobState.DONE


SHOWN = InfillJob("x", "\n", path="a.py")


@pytest.mark.parametrize(
    ("last", "is_wanted", "states", "is_speculative"),
    [
        (SHOWN, False, [JobState.DONE], [True]),
        # It is wanted before it has begun.
        (SHOWN, True, [JobState.DONE], [False]),
        # It would take the place of what the next key needs.
        (replace(SHOWN, prefix="window"), False, [], []),
        (replace(SHOWN, prefix="window"), True, [JobState.DONE], [False]),
    ],
)
async def test_a_speculative_job(last, is_wanted, states, is_speculative) -> None:
    link, ahead, work = ScriptedLink(lambda job: ["1"]), Ahead(last), Work()
    jobs = Jobs(link, Context(lambda *around: ()))
    if is_wanted:
        ahead.wanted.set()
    at = SITE, RequestOptions(), Settings(), lambda draft: None, work
    result = await jobs.fill(*at, ahead)

    assert link.engine.states == states
    assert [job.is_speculative for job in link.engine.jobs] == is_speculative
    assert (work.job is not None, result.state is JobState.DONE) == (bool(states),) * 2


async def test_what_is_looked_up_is_there_when_the_pause_is_over() -> None:
    link, looked = ScriptedLink(lambda job: ["1"]), []
    jobs = Jobs(link, Context(lambda *around: looked.append(around) or ()))

    async def pause() -> None:
        assert looked
        assert link.engine.jobs == []

    at = SITE, RequestOptions(), Settings(), lambda draft: None, Work()
    assert (await jobs.fill(*at, pause=pause)).state is JobState.DONE


@pytest.mark.parametrize("gives_way", [False, True])
async def test_a_speculative_job_that_is_wanted_while_it_runs(gives_way) -> None:
    """Also where it has just given way to another document's job."""
    link, ahead, work = ScriptedLink(lambda job: ["1"]), Ahead(SHOWN), Work()
    jobs = Jobs(link, Context(lambda *around: ()))
    link.engine.gate.clear()
    at = SITE, RequestOptions(), Settings(), lambda draft: None, work
    running = asyncio.create_task(jobs.fill(*at, ahead))
    while not link.engine.handles or link.engine.states[0] is not JobState.RUNNING:
        await asyncio.sleep(0)
    if gives_way:
        link.engine.submit(InfillJob("y", "", document="b.py"))
    before = len(link.engine.handles)
    ahead.wanted.set()
    while len(link.engine.handles) == before:
        await asyncio.sleep(0)
    link.engine.gate.set()
    result = await running

    assert (result.state, result.infill.candidates[0].text) == (JobState.DONE, "1")
    assert work.job is not None
    assert not work.job.is_speculative
    assert link.engine.states[0] is JobState.SUPERSEDED
