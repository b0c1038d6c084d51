"""Runs one job for an insertion site of a document.

Waits for the engine, has the job built, follows the drafts, and cancels the job when the caller
gives up. Other modules decide which job is still needed.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
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
    Snippet,
)
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.link.engine_link import EngineLink, EngineUnavailableError
from dg_lsp.server.settings import Settings
from dg_lsp.server.suggest.answer import Work

if TYPE_CHECKING:
    from dg_lsp.document.definitions import DefinedFile

log = logging.getLogger(__name__)

DraftListener = Callable[[Draft], None]


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


class Jobs:
    """Sends jobs to an engine, with an identity that distinguishes this server's clients."""

    def __init__(self, link: EngineLink, context: Context) -> None:
        self._link, self._context = link, context
        self._client = uuid.uuid4().hex[:12]
        self._readings: dict[str, asyncio.Task[None]] = {}
        """What is read, or was last, for judging suggestions by syntax, by language."""

    async def fill(
        self,
        site: InsertionSite,
        options: RequestOptions,
        settings: Settings,
        on_draft: DraftListener,
        work: Work,
    ) -> JobResult:
        """Run one job to its end. Cancelling this call cancels the job.

        Raises `RequestRefusedError` if the model must not or cannot do it.
        """
        try:
            work.rest()
            infiller = await self._link.infiller()
            work.lap("start")
            work.job = self._job(site, options, settings, work)
            handle = _submit(infiller, work.job)
        except EngineUnavailableError as error:
            log.warning("no engine: %s", error)
            return JobResult(JobState.FAILED, Infill((), 0, reason=error.reason))
        try:
            async for draft in handle.drafts():
                on_draft(draft)
            result = await handle.result()
        finally:
            # Has no effect on a job that has ended.
            handle.cancel()
        await self._read(site)
        work.end(result)
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

    async def _read(self, site: InsertionSite) -> None:
        """Have the document read, so that suggestions can be judged by its syntax.

        That happens in a thread, beside the first answer in a document, which does not wait for
        it; the next one does.
        """
        read = site.prefix, site.suffix, site.language
        if not outline.is_read(*read) and (reading := self._readings.get(site.language)):
            await asyncio.shield(reading)
        if not outline.is_read(*read):
            reading = asyncio.create_task(asyncio.to_thread(outline.read, *read))
            self._readings[site.language] = reading

    def _job(
        self, site: InsertionSite, options: RequestOptions, settings: Settings, work: Work
    ) -> InfillJob:
        model = self._link.state.model
        if model is None:
            raise EngineUnavailableError(
                "the engine does not say which model it runs", ReasonCode.BAD_ANSWER
            )
        related = settings.context.related_files
        context = RequestContext(
            measure=self._link.measure,
            budget_chars=settings.context.budget_chars,
            files=self._context.files(site) if related else (),
            definitions=self._context.definitions(site) if related else (),
            find_seeds=self._context.seed_finder(site),
            client=self._client,
        )
        return build_job(site, options, model, context, work.lap)


def _submit(infiller: Infiller, job: InfillJob) -> JobHandle:
    try:
        return infiller.submit(job)
    except RuntimeError as error:
        raise EngineUnavailableError(str(error), ReasonCode.ENGINE_CLOSED) from error
