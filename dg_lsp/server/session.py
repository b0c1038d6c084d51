"""Everything that the handlers of one session share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from lsprotocol import types

from dg_lsp.document.excerpt import excerpt
from dg_lsp.document.position import line_ends_before
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.capabilities import ClientFeatures
from dg_lsp.server.context import WorkspaceContext
from dg_lsp.server.convert import Units, is_deletion, typed_text
from dg_lsp.server.edit_history import EditHistory, Offer
from dg_lsp.server.link.engine_link import EngineLink, EnginePhase, EngineState
from dg_lsp.server.power import Power
from dg_lsp.server.recorder import Recorder
from dg_lsp.server.rpc.protocol import Server
from dg_lsp.server.settings import Settings, Speculate, Trigger
from dg_lsp.server.status import StatusBoard
from dg_lsp.server.suggest.jobs import Jobs
from dg_lsp.server.suggest.rewrites import Rewrites
from dg_lsp.server.suggest.rules import Entry, Situation
from dg_lsp.server.suggest.suggestions import Suggestions
from dg_lsp.server.tracing import Journal, Tracer
from dg_lsp.server.usage import KEPT_AFTER_S, Accepted, Usage
from dg_lsp.server.workspace.documents import (
    Document,
    Documents,
    commonest_newline,
    relative_path,
)
from dg_lsp.server.workspace.notebooks import script_path

log = logging.getLogger(__name__)

Examine = Callable[[], Awaitable[dict[str, Any]]]
"""The doctor's report as JSON, without a self-test; raises `ValueError` with the reason."""


