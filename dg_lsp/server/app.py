"""Builds the server: registers the handler of each method, and announces capabilities.

`create_server` is given the engine and loads none itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import time
from collections.abc import Callable
from typing import Any

from lsprotocol import types

from dg_lsp import __version__
from dg_lsp.server import lsp_ext
from dg_lsp.server.capabilities import read_features
from dg_lsp.server.features.code_action import QUICK_FIX, REWRITE, code_actions, resolve_action
from dg_lsp.server.features.commands import HANDLERS, stop_command
from dg_lsp.server.features.completion import completion
from dg_lsp.server.features.configuration import complain, configuration_changed, read_options
from dg_lsp.server.features.inline_completion import inline_completion
from dg_lsp.server.features.next_edit import did_show, next_edit
from dg_lsp.server.link.engine_link import EngineLink, EngineUnavailableError
from dg_lsp.server.registration import Registrar
from dg_lsp.server.rpc.protocol import Server
from dg_lsp.server.session import Examine, Session
from dg_lsp.server.settings import Settings, Trigger
from dg_lsp.server.tracing import Forgetful, Journal

log = logging.getLogger(__name__)

NAME = "dg-lsp"


def create_server(
    link: EngineLink,
    settings: Settings | None = None,
    on_settings: Callable[[Settings], None] = lambda settings: None,
    journal: Journal | None = None,
    examine: Examine | None = None,
) -> Session:
    """A session that is ready for a transport.

    `on_settings` is called with the settings whenever they change, before a job uses them. The
    journal stores the traces; without one, they are only in memory. `examine` makes the
    doctor's report, for the command `dg-lsp.doctor`.
    """
    # At INFO, pygls logs whole messages, including the user's source.
    logging.getLogger("pygls").setLevel(logging.WARNING)
    server = Server(NAME, __version__)
    settings = settings or Settings()
    session = Session(server, link, settings, on_settings, journal or Forgetful(), examine)
    _register_life_cycle(session)
    _register_documents(session)
    _register_features(session)
    _register_commands(session)
    return session


def _register_life_cycle(session: Session) -> None:
    server, registrar = session.server, Registrar(session)
    complaints: list[str] = []

    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        client = session.client = read_features(params)
        complaints.extend(read_options(session, params.initialization_options))
        options = server.protocol.fm.feature_options
        if client.registers_inline_completion:
            options.pop(types.TEXT_DOCUMENT_INLINE_COMPLETION)
        if client.registers_completion or session.settings.completion_fallback:
            handler = functools.partial(completion, session)
            server.feature(types.TEXT_DOCUMENT_COMPLETION)(handler)

    @server.feature(types.INITIALIZED)
    def initialized(params: types.InitializedParams) -> None:
        _note_client(session)
        session.status.begin(session.client)
        complain(session, complaints)
        # Concurrently, because a client may take long to answer either.
        session.start(registrar.start())
        session.start(_configure(session, registrar))

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def did_change_configuration(params: types.DidChangeConfigurationParams) -> None:
        await configuration_changed(session, params.settings)
        _note_client(session)
        await registrar.update()

    @server.feature(types.WINDOW_WORK_DONE_PROGRESS_CANCEL)
    def progress_cancel(params: types.WorkDoneProgressCancelParams) -> None:
        stop_command(session, params.token)


async def _configure(session: Session, registrar: Registrar) -> None:
    if session.client.has_configuration:
        await configuration_changed(session, None)
        _note_client(session)
        await registrar.update()


def _note_client(session: Session) -> None:
    """What `dg-lsp doctor` reports about the editor: its capabilities and its engine
    settings."""
    client, engine = session.client, session.settings.engine
    session.tracer.client = f"{client.name} {client.version}".strip()
    session.tracer.journal.note_client(
        {
            "time": time.time(),
            "dg_lsp": __version__,
            **dataclasses.asdict(client),
            "position_encoding": session.units.value,
            "completion_fallback": session.settings.completion_fallback,
            "model": engine.model,
            "device": engine.device,
            "is_engine_elsewhere": bool(engine.address),
        }
    )


def _register_documents(session: Session) -> None:
    server = session.server

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenTextDocumentParams) -> None:
        session.context.look_again()
        document = session.documents.get(params.text_document.uri)
        if document:
            session.history.open(document.uri, document.text)
        if session.recorder and document and session.exclusion(document) is None:
            now_s = asyncio.get_running_loop().time()
            session.recorder.open(document.uri, document.language, document.text, now_s)
        is_automatic = session.settings.trigger is Trigger.AUTOMATIC
        if document and is_automatic and session.refusal(document) is None:
            # Loading the model takes time; the first keystroke should not have to wait for it.
            session.start(_warm_up(session))

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeTextDocumentParams) -> None:
        session.text_changed(params)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        session.suggestions.forget(params.text_document.uri)
        session.rewrites.forget(params.text_document.uri)
        session.usage.forget(params.text_document.uri)
        session.history.forget(params.text_document.uri)
        if session.recorder is not None:
            session.recorder.close(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def did_save(params: types.DidSaveTextDocumentParams) -> None:
        # It may have been an ignore file.
        session.context.look_again()

    @server.feature(lsp_ext.DID_SHOW_COMPLETION)
    @server.feature(lsp_ext.DID_PARTIALLY_ACCEPT_COMPLETION)
    @server.feature(lsp_ext.DID_FOCUS)
    def did_show_or_accept(params: Any) -> None:
        """Accept the notification and do nothing: the edits tell what was accepted."""

    @server.feature(lsp_ext.DID_SHOW_INLINE_EDIT)
    def did_show_next_edit(params: Any) -> None:
        did_show(session, params)


async def _warm_up(session: Session) -> None:
    with contextlib.suppress(EngineUnavailableError):
        await session.link.infiller()


def _register_features(session: Session) -> None:
    server = session.server
    server.feature(
        types.TEXT_DOCUMENT_INLINE_COMPLETION,
        types.InlineCompletionOptions(work_done_progress=True),
    )(functools.partial(inline_completion, session))
    server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions(code_action_kinds=[REWRITE, QUICK_FIX], resolve_provider=True),
    )(functools.partial(code_actions, session))
    server.feature(lsp_ext.INLINE_EDIT)(functools.partial(next_edit, session))
    server.feature(types.CODE_ACTION_RESOLVE)(functools.partial(resolve_action, session))


def _register_commands(session: Session) -> None:
    for name, handler in HANDLERS.items():
        session.server.command(name)(functools.partial(handler, session))
