"""Takes one place of a document to the engine and brings back what it wrote.

Waits for the engine, cuts the window, keeps what cannot be encoded or must not be seen out of
the prompt, follows the drafts, and withdraws the job when the caller gives up. Knows nothing of
LSP, nor of which job is still wanted.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.document.window import WindowBudget, split_window
from dg_lsp.job import EXTRA_CANDIDATES, Draft, Infill, InfillJob, JobState, Snippet
from dg_lsp.server.convert import without_surrogates
from dg_lsp.server.link.engine_link import EngineLink, EngineUnavailableError, ModelFacts
from dg_lsp.server.link.limits import follows_no_instructions
from dg_lsp.server.settings import ContextSettings, Settings
from dg_lsp.server.tracing import Work

log = logging.getLogger(__name__)

CHARS_PER_TOKEN = 3
"""Of source code, on the careful side; turns the user's budget into the model's measure."""
SNIPPET_SHARE = 1 / 3
"""Of the user's budget, for related text of other files."""

DraftListener = Callable[[Draft], None]


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """What a request asks for beyond its place."""

    candidates: int = 1
    may_be_empty: bool = True
    max_tokens: int = 128
    instruction: str | None = None
    strength: float = 0.6
    seed: int = 0
    deadline_s: float | None = None
    """From the start of the job; at the deadline the best there is becomes its outcome."""
    lane: str = "inline"
    """Jobs of one lane on one document supersede each other."""


@dataclass(frozen=True, slots=True)
class Filled:
    """How a job ended."""

    infill: Infill
    state: JobState


class Context(Protocol):
    """What else the model may see, and what it must not."""

    def snippets(self, site: InsertionSite, settings: ContextSettings) -> tuple[Snippet, ...]:
        """Related text of other files."""
        ...

    def mask_around(self, text: str, start: int, end: int) -> str:
        """The text with secrets near `[start, end)` covered, every character in its place."""
        ...


class Jobs:
    """Sends jobs to an engine; the identity of this server keeps clients apart."""

    def __init__(self, link: EngineLink, context: Context) -> None:
        self._link, self._context = link, context
        self._client = uuid.uuid4().hex[:12]

    async def fill(
        self,
        site: InsertionSite,
        options: RequestOptions,
        settings: Settings,
        on_draft: DraftListener,
        work: Work,
    ) -> Filled:
        """Run one job to its end. Cancelling this withdraws the job."""
        try:
            work.rest()
            infiller = await self._link.infiller()
            self._check(options)
            work.lap("start")
            work.job = self._job(site, options, settings, work)
            handle = infiller.submit(work.job)
        except (EngineUnavailableError, RuntimeError) as error:
            log.warning("no engine: %s", error)
            return Filled(Infill((), 0, reason=str(error)), JobState.FAILED)
        try:
            async for draft in handle.drafts():
                on_draft(draft)
            infill = await handle.result()
        finally:
            # Does nothing to a job that has ended.
            handle.cancel()
        work.end(infill, handle.state)
        if handle.state is JobState.FAILED:
            log.error("a job failed: %s", infill.reason)
        return Filled(infill, handle.state)

    def _check(self, options: RequestOptions) -> None:
        model = self._link.state.model
        if options.instruction is not None and model and not model.follows_instructions:
            raise EngineUnavailableError(follows_no_instructions(model))

    def _job(
        self, site: InsertionSite, options: RequestOptions, settings: Settings, work: Work
    ) -> InfillJob:
        model = self._link.state.model
        if model is None:
            raise EngineUnavailableError("the engine does not say which model it has")
        site = site.core
        replaced = site.replaced or ""
        before = site.before + site.prefix
        start, end = len(before), len(before) + len(replaced)
        text = before + replaced + site.suffix
        seen = without_surrogates(self._context.mask_around(text, start, end))
        work.lap("mask")
        budget = _window_budget(model, settings.context)
        window = split_window(seen, start, end, budget, self._link.measure)
        work.lap("window")
        snippets = self._context.snippets(site, settings.context)
        work.lap("related")
        return InfillJob(
            prefix=window.prefix,
            suffix=window.suffix,
            path=without_surrogates(site.path),
            language=site.language,
            snippets=snippets,
            # A selection with a secret in it is refused before it comes here.
            replaced=None if site.replaced is None else without_surrogates(site.replaced),
            instruction=options.instruction,
            strength=options.strength,
            candidates=options.candidates,
            extra_candidates=EXTRA_CANDIDATES,
            max_tokens=options.max_tokens,
            may_be_empty=options.may_be_empty,
            deadline_s=options.deadline_s,
            seed=options.seed,
            document=f"{self._client}:{options.lane}:{site.uri}",
        )


def _window_budget(model: ModelFacts, context: ContextSettings) -> WindowBudget:
    """The model's budget, or less where the user wants less; a third is for other files."""
    tokens = context.budget_chars * (1 - SNIPPET_SHARE) / CHARS_PER_TOKEN
    return WindowBudget(
        min(model.prefix_tokens, round(tokens * 3 / 4)),
        min(model.suffix_tokens, round(tokens / 4)),
    )
