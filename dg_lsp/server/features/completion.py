"""textDocument/completion, opt-in: suggestions for clients that have no ghost text.

The same answers as inline completion, in a list that is never complete, so that the client
asks again while one types.
"""

from __future__ import annotations

import re

from lsprotocol import types

from dg_lsp.document.position import LINE_END, last_line
from dg_lsp.document.request import RequestOptions
from dg_lsp.document.suggestions import Suggestion
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.convert import offset_at, range_at
from dg_lsp.server.features.inline_completion import ask, is_unchanged
from dg_lsp.server.session import Session
from dg_lsp.server.tracing import Trace

_WORD_END = re.compile(r"\w*\Z")
MAX_LABEL_CHARS = 60


async def completion(session: Session, params: types.CompletionParams) -> types.CompletionList:
    """At most one entry per alternative, above all others."""
    with session.tracer.request(
        types.TEXT_DOCUMENT_COMPLETION, params.text_document.uri, params.position, "list"
    ) as trace:
        return await _complete(session, params, trace)


async def _complete(
    session: Session, params: types.CompletionParams, trace: Trace
) -> types.CompletionList:
    nothing = types.CompletionList(True, [])
    document = session.documents.get(params.text_document.uri)
    if document is None or not session.settings.completion_fallback:
        off = "lists of completions are switched off by the setting `completionFallback`"
        missing = session.missing(params.text_document.uri)
        trace.refuse(missing if document is None else Reason(ReasonCode.SWITCHED_OFF, off))
        return nothing
    trace.language = document.language
    cursor = offset_at(document.text, params.position, session.units)
    refusal = session.refusal_at(document, cursor)
    trace.check_ms = trace.so_far_ms
    if refusal is not None:
        trace.refuse(refusal)
        session.status.quiet(refusal)
        return nothing
    site = session.site(document, cursor)
    answer = await ask(session, site, RequestOptions(), params.work_done_token, trace, None)
    if not is_unchanged(session, document, trace):
        return nothing
    found = _WORD_END.search(last_line(site.prefix))
    word = found[0] if found else ""
    span = range_at(document.text, cursor - len(word), cursor, session.units)
    return types.CompletionList(
        True, [_item(suggestion, word, span) for suggestion in answer.suggestions]
    )


def _item(suggestion: Suggestion, word: str, span: types.Range) -> types.CompletionItem:
    text = word + suggestion.text
    first = next((line for line in LINE_END.split(text) if line.strip()), text).strip()
    label = first if len(first) <= MAX_LABEL_CHARS else f"{first[: MAX_LABEL_CHARS - 1]}…"
    return types.CompletionItem(
        label,
        detail="dg-lsp",
        kind=types.CompletionItemKind.Text,
        documentation=text if LINE_END.search(text) else None,
        sort_text=" ",
        filter_text=text,
        text_edit=types.TextEdit(span, text),
    )
