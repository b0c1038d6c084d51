"""The client's side of LSP: pairs requests with their answers, and keeps every message.

The editors of the benchmark and of the tests build on it. A subclass carries the messages: it
feeds the bytes that arrive and delivers the bodies that are sent. An answer is a future, so
that a thread or an event loop can wait for it, with a bound of its own.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Any

from dg_lsp.server.rpc.frames import FrameReader

Message = dict[str, Any]


class ClientError(RuntimeError):
    """The server disconnected or gave a wrong answer; the message says which."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a request, and when its first byte arrived."""

    message: Message
    at: float

    @property
    def result(self) -> Any:
        if "result" not in self.message:
            raise ClientError(f"the server answered with {self.message.get('error')}")
        return self.message["result"]


class Client:
    """One client of one server."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        """Everything that arrived, in order."""
        self.replies: dict[str, Callable[[Any], Any]] = {}
        """What is answered to requests of the server, by method; null to all others."""
        self.answers: dict[int, Future[Answer]] = {}
        """Of all requests, by their numbers."""
        self.has_ended = False
        self._frames = FrameReader()
        self._versions: dict[str, int] = {}

    def deliver(self, body: bytes) -> None:
        """Send the body of a message to the server."""
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        """Take bytes that arrived from the server."""
        at = time.perf_counter()
        for body in self._frames.feed(data):
            self._take(json.loads(body), at)

    def end_of_messages(self) -> None:
        """No more messages will arrive; every pending answer becomes an error."""
        self.has_ended = True
        for answer in [*self.answers.values()]:
            self._give_up(answer)

    def post(self, message: Message) -> None:
        self.deliver(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def respond(self, message: Message) -> None:
        """Answer a request of the server."""
        reply = self.replies.get(message["method"])
        result = None if reply is None else reply(message.get("params"))
        self.post({"id": message["id"], "result": result})

    def notify(self, method: str, params: Any = None) -> None:
        self.post({"method": method, "params": params})

    def send(self, method: str, params: Any = None) -> int:
        """Send a request and return its number."""
        request = len(self.answers) + 1
        self.answers[request] = Future()
        self.post({"id": request, "method": method, "params": params})
        if self.has_ended:
            self._give_up(self.answers[request])
        return request

    def cancel(self, request: int) -> None:
        self.notify("$/cancelRequest", {"id": request})

    def told(self, method: str) -> list[Any]:
        """Parameters of the notifications and requests of a method so far."""
        return [one.get("params") for one in [*self.messages] if one.get("method") == method]

    def open(self, text: str, uri: str, language: str = "python") -> None:
        self._versions[uri] = 1
        item = {"uri": uri, "languageId": language, "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def change(self, uri: str, *changes: Message) -> None:
        """Content changes, as the document's next version."""
        self._versions[uri] = self._versions.get(uri, 0) + 1
        identifier = {"uri": uri, "version": self._versions[uri]}
        params = {"textDocument": identifier, "contentChanges": [*changes]}
        self.notify("textDocument/didChange", params)

    def insert(self, uri: str, line: int, character: int, text: str) -> None:
        at = {"line": line, "character": character}
        self.change(uri, {"range": {"start": at, "end": at}, "text": text})

    def complete(self, uri: str, line: int, character: int, kind: int = 2, **extra: Any) -> int:
        """Ask for ghost text; kind 1 is Invoked, 2 is Automatic."""
        params = {
            "textDocument": {"uri": uri},
            "position": {"line": line, "character": character},
            "context": {"triggerKind": kind},
            **extra,
        }
        return self.send("textDocument/inlineCompletion", params)

    def _take(self, message: Message, at: float) -> None:
        self.messages.append(message)
        if "method" in message:
            if "id" in message:
                self.respond(message)
        elif message["id"] in self.answers:
            # Whoever waited may have given up.
            with contextlib.suppress(InvalidStateError):
                self.answers[message["id"]].set_result(Answer(message, at))

    @staticmethod
    def _give_up(answer: Future[Answer]) -> None:
        with contextlib.suppress(InvalidStateError):
            answer.set_exception(ClientError("the server disconnected"))
