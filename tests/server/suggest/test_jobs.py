"""From an insertion site to the engine and back."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dg_lsp.document import outline
from dg_lsp.document.request import RequestOptions
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.job import JobState
from dg_lsp.reason import ReasonCode
from dg_lsp.server.link.scripted import ScriptedLink
from dg_lsp.server.settings import Settings
from dg_lsp.server.suggest.answer import Work
from dg_lsp.server.suggest.jobs import Jobs

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

    def files(self, site):
        return ()

    def definitions(self, site):
        return ()

    def seed_finder(self, site):
        return self.find_seeds


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
