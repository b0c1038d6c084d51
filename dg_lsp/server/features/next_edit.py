"""textDocument/copilotInlineEdit: what the user will probably change next, elsewhere.

The method and its messages are those of the Copilot language server, which several editors'
plugins speak. Where anything is in doubt, the answer is an empty list.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server import lsp_ext
from dg_lsp.server.convert import offset_at, range_at
from dg_lsp.server.features.asking import CHANGED
from dg_lsp.server.rpc.errors import invalid_params
from dg_lsp.server.rpc.tolerance import read_position
from dg_lsp.server.session import Session
from dg_lsp.server.settings import NextEdits
from dg_lsp.server.suggest.answer import Answer, Outcome, refused
from dg_lsp.server.workspace.documents import Document

if TYPE_CHECKING:
    from dg_lsp.document.following import NextEdit

_SWITCHED_OFF = Reason(ReasonCode.SWITCHED_OFF, "switched off by the setting `nextEdits`")
_NONE = Reason(ReasonCode.NO_NEXT_EDIT, "nothing is certain to follow from the last edits")


@dataclass(frozen=True, slots=True)
class _Request:
    uri: str
    version: int | None
    position: types.Position


async def next_edit(session: Session, params: Any) -> dict[str, Any]:
    """The next edit as a list of at most one."""
    request = _read(params)
    document = session.documents.get(request.uri)
    language = "" if document is None else document.language
    with session.tracer.request(
        lsp_ext.INLINE_EDIT, request.uri, request.position, "automatic", language
    ) as trace:
        refusal = _refusal(session, document, request)
        trace.checked()
        if refusal is not None or document is None:
            trace.end(refused(refusal or session.missing(request.uri)))
            return {"edits": []}
        found = await _find(session, document, request.position)
        now = session.documents.get(request.uri)
        if now is None or now.text != document.text:
            trace.end(Answer(Outcome.NOTHING, CHANGED))
            return {"edits": []}
        if found is None:
            trace.end(Answer(Outcome.NOTHING, _NONE))
            return {"edits": []}
        trace.end(Answer(Outcome.SUGGESTED))
        return {"edits": [_item(session, now, found)]}


def did_show(session: Session, params: Any) -> None:
    """The editor shows a next edit; its command says which."""
    try:
        offer_id = params["item"]["command"]["arguments"][0]["id"]
    except (TypeError, KeyError, IndexError):
        return
    if isinstance(offer_id, str):
        session.history.shown(offer_id)


def _read(params: Any) -> _Request:
    try:
        document = params["textDocument"]
        uri, version = document["uri"], document.get("version")
        position = read_position(params["position"])
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise invalid_params("textDocument and position must be given, as in LSP") from error
    if not isinstance(uri, str):
        raise invalid_params("textDocument.uri must be the URI of an open document")
    return _Request(uri, version if type(version) is int else None, position)


def _refusal(session: Session, document: Document | None, request: _Request) -> Reason | None:
    if document is None:
        return session.missing(request.uri)
    if session.settings.next_edits is NextEdits.OFF:
        return _SWITCHED_OFF
    if request.version not in (None, document.version):
        other = f"the request is for version {request.version}, which is not the open one"
        return Reason(ReasonCode.OTHER_VERSION, other)
    return session.refusal(document)


async def _find(
    session: Session, document: Document, position: types.Position
) -> NextEdit | None:
    from dg_lsp.document.following import CERTAIN, Kind
    from dg_lsp.document.masking import secret_at
    from dg_lsp.document.next_edits import next_edits

    recent, text = session.history.edits(document.uri), document.text
    if not recent:
        return None
    cursor = offset_at(text, position, session.units)
    kinds = CERTAIN if session.settings.next_edits is NextEdits.CERTAIN else frozenset(Kind)
    found = await asyncio.to_thread(next_edits, text, document.language, recent, cursor, kinds)
    for one in found:
        then = _applied(text, one)
        if session.secret(document, one.start, one.end) is None and (
            secret_at(then, one.start, one.start + len(one.text)) is None
        ):
            return one
    return None


def _applied(text: str, one: NextEdit) -> str:
    return text[: one.start] + one.text + text[one.end :]


def _item(session: Session, document: Document, one: NextEdit) -> dict[str, Any]:
    then = _applied(document.text, one)
    offer = session.history.offered(document.uri, one.text, document.language, then)
    edit = lsp_ext.InlineEdit(
        one.text,
        range_at(document.text, one.start, one.end, session.units),
        document.uri,
        document.version,
        offer.id,
        one.kind.value,
    )
    return edit.to_json()
