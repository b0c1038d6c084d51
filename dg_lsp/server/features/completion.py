"""textDocument/completion, opt-in: suggestions for clients that have no ghost text.

The answers are the same as for inline completion, in a list that is marked incomplete, so that
the client asks again while the user types.
"""

from __future__ import annotations

import re

from lsprotocol import types

from dg_lsp.document.position import LINE_END, last_line
from dg_lsp.document.request import RequestOptions
from dg_lsp.document.suggestions import Suggestion
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.convert import offset_at, range_at
from dg_lsp.server.features.asking import Question, ask, refusal_at
from dg_lsp.server.features.target import Target
from dg_lsp.server.session import Session
from dg_lsp.server.workspace.documents import Document

_WORD_END = re.compile(r"\w*\Z")
MAX_LABEL_CHARS = 60


async def completion(session: Session, params: types.CompletionParams) -> types.CompletionList:
    """At most one entry per alternative, above all others."""
    answered = await ask(
        session,
        types.TEXT_DOCUMENT_COMPLETION,
        params,
        "list",
        lambda document: _read(session, document, params),
    )
    if answered is None:
        return types.CompletionList(True, [])
    target, suggestions = answered
    return types.CompletionList(True, [_item(target, one) for one in suggestions])


def _read(
    session: Session, document: Document, params: types.CompletionParams
) -> Question | Reason:
    if not session.settings.completion_fallback:
        off = "completion lists are switched off by the setting `completionFallback`"
        return Reason(ReasonCode.SWITCHED_OFF, off)
    cursor = offset_at(document.text, params.position, session.units)
    refusal = refusal_at(session, document, cursor, is_invoked=True)
    if refusal is not None:
        return refusal
    site = session.site(document, cursor)
    # The entry includes the word before the cursor, because clients filter entries by it.
    found = _WORD_END.search(last_line(site.prefix))
    word = found[0] if found else ""
    span = range_at(document.text, cursor - len(word), cursor, session.units)
    return Question(document, Target(site, span, word), RequestOptions())


def _item(target: Target, suggestion: Suggestion) -> types.CompletionItem:
    text = target.head + suggestion.text
    first = next((line for line in LINE_END.split(text) if line.strip()), text).strip()
    label = first if len(first) <= MAX_LABEL_CHARS else f"{first[: MAX_LABEL_CHARS - 1]}…"
    return types.CompletionItem(
        label,
        detail="dg-lsp",
        kind=types.CompletionItemKind.Text,
        documentation=text if LINE_END.search(text) else None,
        sort_text=" ",
        filter_text=text,
        text_edit=types.TextEdit(target.range, text),
    )