class Session:
    """One client, one engine link, and everything in between."""

    def __init__(
        self,
        server: Server,
        link: EngineLink,
        settings: Settings,
        on_settings: Callable[[Settings], None],
        journal: Journal,
        examine: Examine | None,
    ) -> None:
        self.server, self.link = server, link
        self.client = ClientFeatures()
        self.context = WorkspaceContext(server.protocol)
        self.jobs = Jobs(link, self.context)
        self.suggestions = Suggestions(self.jobs)
        self.rewrites = Rewrites(self.jobs)
        self.status = StatusBoard(server, link.state)
        self.tracer = Tracer(journal)
        self.examine = examine
        self.recorder: Recorder | None = None
        """Records typing, if the user has switched that on."""
        self.commands: dict[str | int, asyncio.Task[Any]] = {}
        """Running commands with a token, so that they can be stopped."""
        self.settings = self.base_settings = settings
        """The settings from `initialize`, which later changes are based on."""
        self._on_settings = on_settings
        self.usage = Usage(journal.note_usage, self._look_later)
        self.history = EditHistory(self._count_next_edit)
        self._is_deletion = "", False
        """The document that was edited last, and whether that edit only removed text."""
        self._power = Power(lambda ask: self.start(asyncio.to_thread(ask)))
        self._model = ""
        self._tasks: set[asyncio.Task[Any]] = set()
        link.watch(self.status.engine_changed)
        link.watch(self._engine_changed)

    @property
    def documents(self) -> Documents:
        return self.server.protocol.documents

    @property
    def units(self) -> Units:
        return self.server.protocol.units

    def configure(self, settings: Settings) -> None:
        """Apply settings from the next request on."""
        self.settings = settings
        self.tracer.detail = settings.trace
        self.context.configure(settings)
        self.forget_answers()
        self._on_settings(settings)

    def forget_answers(self) -> None:
        """Drop cached answers, which may be different from now on."""
        self.suggestions.close()
        self.rewrites.close()

    def text_changed(self, params: types.DidChangeTextDocumentParams) -> None:
        """Note when and how the user typed."""
        uri = params.text_document.uri
        self._is_deletion = uri, is_deletion(params.content_changes)
        typed = typed_text(params.content_changes)
        self.suggestions.pace.key(asyncio.get_running_loop().time(), typed)
        self.suggestions.text_changed(uri, typed)
        self.rewrites.text_changed(uri)
        document = self.documents.get(uri)
        if document is not None:
            self.usage.text_changed(uri, document.text)
            self.history.text_changed(uri, document.text)
            if self.recorder is not None:
                now_s = asyncio.get_running_loop().time()
                self.recorder.text_changed(uri, document.text, now_s)

    def shown(self, document: Document, span: tuple[int, int], texts: Sequence[str]) -> None:
        """Suggestions in place of a span went to the editor."""
        state = self.link.state
        if self.settings.usage and texts:
            model = state.model.name if state.model else ""
            uri, language = document.uri, document.language
            self.usage.show(uri, document.text, span, texts, language, model)

    def _count_next_edit(self, event: str, uri: str, offer: Offer) -> None:
        if self.settings.usage:
            self.usage.note(event, Accepted(offer.text, 0, offer.language, "next edits"))

    @property
    def may_speculate(self) -> bool:
        """Whether the engine may work ahead, if it has nothing else to do."""
        wish = self.settings.speculate
        if wish is Speculate.OFF or self.link.state.phase is not EnginePhase.READY:
            return False
        is_here = not self.settings.engine.address
        return wish is Speculate.ON or (is_here and not self._power.on_battery)

    def situation(self, uri: str, entry: Entry | None = None) -> Situation:
        """What led to a request about a document."""
        return Situation(self._is_deletion == (uri, True), entry)

    def site(self, document: Document, start: int, end: int | None = None) -> InsertionSite:
        """The insertion site of a cursor, or of a selection if there is an end."""
        span_end = start if end is None else end
        text = document.text
        first, last = excerpt(text, start, span_end, document.language)
        prefix, suffix = text[first:start], text[span_end:last]
        return InsertionSite(
            uri=document.uri,
            path=relative_path(script_path(document), self.context.roots),
            language=document.language,
            newline=commonest_newline(prefix, text[start:span_end], suffix),
            prefix=prefix,
            suffix=suffix,
            replaced=None if end is None else text[start:end],
            before=self.context.before(document),
            first_line=1 if end is None else 1 + line_ends_before(text, first),
        )

    def refusal(self, document: Document) -> Reason | None:
        """Why nothing is suggested in a document, or None."""
        settings, language = self.settings, document.language
        if not settings.enable:
            return Reason(ReasonCode.SWITCHED_OFF, "switched off by the setting `enable`")
        if not settings.is_language_enabled(language):
            off = f"switched off for {language} by the setting `languages`"
            return Reason(ReasonCode.SWITCHED_OFF, off)
        if not self.context.is_included(document):
            globs = ", ".join(settings.include)[:100]
            other = f"the setting `include` names only other files ({globs})"
            return Reason(ReasonCode.NOT_INCLUDED, other)
        return self.exclusion(document)

    def refusal_at(self, document: Document, cursor: int) -> Reason | None:
        """Why nothing is suggested at a cursor, or None."""
        return self.refusal(document) or self.secret(document, cursor, cursor)

    def reluctance(self, document: Document) -> Reason | None:
        """Why nothing is suggested automatically in a document, or None."""
        if self.settings.trigger is Trigger.MANUAL:
            manual = (
                'suggestions appear only on request, because the setting `trigger` is "manual"'
            )
            return Reason(ReasonCode.ON_DEMAND, manual)
        is_text = self.server.protocol.notebooks.is_text(document.uri)
        if is_text and document.language not in self.settings.languages:
            cells = (
                "text cells of a notebook get suggestions only on request, "
                f"unless the setting `languages` names {document.language}"
            )
            return Reason(ReasonCode.ON_DEMAND, cells)
        return None

    def exclusion(self, document: Document) -> Reason | None:
        """Why the model must not see a document, or None."""
        why = self.context.exclusion(document)
        return None if why is None else Reason(ReasonCode.EXCLUDED, why)

    def secret(self, document: Document, start: int, end: int) -> Reason | None:
        """Why the model must not see this position, or None."""
        return self.context.hides(document, start, end)

    def missing(self, uri: str) -> Reason:
        """Why the text of a document is unknown."""
        if self.documents.is_lost(uri):
            return Reason(
                ReasonCode.OUT_OF_SYNC,
                "the document is out of sync, because an edit of it could not be read; "
                "close it and open it again",
            )
        return Reason(ReasonCode.NOT_OPEN, "the document is not open")

    def _engine_changed(self, state: EngineState) -> None:
        model = state.model.name if state.model else self._model
        if self._model not in ("", model):
            self.forget_answers()
        self._model = model

    def _look_later(self, uri: str, accepted: Accepted) -> None:
        async def look() -> None:
            await asyncio.sleep(KEPT_AFTER_S)
            document = self.documents.get(uri)
            if document is not None:
                self.usage.look_again(accepted, document.text)

        self.start(look())

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stop running work and disconnect from the engine."""
        if self.recorder is not None:
            self.recorder.close_all()
        self.suggestions.close()
        self.context.close()
        for task in [*self._tasks, *self.commands.values()]:
            task.cancel()
        try:
            await self.link.close()
        finally:
            self.tracer.flush()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", exc_info=error)
