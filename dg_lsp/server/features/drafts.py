"""Sends drafts to clients that opted in: in order, at a limited rate, and none too late.

The first draft is sent at once, and then the first one that comes after each interval;
those in between are dropped. When the request has been answered or cancelled, the listener is
removed, so no draft follows.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from lsprotocol import types

from dg_lsp.server import lsp_ext
from dg_lsp.server.convert import width
from dg_lsp.server.session import Session
from dg_lsp.server.suggest.draft_suggestions import DraftListener, DraftSuggestion
from dg_lsp.server.workspace.documents import Document


def send_drafts(
    session: Session,
    document: Document,
    span: types.Range,
    head: str,
    tail: str,
    token: lsp_ext.JobToken,
) -> DraftListener:
    """A listener that turns drafts into notifications about this version of the document.

    `head` and `tail` are the document's own text on both sides, within `span`.
    """
    loop = asyncio.get_running_loop()
    last_sent = float("-inf")
    last_shown: object = None

    def listen(draft_now: Callable[[], DraftSuggestion | None]) -> None:
        nonlocal last_sent, last_shown
        if loop.time() - last_sent < session.settings.draft_interval_ms / 1e3:
            return
        if session.documents.get(document.uri) is not document:
            return
        draft = draft_now()
        if draft is None or not (draft.suggestion.text or draft.masked):
            return
        text = head + draft.suggestion.text + tail
        if last_shown == (text, draft.masked):
            return
        last_sent, last_shown = loop.time(), (text, draft.masked)
        units = session.units
        sure = draft.suggestion.confidences
        confidences = ((1.0,) * len(head), sure, (1.0,) * len(tail))
        widths = [width(character, units) for character in text]
        message = lsp_ext.Draft(
            token=token,
            uri=document.uri,
            version=document.version,
            range=span,
            text=text,
            confidence=lsp_ext.confidence_runs([*itertools.chain(*confidences)], widths),
            step=draft.step,
            steps_allowed=draft.steps_allowed,
            settled=sum(widths[: len(head) + draft.settled]),
            block=draft.block,
            blocks=draft.blocks,
            masked=tuple(
                (sum(widths[: len(head) + place.at]), place.width) for place in draft.masked
            ),
        )
        session.server.protocol.notify(lsp_ext.DRAFT, message.to_json())

    return listen
