"""textDocument/codeAction and codeAction/resolve: offers actions and makes their edits.

Listing actions does not ask the model; the edit is made when an action is chosen, or by a
command for clients that do not resolve. If the model cannot follow instructions, actions that
need it are disabled, with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

from lsprotocol import types

from dg_lsp.document.holes import MAX_HOLES, find_marks
from dg_lsp.document.request import follows_no_instructions
from dg_lsp.job import ModelInfo, Span
from dg_lsp.server import lsp_ext
from dg_lsp.server.convert import offsets_of, range_at
from dg_lsp.server.features.commands import read_request, warn
from dg_lsp.server.features.rewriting import (
    RewriteRefusedError,
    confidence,
    leading_comment,
    rewrite,
    workspace_edit,
)
from dg_lsp.server.link.engine_link import EngineUnavailableError
from dg_lsp.server.rpc.errors import invalid_params, request_failed
from dg_lsp.server.session import Session
from dg_lsp.server.workspace.documents import Document

REWRITE = types.CodeActionKind.RefactorRewrite
QUICK_FIX = types.CodeActionKind.QuickFix
MODEL_PATIENCE_S = 1.0
"""How long the menu waits for an engine to say what its model can do."""
MAX_TITLE_CHARS = 60

INSTRUCTIONS = {
    "Complete this body": "Complete the body of this code.",
    "Add a docstring": "Add a docstring that says what this code does. Change nothing else.",
    "Add type hints": "Add type annotations. Change nothing else.",
    "Simplify": "Simplify this code without changing what it does.",
}


@dataclass(frozen=True, slots=True)
class Offered:
    """One entry of the menu, before it is converted for the client."""

    title: str
    kind: types.CodeActionKind
    span: Span
    instruction: str | None = None
    disabled: str | None = None
    asks: bool = False
    """Whether the client's extension asks the user for the instruction."""
    diagnostics: tuple[types.Diagnostic, ...] = ()
    holes: bool = False
    """Whether the marks in the span are filled, and nothing else changes."""


async def code_actions(
    session: Session, params: types.CodeActionParams
) -> list[types.CodeAction | types.Command]:
    """The menu at a range."""
    document = session.documents.get(params.text_document.uri)
    if document is None or session.refusal(document) is not None:
        return []
    model = session.link.state.model
    if model is None and params.context.trigger_kind is types.CodeActionTriggerKind.Invoked:
        model = await _model(session)
    span = Span(*offsets_of(document.text, params.range, session.units))
    offered = [
        *_fills(span, params.context),
        *_holes(session, document, span, params.context),
        *_rewrites(session, document, span, model),
        *_fixes(session, document, span, params.context, model),
    ]
    return [
        _to_lsp(session, document, one)
        for one in offered
        if _is_asked_for(one.kind, params.context.only)
        and (one.disabled is None or session.client.shows_disabled_actions)
        and (session.client.takes_action_literals or one.disabled is None)
    ]


async def resolve_action(session: Session, action: types.CodeAction) -> types.CodeAction:
    """The action with its edit; raises an error with the reason if there is none."""
    if action.command is not None:
        # Some clients ask for the edit of every action; this action has a command instead.
        return action
    if not isinstance(action.data, dict):
        raise invalid_params("this code action was not offered by dg-lsp")
    request = read_request(session, action.data)
    try:
        with session.status.working(None, action.title):
            change = await rewrite(session, request, types.CODE_ACTION_RESOLVE)
    except RewriteRefusedError as refused:
        session.status.failed(refused.reason)
        raise request_failed(refused.reason) from refused
    session.status.well()
    warn(session, change)
    said = {"warning": change.warning, "confidence": confidence(session, change)}
    action.data = {**action.data, **said}
    action.edit = workspace_edit(session, change, action.title)
    return action


def _fills(span: Span, context: types.CodeActionContext) -> list[Offered]:
    # A light bulb everywhere in the document would be meaningless.
    if span.start < span.end or context.trigger_kind is types.CodeActionTriggerKind.Automatic:
        return []
    return [Offered("Fill here", REWRITE, span)]


def _holes(
    session: Session, document: Document, span: Span, context: types.CodeActionContext
) -> list[Offered]:
    """One action for all marks of the selection, or of the document if nothing is selected."""
    text, mark = document.text, session.settings.hole_mark
    part = (span.start, span.end) if span.start < span.end else (0, len(text))
    marks = find_marks(text, mark, *part)
    if not marks:
        return []
    is_automatic = context.trigger_kind is types.CodeActionTriggerKind.Automatic
    if is_automatic and not any(one.start <= span.start <= one.end for one in marks):
        return []
    title = "Fill the hole" if len(marks) == 1 else "Fill the holes"
    many = f"there are more than {MAX_HOLES} holes; select some of them"
    return [
        Offered(
            title,
            REWRITE,
            Span(marks[0].start, marks[-1].end),
            disabled=many if len(marks) > MAX_HOLES else None,
            holes=True,
        )
    ]


