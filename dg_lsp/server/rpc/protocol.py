"""The JSON-RPC side of the server: one answer to every request, and a clean shutdown.

pygls provides the registry, the types and the capabilities. This module handles what pygls does
not: parameters that do not decode, requests before `initialize` and after `shutdown`,
tracebacks
and local paths in errors, `shutdown` during a command, and `exit` without `shutdown`. Documents
are stored in `Documents`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Generator
from typing import Any, TypeGuard

from lsprotocol import types
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcServerNotInitialized,
)
from pygls.lsp.server import LanguageServer
from pygls.protocol import (
    JsonRPCNotification,
    JsonRPCRequestMessage,
    JsonRPCResponseMessage,
    lsp_method,
)
from pygls.protocol.json_rpc import MsgId

from dg_lsp.reason import ReasonCode
from dg_lsp.server.convert import Units, units_of
from dg_lsp.server.lsp_ext import read_extras
from dg_lsp.server.rpc.errors import data_of, invalid_params
from dg_lsp.server.rpc.tolerance import UnreadableError, make_converter, structure
from dg_lsp.server.workspace.documents import Documents, path_of
from dg_lsp.server.workspace.notebooks import SYNC, NotebookProtocol, Notebooks

log = logging.getLogger(__name__)

_INTERNAL_ERROR = -32603
_PARSE_ERROR = -32700
_UNDERSTOOD = (types.CANCEL_REQUEST, types.SET_TRACE)
"""Notifications that begin with `$/` and are not optional."""
_SYNC = (types.TEXT_DOCUMENT_DID_OPEN, types.TEXT_DOCUMENT_DID_CHANGE)


class Protocol(NotebookProtocol):
    """One session with one client."""

    documents: Documents
    on_exit: Callable[[int], None]
    """Called once, with the exit status, when the client says `exit`."""

    def __init__(self, server: Any, converter: Any) -> None:
        super().__init__(server, converter)
        self.documents = Documents()
        self.notebooks = Notebooks(self.documents)
        self.units = Units.UTF16
        self.roots: dict[str, str] = {}
        """Workspace folders: URI to path."""
        self.on_exit = lambda status: None
        self._initialized = False
        self._unanswered: set[MsgId] = set()

    @property
    def exit_status(self) -> int:
        """The exit status if the process exits now."""
        return 0 if self._shutdown else 1

    @property
    def client_process_id(self) -> int | None:
        """The process that started the server, if the client has named it."""
        return self._server.process_id

    def stop(self) -> None:
        """Cancel running work, because the session is over."""
        for future in [*self._request_futures.values()]:
            future.cancel()

    def say_garbled(self, reason: str) -> None:
        """Tell the client that it cannot be understood any more, before the session ends."""
        self._refuse(None, _PARSE_ERROR, reason)

    def receive(self, body: bytes) -> None:
        """Handle one message; no input makes this raise."""
        try:
            message = _read_json(body)
        except (ValueError, RecursionError):
            log.warning("a message of %d bytes is not JSON", len(body))
            self._refuse(None, _PARSE_ERROR, "the message is not JSON")
            return
        # LSP has no batches; if a client sends one, each of its messages is handled.
        for one in message if isinstance(message, list) and message else [message]:
            try:
                self._dispatch(one)
            except Exception:
                log.exception("a message could not be handled")

    def _dispatch(self, message: Any) -> None:
        if not isinstance(message, dict):
            self._refuse(None, JsonRpcInvalidRequest.CODE, "not a JSON-RPC 2.0 message")
            return
        method, msg_id = message.get("method"), message.get("id")
        # Some clients omit the version, because LSP has only one.
        if message.setdefault("jsonrpc", self.VERSION) != self.VERSION:
            self._refuse(msg_id, JsonRpcInvalidRequest.CODE, "not a JSON-RPC 2.0 message")
        elif method is None:
            self._take_response(message)
        elif not isinstance(method, str):
            self._refuse(msg_id, JsonRpcInvalidRequest.CODE, "the method is not a string")
        elif "id" not in message:
            self._take_notification(method, message)
        elif not _is_id(msg_id):
            self._refuse(None, JsonRpcInvalidRequest.CODE, "the id is no string or integer")
        else:
            self._take_request(msg_id, method, message)

    def _take_request(self, msg_id: MsgId, method: str, message: dict[str, Any]) -> None:
        if msg_id in self._unanswered:
            self._refuse(msg_id, JsonRpcInvalidRequest.CODE, "this id is still in use")
            return
        if self._shutdown:
            self._refuse(msg_id, JsonRpcInvalidRequest.CODE, "the server is shutting down")
            return
        if (method == types.INITIALIZE) == self._initialized:
            twice = JsonRpcInvalidRequest.CODE, "the server is initialized already"
            early = JsonRpcServerNotInitialized.CODE, "the server is not initialized yet"
            self._refuse(msg_id, *(twice if self._initialized else early))
            return
        try:
            decoded = self._decode(JsonRPCRequestMessage, message)
        except UnreadableError as error:
            self._refuse(msg_id, JsonRpcInvalidParams.CODE, f"{method}: {error}")
            return
        self.handle_message(decoded)

    def _take_notification(self, method: str, message: dict[str, Any]) -> None:
        if method != types.EXIT and (self._shutdown or not self._initialized):
            return
        if method.startswith("$/") and method not in _UNDERSTOOD:
            log.debug("the notification %s is ignored, as the protocol allows", method)
            return
        subject = _document_of(message.get("params")) if method in _SYNC else None
        try:
            decoded = self._decode(JsonRPCNotification, message)
        except UnreadableError as error:
            level = logging.DEBUG if method.startswith("$/") else logging.WARNING
            log.log(level, "the notification %s is ignored: %s", method, error)
            if subject is not None:
                # No text is better than a wrong one.
                self.documents.lose(*subject, method == types.TEXT_DOCUMENT_DID_OPEN)
            elif method == types.NOTEBOOK_DOCUMENT_DID_CHANGE:
                self.notebooks.lose(message.get("params"))
            return
        self.handle_message(decoded)

    def _take_response(self, message: dict[str, Any]) -> None:
        msg_id = message.get("id")
        if not isinstance(msg_id, str) or msg_id not in self._request_futures:
            return
        future, kind = self._request_futures[msg_id], self._result_types.pop(msg_id, None)
        if future.done():
            del self._request_futures[msg_id]
            return
        if "error" in message:
            kind = types.ResponseErrorMessage
        try:
            decoded = structure(self._converter, message, kind or JsonRPCResponseMessage)
        except UnreadableError as error:
            log.warning("a response of the client cannot be used: %s", error)
            self._request_futures.pop(msg_id, None)
            future.set_exception(JsonRpcInvalidParams(str(error)))
            return
        self.handle_message(decoded)

    def _decode(self, fallback: type[Any], message: dict[str, Any]) -> Any:
        """The typed message; parameters of methods beyond LSP are not converted."""
        method = message["method"]
        kind = self.get_message_type(method)
        if kind is None:
            known = {key: message[key] for key in ("id", "method") if key in message}
            return fallback(**known, params=message.get("params"), jsonrpc=self.VERSION)
        decoded = structure(self._converter, message, kind)
        extended = read_extras(method, decoded.params, message.get("params"))
        if extended is decoded.params:
            return decoded
        return fallback(id=message["id"], method=method, params=extended, jsonrpc=self.VERSION)

    def _handle_request(self, msg_id: MsgId, method_name: str, params: Any) -> None:
        self._unanswered.add(msg_id)
        super()._handle_request(msg_id, method_name, params)

    def _handle_cancel_notification(self, msg_id: MsgId) -> None:
        # The server's requests wait in the same table, but the client must not cancel those.
        if msg_id in self._unanswered:
            super()._handle_cancel_notification(msg_id)

    def _send_handler_result(self, future: Any, *, msg_id: MsgId) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, JsonRpcException):
            # A deliberate answer to the client, so no traceback is logged.
            self._request_futures.pop(msg_id, None)
            self._send_response(msg_id, error=error.to_response_error())
            return
        super()._send_handler_result(future, msg_id=msg_id)

    def _refuse(
        self,
        msg_id: Any,
        code: int,
        message: str,
        reason: ReasonCode = ReasonCode.INVALID_REQUEST,
    ) -> None:
        self._send_data(
            {
                "jsonrpc": self.VERSION,
                "id": msg_id if _is_id(msg_id) else None,
                "error": {"code": code, "message": message, "data": data_of(reason)},
            }
        )

    def _send_response(
        self, msg_id: MsgId, result: Any = None, error: types.ResponseError | None = None
    ) -> None:
        if msg_id not in self._unanswered:
            return
        self._unanswered.discard(msg_id)
        if error is not None:
            message, data = error.message, error.data
            if error.code == _INTERNAL_ERROR:
                kind = re.match(r"\w*", message)
                message = f"internal error ({kind[0] if kind else ''}); see the server's log"
                data = data_of(ReasonCode.DEFECT)
            error = types.ResponseError(error.code, message, data)
        super()._send_response(msg_id, result, error)

    def _send_data(self, data: Any) -> None:
        try:
            body = json.dumps(data, default=self._serialize_message).encode()
        except (TypeError, ValueError, RecursionError) as error:
            # A client's own data is returned to it, however deeply nested it is.
            log.error("a message cannot be written as JSON: %s", type(error).__name__)
            if not hasattr(data, "method"):
                self._refuse(
                    data.id,
                    _INTERNAL_ERROR,
                    "the answer cannot be written as JSON",
                    ReasonCode.DEFECT,
                )
            return
        if self.writer is None:
            return
        try:
            self.writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        except (OSError, ValueError):
            # The reader's end of file ends the session; until then, nothing can be sent.
            log.info("the client no longer reads")

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(
        self, params: types.InitializeParams
    ) -> Generator[Any, Any, types.InitializeResult]:
        self._initialized = True
        for folder in params.workspace_folders or []:
            self.roots[folder.uri] = path_of(folder.uri)
        if not self.roots and params.root_uri:
            self.roots[params.root_uri] = path_of(params.root_uri)
        # For its own documents, pygls would derive paths from these, and fail at unusual ones.
        params.root_path = params.root_uri = params.workspace_folders = None
        try:
            result: types.InitializeResult = yield from super().lsp_initialize(params)
        except BaseException:
            self._initialized = False
            raise
        self.units = units_of(result.capabilities.position_encoding)
        return result

    @lsp_method(types.SHUTDOWN)
    def lsp_shutdown(self, *args: Any) -> None:  # type: ignore[override]
        self._shutdown = True
        self.stop()

    @lsp_method(types.EXIT)
    def lsp_exit(self, *args: Any) -> None:  # type: ignore[override]
        self.on_exit(self.exit_status)

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        self.documents.open(params.text_document)
        self.tell(types.TEXT_DOCUMENT_DID_OPEN, params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        changes = [*params.content_changes]
        if not self.documents.change(params.text_document, changes, self.units):
            log.warning("an edit is ignored: the document is not open or out of sync")
        self.tell(types.TEXT_DOCUMENT_DID_CHANGE, params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        self.documents.close(params.text_document.uri)
        self.tell(types.TEXT_DOCUMENT_DID_CLOSE, params)

    @lsp_method(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def lsp_workspace__did_change_workspace_folders(
        self, params: types.DidChangeWorkspaceFoldersParams
    ) -> None:
        for folder in params.event.removed:
            self.roots.pop(folder.uri, None)
        for folder in params.event.added:
            self.roots[folder.uri] = path_of(folder.uri)

    @lsp_method(types.WORKSPACE_EXECUTE_COMMAND)
    async def lsp_workspace__execute_command(  # type: ignore[override]
        self, params: types.ExecuteCommandParams
    ) -> Any:
        """One task per command, so that cancelling the request stops the command."""
        handler = self.fm.commands.get(params.command)
        if handler is None:
            raise invalid_params(f"there is no command {params.command!r}")
        return await handler(params)


class Server(LanguageServer):
    """pygls' server with our protocol."""

    protocol: Protocol

    def __init__(self, name: str, version: str) -> None:
        super().__init__(
            name,
            version,
            types.TextDocumentSyncKind.Incremental,
            SYNC,
            protocol_cls=Protocol,
            converter_factory=make_converter,
        )

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Only log errors; a popup for every failed keystroke would be useless."""
        if not isinstance(error, JsonRpcException):
            log.error("%s in a handler", type(error).__name__)


def _read_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # Python refuses integers with thousands of digits, whose exact value nobody needs.
        return json.loads(body, parse_int=lambda digits: int(digits[:30]))


def _document_of(params: Any) -> tuple[str, str | None] | None:
    """The URI and, if given, the language of the document that a message is about."""
    item = params.get("textDocument") if isinstance(params, dict) else None
    if not isinstance(item, dict) or not isinstance(item.get("uri"), str):
        return None
    language = item.get("languageId")
    return item["uri"], language if isinstance(language, str) else None


def _is_id(value: Any) -> TypeGuard[MsgId]:
    return isinstance(value, (str, int)) and not isinstance(value, bool)
