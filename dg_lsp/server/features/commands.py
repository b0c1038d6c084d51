"""workspace/executeCommand: each command takes one object and returns one.

Cancelling the request stops a command; so does `dg-lsp.stop` with its token, because not every
client can cancel a command. rewriting.py makes the edits.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from lsprotocol import types

from dg_lsp.document.holes import HolesError, checked, find_marks
from dg_lsp.document.pinning import free_parts
from dg_lsp.document.retrying import MAX_SEED
from dg_lsp.job import MAX_SHOWN, Span
from dg_lsp.reason import CodedError, Reason, ReasonCode
from dg_lsp.server import lsp_ext
from dg_lsp.server.convert import offsets_of
from dg_lsp.server.features.alternatives import alternatives
from dg_lsp.server.features.rewriting import (
    Change,
    RewriteRefusedError,
    RewriteRequest,
    rewrite,
    workspace_edit,
)
from dg_lsp.server.link.engine_link import EngineUnavailableError
from dg_lsp.server.rpc.errors import invalid_params, request_failed
from dg_lsp.server.rpc.tolerance import read_position
from dg_lsp.server.session import Session
from dg_lsp.server.workspace.documents import Document

Command = Callable[[Session, types.ExecuteCommandParams], Awaitable[Any]]
MAX_INSTRUCTION_CHARS = 4000


async def infill(session: Session, params: types.ExecuteCommandParams) -> Any:
    """Fill a position, or rewrite a range without an instruction, and apply the edit."""
    return await _apply(session, params, "Fill here")


async def rewrite_selection(session: Session, params: types.ExecuteCommandParams) -> Any:
    """Rewrite a range as the instruction says and apply the edit."""
    return await _apply(session, params, "Rewrite selection")


async def weigh_word(session: Session, params: types.ExecuteCommandParams) -> Any:
    """What else may stand in place of a word."""
    raw = _argument(params)
    document = _read_document(session, raw)
    with session.status.working(params.work_done_token, "Looking for alternatives"):
        return await alternatives(session, document, _read_span(session, document, raw))


async def stop(session: Session, params: types.ExecuteCommandParams) -> Any:
    """Stop a command by its token."""
    return {"stopped": stop_command(session, _argument(params).get("token"))}


async def status(session: Session, params: types.ExecuteCommandParams) -> Any:
    """The current status, as in `dgLsp/status`."""
    return session.status.now.to_json()


async def restart_engine(session: Session, params: types.ExecuteCommandParams) -> Any:
    """Restart the engine, for every editor that shares it."""
    return await _with_engine(session, params, session.link.restart, "Restarting the engine")


async def unload_model(session: Session, params: types.ExecuteCommandParams) -> Any:
    """Free the model's memory until the next request."""
    return await _with_engine(session, params, session.link.unload, "Unloading the model")


async def trace(session: Session, params: types.ExecuteCommandParams) -> Any:
    """The trace of the last request, or of the last one of the document in the argument.

    It contains text and a page in Markdown only if the argument asks for them.
    """
    asked = _argument(params)
    record = session.tracer.last_of(asked.get("uri"))
    if record is None:
        return None
    shown = {
        name: value
        for name, value in record.items()
        if name != "text" or asked.get("text") is True
    }
    if asked.get("markdown") is True:
        # Imported here, because pages are rarely needed and would slow down every start.
        from dg_lsp.diagnosis.pages import trace_page

        shown["markdown"] = trace_page(shown)
    return shown


async def doctor(session: Session, params: types.ExecuteCommandParams) -> Any:
    """The doctor's report, without a self-test; also as pages if requested."""
    from dg_lsp.diagnosis.pages import doctor_page, issue_report

    asked = _argument(params)
    if session.examine is None:
        raise invalid_params("this server cannot examine its installation")
    try:
        report = await session.examine()
    except CodedError as error:
        raise request_failed(error.reason) from error
    pages = {}
    if asked.get("markdown") is True:
        pages["markdown"] = doctor_page(report)
    if asked.get("anonymous") is True:
        pages["anonymous"] = issue_report(report, session.tracer.last_of(None))
    return {**report, **pages}


async def accept_next_edit(session: Session, params: types.ExecuteCommandParams) -> Any:
    """Nothing is left to do: the edit itself has told that it was accepted."""
    return {}


async def dismiss_next_edit(session: Session, params: types.ExecuteCommandParams) -> Any:
    """Offer nothing more in the document until the user edits it again."""
    offer_id = _argument(params).get("id")
    is_known = isinstance(offer_id, str) and session.history.dismissed(offer_id)
    return {"dismissed": is_known}