def _rewrites(
    session: Session, document: Document, span: Span, model: ModelInfo | None
) -> list[Offered]:
    selection = document.text[span.start : span.end]
    if not selection.strip():
        return []
    deaf = _deaf(model)
    comment = leading_comment(selection, document.language)
    if session.client.extensions.ask_instruction:
        # Never disabled; if the model cannot follow instructions, the box says so.
        free = Offered("Rewrite selection…", REWRITE, span, asks=True)
    elif comment is not None:
        said, start = comment
        title = f"Rewrite selection: {said}"
        title = title if len(title) <= MAX_TITLE_CHARS else f"{title[: MAX_TITLE_CHARS - 1]}…"
        # The comment stays, because only the user knows whether it is part of the code.
        free = Offered(title, REWRITE, Span(span.start + start, span.end), said, deaf)
    else:
        how = "say what to do in a comment at the top of the selection"
        free = Offered("Rewrite selection…", REWRITE, span, disabled=deaf or how)
    fixed = [
        Offered(title, REWRITE, span, instruction, deaf)
        for title, instruction in INSTRUCTIONS.items()
    ]
    return [free, Offered("Rewrite selection anew", REWRITE, span), *fixed]


def _fixes(
    session: Session,
    document: Document,
    span: Span,
    context: types.CodeActionContext,
    model: ModelInfo | None,
) -> list[Offered]:
    """One fix for all the diagnostics here, covering their whole lines."""
    diagnostics = tuple(context.diagnostics)
    if not diagnostics:
        return []
    ends = [offsets_of(document.text, one.range, session.units) for one in diagnostics]
    start = min(span.start, *(start for start, _ in ends))
    end = max(span.end, *(end for _, end in ends))
    text = document.text
    start = max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1
    line_ends = [at for at in (text.find("\r", end), text.find("\n", end)) if at >= 0]
    lines = Span(start, min(line_ends, default=len(text)))
    if lines.start == lines.end:
        return []
    said = "; ".join(dict.fromkeys(" ".join(_message(one).split()) for one in diagnostics))
    title = "Fix this problem" if len(diagnostics) == 1 else "Fix these problems"
    instruction = f"Fix these problems: {said}"[:2000]
    return [
        Offered(title, QUICK_FIX, lines, instruction, _deaf(model), diagnostics=diagnostics)
    ]


def _message(diagnostic: types.Diagnostic) -> str:
    message = diagnostic.message
    return message if isinstance(message, str) else message.value


def _to_lsp(
    session: Session, document: Document, offered: Offered
) -> types.CodeAction | types.Command:
    client = session.client
    data = _data(session, document, offered)
    name = lsp_ext.COMMAND_INFILL if offered.instruction is None else lsp_ext.COMMAND_REWRITE
    if offered.asks:
        name = lsp_ext.CLIENT_COMMAND_ASK
    command = types.Command(offered.title, name, arguments=[data])
    if not client.takes_action_literals:
        return command
    action = types.CodeAction(offered.title, offered.kind)
    if offered.diagnostics:
        action.diagnostics = offered.diagnostics
    if client.knows_llm_tag:
        action.tags = [types.CodeActionTag.LlmGenerated]
    if offered.disabled is not None:
        action.disabled = types.CodeActionDisabled(offered.disabled)
    elif offered.asks or not client.resolves_edits:
        action.command = command
    else:
        action.data = data
    return action


def _data(session: Session, document: Document, offered: Offered) -> dict[str, Any]:
    """The data that restores the action, because the server stores nothing."""
    span = range_at(document.text, offered.span.start, offered.span.end, session.units)
    data: dict[str, Any] = {
        "uri": document.uri,
        "version": document.version,
        "range": {
            "start": {"line": span.start.line, "character": span.start.character},
            "end": {"line": span.end.line, "character": span.end.character},
        },
    }
    if offered.holes:
        return {**data, "holes": True}
    return data if offered.instruction is None else {**data, "instruction": offered.instruction}


def _is_asked_for(kind: types.CodeActionKind, only: Any) -> bool:
    if only is None:
        return True
    wanted = [str(getattr(one, "value", one)) for one in only]
    return any(one == "" or f"{kind.value}.".startswith(f"{one}.") for one in wanted)


def _deaf(model: ModelInfo | None) -> str | None:
    """Why an instruction would be useless, if known."""
    reason = None if model is None else follows_no_instructions(model)
    return None if reason is None else str(reason)


async def _model(session: Session) -> ModelInfo | None:
    """The model's capabilities, for a user who opens the menu; a light bulb starts no
    engine."""
    with contextlib.suppress(TimeoutError, EngineUnavailableError):
        await asyncio.wait_for(session.link.infiller(), MODEL_PATIENCE_S)
    return session.link.state.model
