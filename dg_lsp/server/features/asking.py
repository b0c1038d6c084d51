"""Asks for suggestions at a cursor, for inline completion and lists of completions alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lsprotocol import types

from dg_lsp.document.request import RequestOptions
from dg_lsp.document.suggestions import Suggestion
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.features.target import Target
from dg_lsp.server.session import Session
from dg_lsp.server.suggest.answer import Answer, refused
from dg_lsp.server.suggest.decide import Request
from dg_lsp.server.suggest.draft_suggestions import DraftListener
from dg_lsp.server.suggest.rules import Situation
from dg_lsp.server.workspace.documents import Document

CHANGED = Reason(ReasonCode.CHANGED, "the document changed while the model wrote")


@dataclass(frozen=True, slots=True)
class Question:
    """What an editor's request asks for."""

    document: Document
    target: Target
    options: RequestOptions
    on_draft: DraftListener | None = None
    situation: Situation = field(default_factory=Situation)


async def ask(
    session: Session,
    method: str,
    params: types.InlineCompletionParams | types.CompletionParams,
    trigger: str,
    read: Callable[[Document], Question | Reason],
) -> tuple[Target, tuple[Suggestion, ...]] | None:
    """The suggestions and where they go; trace and status say why there are none.

    `read` turns the request into a question, or says why the model is not asked.
    """
    uri = params.text_document.uri
    document = session.documents.get(uri)
    language = "" if document is None else document.language
    with session.tracer.request(method, uri, params.position, trigger, language) as trace:
        question = session.missing(uri) if document is None else read(document)
        trace.checked()
        if isinstance(question, Reason):
            trace.end(refused(question))
            return None
        answer = await _answer(session, question, params.work_done_token)
        trace.end(answer)
        return question.target, answer.suggestions


def refusal_at(
    session: Session, document: Document, cursor: int, *, is_invoked: bool
) -> Reason | None:
    """Why nothing may be suggested at a cursor, or None; also shown in the status."""
    refusal = session.refusal_at(document, cursor)
    if refusal is None and not is_invoked:
        refusal = session.reluctance(document)
    if refusal is not None:
        session.status.quiet(refusal)
    return refusal


async def _answer(
    session: Session, question: Question, progress: types.ProgressToken | None
) -> Answer:
    document, settings = question.document, session.settings
    request = Request(question.target.site, question.options, question.situation)
    with session.status.working(progress, "Filling in"):
        answer = await session.suggestions.suggest(
            request,
            settings,
            settings.deadline_ms / 1e3,
            question.on_draft,
        )
    if answer.failed:
        assert answer.reason is not None
        session.status.job_failed(answer.reason)
    else:
        session.status.well()
    now = session.documents.get(document.uri)
    if answer.suggestions and (now is None or now.text != document.text):
        return answer.dropped(CHANGED)
    if session.may_speculate:
        session.suggestions.look_ahead(request, answer, settings)
    return answer