HANDLERS: dict[str, Command] = {
    lsp_ext.COMMAND_INFILL: infill,
    lsp_ext.COMMAND_REWRITE: rewrite_selection,
    lsp_ext.COMMAND_ALTERNATIVES: weigh_word,
    lsp_ext.COMMAND_STOP: stop,
    lsp_ext.COMMAND_STATUS: status,
    lsp_ext.COMMAND_RESTART_ENGINE: restart_engine,
    lsp_ext.COMMAND_UNLOAD_MODEL: unload_model,
    lsp_ext.COMMAND_TRACE: trace,
    lsp_ext.COMMAND_DOCTOR: doctor,
    lsp_ext.COMMAND_ACCEPT_NEXT_EDIT: accept_next_edit,
    lsp_ext.COMMAND_DISMISS_NEXT_EDIT: dismiss_next_edit,
}


def stop_command(session: Session, token: Any) -> bool:
    """Whether there was something to stop."""
    task = session.commands.get(token) if isinstance(token, (str, int)) else None
    return task is not None and task.cancel()


def read_request(session: Session, raw: dict[str, Any]) -> RewriteRequest:
    """The request in a command's argument or a code action's data, checked."""
    document = _read_document(session, raw)
    instruction, strength, token = raw.get("instruction"), raw.get("strength"), raw.get("token")
    if instruction is not None and not (
        isinstance(instruction, str) and 0 < len(instruction.strip()) <= MAX_INSTRUCTION_CHARS
    ):
        raise invalid_params(
            f"instruction must be a text of 1 to {MAX_INSTRUCTION_CHARS} characters"
        )
    if strength is not None and not (type(strength) in (int, float) and 0 < strength <= 1):
        raise invalid_params(f"strength is {strength!r:.20}; must be above 0 and at most 1")
    seed = raw.get("seed")
    if seed is not None and not (type(seed) is int and 0 <= seed <= MAX_SEED):
        raise invalid_params(f"seed must be a whole number from 0 to {MAX_SEED}")
    shown = [] if raw.get("shown") is None else raw["shown"]
    if not (isinstance(shown, list) and all(isinstance(text, str) for text in shown)):
        raise invalid_params(f"shown is {shown!r:.40}; must be a list of texts")
    if len(shown) > MAX_SHOWN:
        raise invalid_params(f"shown has {len(shown)} texts; must be at most {MAX_SHOWN}")
    span = Span(0, 0)
    if not isinstance(raw.get("holes"), list):
        span = _read_span(session, document, raw)
    holes = _read_holes(session, document, span, raw.get("holes"))
    pinned = _read_free_parts(session, document, span, raw.get("pinned"))
    if holes and pinned:
        raise invalid_params("pinned is for text around what stays; holes are given without it")
    holes, given = holes or pinned, span
    if holes:
        span = Span(holes[0].start, holes[-1].end)
    kept = ("", "")
    if pinned:
        kept = document.text[given.start : span.start], document.text[span.end : given.end]
    if holes and instruction is not None:
        raise invalid_params("an instruction is for a rewrite; holes are filled without one")
    selection = document.text[span.start : span.end]
    if instruction is not None and not selection.strip():
        held = "only blanks" if selection else "nothing"
        raise invalid_params(f"range contains {held}, but an instruction needs text")
    return RewriteRequest(
        document,
        span,
        instruction.strip() if instruction else None,
        0.6 if strength is None else float(strength),
        seed or 0,
        # What is kept was shown beside what was written.
        tuple(text.removeprefix(kept[0]).removesuffix(kept[1]) for text in shown),
        token if isinstance(token, (str, int)) else None,
        holes,
        is_warm=bool(pinned),
        kept=kept,
    )


async def _apply(session: Session, params: types.ExecuteCommandParams, title: str) -> Any:
    request = read_request(session, _argument(params))
    if params.command == lsp_ext.COMMAND_REWRITE and request.span.start == request.span.end:
        raise invalid_params("range must not be empty for a rewrite")
    progress = params.work_done_token
    if progress is None and session.client.shows_progress:
        progress = _begin_own_progress(session)
    task = asyncio.current_task()
    assert task is not None
    tokens = [token for token in (request.token, progress) if token is not None]
    session.commands.update(dict.fromkeys(tokens, task))
    try:
        with session.status.working(progress, title, can_stop=True) as report:
            change = await rewrite(session, request, params.command, report)
    except RewriteRefusedError as refused:
        session.status.failed(refused.reason)
        shown = types.ShowMessageParams(types.MessageType.Warning, f"dg-lsp: {refused}")
        session.server.window_show_message(shown)
        return _applied(refused.reason)
    finally:
        for token in tokens:
            if session.commands.get(token) is task:
                del session.commands[token]
    session.status.well()
    warn(session, change)
    answer = await session.server.workspace_apply_edit_async(
        types.ApplyWorkspaceEditParams(workspace_edit(session, change, title), title)
    )
    if answer.applied:
        return _applied(None, change)
    why = answer.failure_reason or "the editor refused it"
    return _applied(Reason(ReasonCode.EDIT_REFUSED, why), change)


