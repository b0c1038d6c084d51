"""textDocument/inlineCompletion: ghost text at the cursor, and its drafts.

Every range is explicit and on one line, and every answer is a list: after null, some clients
keep the last ghost text and accept it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lsprotocol import types

from dg_lsp.document.position import LINE_END
from dg_lsp.document.request import RequestOptions
from dg_lsp.document.suggestions import Suggestion, left_of
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server import lsp_ext
from dg_lsp.server.capabilities import ClientFeatures
from dg_lsp.server.convert import Units, offset_at, offsets_of, width
from dg_lsp.server.features.asking import Question, ask, refusal_at
from dg_lsp.server.features.drafts import send_drafts
from dg_lsp.server.features.quirks import GhostText, adapt
from dg_lsp.server.features.target import Target, after_entry, at_cursor, indented
from dg_lsp.server.session import Session
from dg_lsp.server.suggest.draft_suggestions import DraftListener, DraftSuggestion
from dg_lsp.server.suggest.rules import Entry
from dg_lsp.server.workspace.documents import Document


async def inline_completion(
    session: Session, request: lsp_ext.InlineCompletionRequest
) -> types.InlineCompletionList | dict[str, Any]:
    """The suggestions at the cursor, each as one item."""
    kind = request.params.context.trigger_kind
    is_invoked = kind is types.InlineCompletionTriggerKind.Invoked
    answered = await ask(
        session,
        types.TEXT_DOCUMENT_INLINE_COMPLETION,
        request.params,
        "invoked" if is_invoked else "automatic",
        lambda document: _read(session, document, request, is_invoked),
    )
    if answered is None:
        return types.InlineCompletionList([])
    target, suggestions = answered
    document = session.documents.get(request.params.text_document.uri)
    if document is not None:
        span = offsets_of(document.text, target.range, session.units)
        session.shown(document, span, [target.head + one.text for one in suggestions])
    found = _items(target, suggestions, session.client)
    if session.client.extensions.doubt:
        return {"items": [_with_confidence(*one, target.head, session.units) for one in found]}
    return types.InlineCompletionList(
        [types.InlineCompletionItem(ghost.text, range=ghost.range) for ghost, _ in found]
    )


def _read(
    session: Session,
    document: Document,
    request: lsp_ext.InlineCompletionRequest,
    is_invoked: bool,
) -> Question | Reason:
    if request.version not in (None, document.version):
        other = f"the request is for version {request.version}, which is not the open one"
        return Reason(ReasonCode.OTHER_VERSION, other)
    cursor = offset_at(document.text, request.params.position, session.units)
    refusal = refusal_at(session, document, cursor, is_invoked=is_invoked)
    if refusal is not None:
        return refusal
    selected = request.params.context.selected_completion_info
    if selected is None:
        target = at_cursor(session, document, cursor)
    else:
        extended = after_entry(session, document, selected)
        if extended is None:
            lines = "the entry selected in the editor's list replaces several lines"
            return Reason(ReasonCode.SELECTED_LINES, lines)
        target = extended
    target = indented(target, request.formatting)
    options = RequestOptions(candidates=session.settings.candidates_while_typing)
    if is_invoked:
        options = RequestOptions(candidates=session.settings.candidates, may_be_empty=False)
    entry = None
    if selected is not None:
        start, end = offsets_of(document.text, selected.range, session.units)
        entry = Entry(selected.text, document.text[start:end])
    return Question(
        document,
        target,
        options,
        _draft_listener(session, document, request, target),
        session.situation(document.uri, entry),
    )


def _items(
    target: Target, suggestions: tuple[Suggestion, ...], client: ClientFeatures
) -> list[tuple[GhostText, Suggestion]]:
    rest, *_ = LINE_END.split(target.site.suffix, maxsplit=1)
    made = [
        (adapt(GhostText(target.head + one.text, target.range, rest), client), one)
        for one in suggestions
    ]
    # Several may have been cut to the same first line, or to an empty one.
    return [*{ghost.text: (ghost, one) for ghost, one in made if ghost.text}.values()]


def _with_confidence(
    ghost: GhostText, suggestion: Suggestion, head: str, units: Units
) -> dict[str, Any]:
    """An item that says how sure the model is of each part; `head` is the document's own."""
    sure = (1.0,) * len(head) + suggestion.confidences
    shares = left_of(head + suggestion.text, sure, ghost.text, suggestion.confidence)
    widths = [width(character, units) for character in ghost.text]
    runs = lsp_ext.confidence_runs(shares, widths)
    return lsp_ext.GhostItem(ghost.text, ghost.range, runs).to_json()


def _draft_listener(
    session: Session,
    document: Document,
    request: lsp_ext.InlineCompletionRequest,
    target: Target,
) -> DraftListener | None:
    if not session.client.extensions.drafts:
        return None
    if request.params.context.selected_completion_info is not None:
        return _show_nothing
    token: lsp_ext.JobToken = session.server.protocol.msg_id or 0
    for given in (request.params.work_done_token, request.draft_token):
        token = token if given is None else given
    return send_drafts(session, document, target.range, target.head, "", token)


def _show_nothing(draft_now: Callable[[], DraftSuggestion | None]) -> None:
    """Whether drafts are shown; beside an open completion list they would distract."""
