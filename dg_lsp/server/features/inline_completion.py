"""textDocument/inlineCompletion: ghost text at the cursor, and its drafts.

Every range is one line and explicit, and every answer is a list. Knows nothing of how an answer
comes about (suggestions.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lsprotocol import types

from dg_lsp.document.position import LINE_END
from dg_lsp.document.request import RequestOptions
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server import lsp_ext
from dg_lsp.server.convert import offset_at, offsets_of, range_at
from dg_lsp.server.features.drafts import send_drafts
from dg_lsp.server.session import Session
from dg_lsp.server.suggest.draft_suggestions import DraftSuggestion
from dg_lsp.server.suggest.suggestions import Answer, DraftListener
from dg_lsp.server.tracing import Outcome, Trace
from dg_lsp.server.workspace.documents import Document


@dataclass(frozen=True, slots=True)
class Target:
    """Where ghost text goes: `head` is put before it, in place of the range."""

    site: InsertionSite
    range: types.Range
    head: str = ""


async def inline_completion(
    session: Session, request: lsp_ext.InlineCompletionRequest
) -> types.InlineCompletionList:
    """Never null: some clients keep the last ghost text then, and accept it."""
    params = request.params
    is_invoked = params.context.trigger_kind is types.InlineCompletionTriggerKind.Invoked
    with session.tracer.request(
        types.TEXT_DOCUMENT_INLINE_COMPLETION,
        params.text_document.uri,
        params.position,
        "invoked" if is_invoked else "automatic",
    ) as trace:
        return await _complete(session, request, is_invoked, trace)


async def _complete(
    session: Session, request: lsp_ext.InlineCompletionRequest, is_invoked: bool, trace: Trace
) -> types.InlineCompletionList:
    params, nothing = request.params, types.InlineCompletionList([])
    document = session.documents.get(params.text_document.uri)
    if document is None:
        trace.refuse(session.missing(params.text_document.uri))
        return nothing
    trace.language = document.language
    if request.version not in (None, document.version):
        other = f"asked for version {request.version}, which is not the one that is open"
        trace.refuse(Reason(ReasonCode.OTHER_VERSION, other))
        return nothing
    cursor = offset_at(document.text, params.position, session.units)
    refusal = session.refusal_at(document, cursor)
    trace.check_ms = trace.so_far_ms
    if refusal is None and not is_invoked:
        refusal = session.reluctance(document)
    if refusal is not None:
        trace.refuse(refusal)
        session.status.quiet(refusal)
        return nothing
    target = _target(session, document, cursor, params.context.selected_completion_info)
    if target is None:
        lines = "the entry selected in the editor's list goes over several lines"
        trace.refuse(Reason(ReasonCode.SELECTED_LINES, lines))
        return nothing
    if request.formatting is not None:
        unit = " " * request.formatting.tab_size if request.formatting.insert_spaces else "\t"
        target = replace(target, site=replace(target.site, indent_unit=unit))
    on_draft = None
    if session.client.extensions.drafts:
        token = _draft_token(request, session)
        on_draft = send_drafts(session, document, target.range, target.head, token)
        if params.context.selected_completion_info is not None:
            on_draft = _show_nothing
    options = RequestOptions(candidates=session.settings.candidates_while_typing)
    if is_invoked:
        options = RequestOptions(candidates=session.settings.candidates, may_be_empty=False)
    answer = await ask(session, target.site, options, params.work_done_token, trace, on_draft)
    if not is_unchanged(session, document, trace):
        return nothing
    # Offers may come down to the same first line, or to one with nothing in it.
    made = (_item(session, target, suggestion.text) for suggestion in answer.suggestions)
    items = {item.insert_text: item for item in made}
    items.pop("", None)
    return types.InlineCompletionList([*items.values()])


async def ask(
    session: Session,
    site: InsertionSite,
    options: RequestOptions,
    progress: types.ProgressToken | None,
    trace: Trace,
    on_draft: DraftListener | None,
) -> Answer:
    """An answer of the suggestions, with its effect on the status."""
    # Who sees drafts waits for the end; others get what is settled at the deadline.
    deadline_s = session.settings.deadline_ms / 1e3 if on_draft is None else None
    with session.status.working(progress, "Filling in"):
        answer = await session.suggestions.suggest(
            site, options, session.settings, deadline_s, trace, on_draft
        )
    trace.answer(answer.suggestions, answer.reason, answer.failed)
    if answer.failed:
        session.status.job_failed(str(answer.reason or "the job failed"))
    else:
        session.status.well()
    return answer


def is_unchanged(session: Session, document: Document, trace: Trace) -> bool:
    """Whether an answer still is for the text that the editor has."""
    now = session.documents.get(document.uri)
    if now is not None and now.text == document.text:
        return True
    changed = Reason(ReasonCode.CHANGED, "the document changed while the model wrote")
    trace.end(Outcome.NOTHING, changed)
    return False


def _target(
    session: Session,
    document: Document,
    cursor: int,
    selected: types.SelectedCompletionInfo | None,
) -> Target | None:
    """The cursor; or the entry that is selected in the suggest widget, to be extended."""
    units, text = session.units, document.text
    if selected is None:
        return Target(session.site(document, cursor), range_at(text, cursor, cursor, units))
    start, end = offsets_of(text, selected.range, units)
    span = range_at(text, start, end, units)
    if span.start.line != span.end.line:
        return None
    site = session.site(document, start, end)
    site = replace(site, prefix=site.prefix + selected.text, replaced=None)
    return Target(site, span, selected.text)


def _item(session: Session, target: Target, text: str) -> types.InlineCompletionItem:
    """The item such that the client draws it as it will be when it is accepted."""
    text, span = target.head + text, target.range
    rest, *_ = LINE_END.split(target.site.suffix, maxsplit=1)
    first, *others = LINE_END.split(text)
    if session.client.tears_ghost_text and others and rest.strip():
        if rest.isascii() and rest.isprintable() and len(first) >= len(rest):
            # The first line covers the rest of the line, which comes again after the last.
            text += rest
            end = types.Position(span.end.line, span.end.character + len(rest))
            span = types.Range(span.start, end)
        else:
            text = first
    if session.client.inserts_line_ends_as_they_are:
        text = LINE_END.sub("\n", text)
    return types.InlineCompletionItem(text, range=span)


def _show_nothing(draft_now: Callable[[], DraftSuggestion | None]) -> None:
    """Beside an open list of completions a draft would be one thing too many that moves."""


def _draft_token(
    request: lsp_ext.InlineCompletionRequest, session: Session
) -> lsp_ext.JobToken:
    for token in (request.draft_token, request.params.work_done_token):
        if token is not None:
            return token
    return session.server.protocol.msg_id or 0