def _applied(reason: Reason | None, change: Change | None = None) -> dict[str, Any]:
    return {
        "applied": reason is None,
        "reason": reason and reason.message,
        "code": reason and reason.code.value,
        "text": change and change.new_text,
        "warning": change and change.warning,
    }


def warn(session: Session, change: Change) -> None:
    """Tell the user; a client that handles drafts shows the warning itself."""
    if change.warning is not None and not session.client.extensions.drafts:
        said = f"dg-lsp: check this rewrite before you keep it: {change.warning}"
        shown = types.ShowMessageParams(types.MessageType.Warning, said)
        session.server.window_show_message(shown)


async def _with_engine(
    session: Session,
    params: types.ExecuteCommandParams,
    work: Callable[[], Awaitable[None]],
    title: str,
) -> Any:
    try:
        with session.status.working(params.work_done_token, title):
            await work()
        session.forget_answers()
    except EngineUnavailableError as error:
        session.status.failed(error.reason)
        return {"done": False, "reason": str(error), "code": error.code.value}
    return {"done": True, "reason": None, "code": None}


def _begin_own_progress(session: Session) -> str:
    token = f"dg-lsp-{uuid.uuid4().hex[:8]}"
    session.server.protocol.send_request(
        types.WINDOW_WORK_DONE_PROGRESS_CREATE, types.WorkDoneProgressCreateParams(token)
    )
    return token


def _argument(params: types.ExecuteCommandParams) -> dict[str, Any]:
    arguments = params.arguments or [{}]
    if len(arguments) != 1 or not isinstance(arguments[0], dict):
        raise invalid_params(f"{params.command} takes one object")
    return arguments[0]


def _read_document(session: Session, raw: dict[str, Any]) -> Document:
    uri, version = raw.get("uri"), raw.get("version")
    if not isinstance(uri, str):
        raise invalid_params("uri must be the URI of an open document")
    if version is not None and not isinstance(version, int):
        raise invalid_params("version must be a whole number")
    document = session.documents.at_version(uri, version)
    if document is None:
        raise invalid_params(
            "the document is not open, or the version in the request is not known",
            ReasonCode.NOT_OPEN,
        )
    return document


def _read_holes(session: Session, document: Document, span: Span, raw: Any) -> tuple[Span, ...]:
    """The holes to fill: the marks in a span, or ranges that the client gives."""
    if raw is None or raw is False:
        return ()
    text = document.text
    if raw is True:
        found = find_marks(text, session.settings.hole_mark, span.start, span.end)
    elif isinstance(raw, list):
        found = [_read_span(session, document, {"range": one}) for one in raw]
    else:
        raise invalid_params(
            f"holes is {raw!r:.40}; must be true, for the marks in the range, or a list of "
            "ranges"
        )
    try:
        return checked(text, found)
    except HolesError as error:
        raise invalid_params(str(error), error.code) from error


def _read_free_parts(
    session: Session, document: Document, span: Span, raw: Any
) -> tuple[Span, ...]:
    """What is around the pinned ranges of a span."""
    if raw is None or raw == []:
        return ()
    if not isinstance(raw, list):
        raise invalid_params(f"pinned is {raw!r:.40}; must be a list of ranges")
    try:
        kept = [_read_span(session, document, {"range": one}) for one in raw]
        return free_parts(document.text, span, kept)
    except HolesError as error:
        raise invalid_params(str(error), error.code) from error


def _read_span(session: Session, document: Document, raw: dict[str, Any]) -> Span:
    found: Any = raw.get("range")
    if found is None and raw.get("position") is not None:
        found = {"start": raw["position"], "end": raw["position"]}
    try:
        ends = [read_position(found[end]) for end in ("start", "end")]
    except (TypeError, KeyError, ValueError) as error:
        raise invalid_params("range or position must be given, as in LSP") from error
    return Span(*offsets_of(document.text, types.Range(*ends), session.units))
