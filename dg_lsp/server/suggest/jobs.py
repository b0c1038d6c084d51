"""Runs one job for an insertion site of a document.

Waits for the engine, has the job built, follows the drafts, and cancels the job when the caller
gives up. Other modules decide which job is still needed.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from dg_lsp.document import outline
from dg_lsp.document.request import RequestContext, RequestOptions, SeedFinder, build_job
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.job import (
    Draft,
    Infill,
    Infiller,
    InfillJob,
    JobHandle,
    JobResult,
    JobState,
    PreparingInfiller,
    Snippet,
)
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.link.engine_link import EngineLink, EngineUnavailableError
from dg_lsp.server.settings import Settings
from dg_lsp.server.suggest.answer import Work
from dg_lsp.server.suggest.speculation import Ahead

if TYPE_CHECKING:
    from dg_lsp.document.definitions import DefinedFile

log = logging.getLogger(__name__)

SENDING_S = 0.02
"""How long reading a document waits for its job to be sent, because both are work of this
process."""
ALL_GARBAGE, OLDER_GARBAGE = 50, 10
"""After so many jobs, all garbage is collected, and all but the oldest; after the others only
what is new, because that is quick."""

DraftListener = Callable[[Draft], None]
Pause = Callable[[], Awaitable[None]]


class Context(Protocol):
    """What else the model may see."""

    def files(self, site: InsertionSite) -> tuple[Snippet, ...]:
        """Other files, whole, most recently used first."""
        ...

    def definitions(self, site: InsertionSite) -> tuple[DefinedFile, ...]:
        """What other files define."""
        ...

    def seed_finder(self, site: InsertionSite) -> SeedFinder:
        """The function that finds seeds in this document and others."""
        ...

    def renew(self) -> None:
        """Called while the engine works, for what need not wait for the next job."""
        ...


class Jobs:
    """Sends jobs to an engine, with an identity that distinguishes this server's clients."""

    def __init__(self, link: EngineLink, context: Context) -> None:
        self._link, self._context = link, context
        self._client = uuid.uuid4().hex[:12]
        self._numbers = itertools.count(1)
        self._readings: dict[str, asyncio.Task[None]] = {}
        """What is read, or was last, for judging suggestions by syntax, by language."""

    async def fill(
        self,
        site: InsertionSite,
        options: RequestOptions,
        settings: Settings,
        on_draft: DraftListener,
        work: Work,
        ahead: Ahead | None = None,
        pause: Pause | None = None,
    ) -> JobResult:
        """Run one job to its end. Cancelling this call cancels the job.

        `pause` is awaited when the job has been built, before it is sent. With `ahead`, the
        job is speculative until it is wanted, and not begun if it is not worth it. Raises
        `RequestRefusedError` if the model must not or cannot do it.
        """
        try:
            work.rest()
            infiller = await self._link.infiller()
            work.lap("start")
            job, result = self._job(site, options, settings, work), None
            if pause is not None:
                if ahead is None and isinstance(infiller, PreparingInfiller):
                    infiller.prepare(job)
                await pause()
                work.lap("debounce")
            reading = self._read(site)
            if ahead is not None and not ahead.wanted.is_set():
                if not ahead.keeps_prompt(job):
                    return JobResult(JobState.CANCELLED, Infill((), 0))
                work.job = replace(job, is_speculative=True)
                result = await _run_ahead(infiller, work.job, on_draft, ahead.wanted)
            if result is None:
                work.job = job
                result = await _run(infiller, job, on_draft)
        except EngineUnavailableError as error:
            log.warning("no engine: %s", error)
            return JobResult(JobState.FAILED, Infill((), 0, reason=error.reason))
        work.end(result)
        document = site.prefix, site.suffix, site.language
        if reading is not None and not (reading.done() or outline.is_read(*document)):
            await asyncio.shield(reading)
        if result.state is JobState.FAILED:
            log.error("a job failed: %s", result.infill.reason)
            if result.infill.reason is not None:
                self._link.job_failed(result.infill.reason)
        return result

    def silence(self) -> Reason | None:
        """Why no answer may come for now, if the engine is running but says nothing."""
        reason = self._link.silence()
        if reason is not None:
            self._link.job_failed(reason)
        return reason

    def _read(self, site: InsertionSite) -> asyncio.Task[None] | None:
        """Have the document read, so that suggestions can be judged by its syntax.

        That happens in a thread while the engine works. Returns what was to be read for the
        answer before this one, which is worth waiting for: the first answer in a document does
        not wait until it is read, the next one does.
        """
        earlier = self._readings.get(site.language)

        async def read() -> None:
            if earlier is not None:
                await asyncio.wait([earlier])
            await asyncio.sleep(SENDING_S)
            # Otherwise, it may be collected just when the next key comes.
            number = next(self._numbers)
            gc.collect(
                2 if number % ALL_GARBAGE == 0 else 1 if number % OLDER_GARBAGE == 0 else 0
            )
            self._context.renew()
            document = site.prefix, site.suffix, site.language
            if not outline.is_read(*document):
                await asyncio.to_thread(outline.read, *document)

        self._readings[site.language] = asyncio.create_task(read())
        return earlier

    def _job(
        self, site: InsertionSite, options: RequestOptions, settings: Settings, work: Work
    ) -> InfillJob:
        model = self._link.state.model
        if model is None:
            raise EngineUnavailableError(
                "the engine does not say which model it runs", ReasonCode.BAD_ANSWER
            )
        related = settings.context.related_files and model.sees_other_files
        context = RequestContext(
            measure=self._link.measure,
            budget_chars=settings.context.budget_chars,
            files=self._context.files(site) if related else (),
            definitions=self._context.definitions(site) if related else (),
            find_seeds=self._context.seed_finder(site),
            client=self._client,
        )
        return build_job(site, options, model, context, work.lap)


async def _run(infiller: Infiller, job: InfillJob, on_draft: DraftListener) -> JobResult:
    handle = _submit(infiller, job)
    try:
        return await _follow(handle, on_draft)
    finally:
        # Has no effect on a job that has ended.
        handle.cancel()


async def _run_ahead(
    infiller: Infiller, job: InfillJob, on_draft: DraftListener, wanted: asyncio.Event
) -> JobResult | None:
    """Run a speculative job; `None` if it is wanted before its end, or once it had to give way.

    Then it is left open, so that the engine can hand its work over.
    """
    handle = _submit(infiller, job)
    following = asyncio.create_task(_follow(handle, on_draft))
    waiting = asyncio.create_task(wanted.wait())
    try:
        await asyncio.wait({following, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if following.done() and not (
            wanted.is_set() and following.result().state is JobState.SUPERSEDED
        ):
            return following.result()
        return None
    except asyncio.CancelledError:
        handle.cancel()
        raise
    finally:
        following.cancel()
        waiting.cancel()


async def _follow(handle: JobHandle, on_draft: DraftListener) -> JobResult:
    async for draft in handle.drafts():
        on_draft(draft)
    return await handle.result()


def _submit(infiller: Infiller, job: InfillJob) -> JobHandle:
    try:
        return infiller.submit(job)
    except RuntimeError as error:
        raise EngineUnavailableError(str(error), ReasonCode.ENGINE_CLOSED) from error
