"""An editor at the other end of a real pipe or socket: blocking, with patience."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from dg_lsp.server.rpc.frames import FrameReader

HERE = Path(__file__).parent
URI = "file:///work/a.py"
PATIENCE_S = 30.0


class Wire:
    """Messages over two byte streams."""

    def __init__(self, read: Callable[[], bytes], write: Callable[[bytes], Any]) -> None:
        self._write = write
        self._num_requests = 0
        self.messages: list[dict[str, Any]] = []
        """Everything that came, in order."""
        self._inbox: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._listen, args=(read,), daemon=True)
        self._thread.start()

    def _listen(self, read: Callable[[], bytes]) -> None:
        frames = FrameReader()
        while True:
            try:
                piece = read()
            except OSError:
                piece = b""
            if not piece:
                self._inbox.put(None)
                return
            for body in frames.feed(piece):
                self._inbox.put(json.loads(body))

    def raw(self, data: bytes) -> None:
        self._write(data)

    def post(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.raw(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def notify(self, method: str, params: Any = None) -> None:
        self.post({"method": method, "params": params})

    def send(self, method: str, params: Any = None) -> int:
        self._num_requests += 1
        self.post({"id": self._num_requests, "method": method, "params": params})
        return self._num_requests

    def next(self) -> dict[str, Any] | None:
        """The next message, or `None` at the end; requests of the server are answered."""
        message = self._inbox.get(timeout=PATIENCE_S)
        if message is not None:
            self.messages.append(message)
            if "method" in message and "id" in message:
                results = {
                    "workspace/applyEdit": {"applied": True},
                    "workspace/configuration": [None],
                }
                self.post({"id": message["id"], "result": results.get(message["method"])})
        return message

    def answer(self, request: int) -> dict[str, Any]:
        """The response to a request, which may have come already."""
        for message in self.messages:
            if message.get("id") == request and "method" not in message:
                return message
        while (message := self.next()) is not None:
            if message.get("id") == request and "method" not in message:
                return message
        raise AssertionError(f"the server went away before it answered request {request}")

    def ask(self, method: str, params: Any = None) -> Any:
        answer = self.answer(self.send(method, params))
        assert "error" not in answer, answer
        return answer["result"]

    def begin(self, capabilities: Any = None, process_id: int | None = None) -> Any:
        params = {
            "processId": process_id,
            "rootUri": "file:///work",
            "capabilities": capabilities or {},
            "initializationOptions": {"debounceMs": 0, "draftIntervalMs": 0},
        }
        result = self.ask("initialize", params)
        self.notify("initialized", {})
        return result

    def open(self, text: str, uri: str = URI) -> None:
        item = {"uri": uri, "languageId": "python", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def insert(self, version: int, line: int, character: int, text: str) -> None:
        at = {"line": line, "character": character}
        change = {"range": {"start": at, "end": at}, "text": text}
        identifier = {"uri": URI, "version": version}
        params = {"textDocument": identifier, "contentChanges": [change]}
        self.notify("textDocument/didChange", params)

    def send_inline(self, line: int, character: int, kind: int = 2, **extra: Any) -> int:
        params = {
            "textDocument": {"uri": URI},
            "position": {"line": line, "character": character},
            "context": {"triggerKind": kind},
            **extra,
        }
        return self.send("textDocument/inlineCompletion", params)

    def inline(self, line: int, character: int, kind: int = 2) -> list[dict[str, Any]]:
        return self.answer(self.send_inline(line, character, kind))["result"]["items"]

    def finish(self) -> None:
        """The polite end."""
        self.ask("shutdown")
        self.notify("exit")

    def to_the_end(self) -> list[dict[str, Any]]:
        """Read until the server has gone."""
        while self.next() is not None:
            pass
        return self.messages


class Server(Wire):
    """A server process over stdio."""

    def __init__(self, argv: list[str], **environment: str) -> None:
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
        )
        self._stdin = _pipe(self.process.stdin)
        stdout = _pipe(self.process.stdout)
        super().__init__(lambda: os.read(stdout.fileno(), 1 << 16), self._send)

    def _send(self, data: bytes) -> None:
        self._stdin.write(data)
        self._stdin.flush()

    def hang_up(self) -> None:
        """What the server sees of an editor that is gone."""
        self._stdin.close()

    def wait(self) -> tuple[int, str]:
        """The exit status and what was written to stderr."""
        _, stderr = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, stderr.decode()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self.process.wait(PATIENCE_S)
        self._thread.join(PATIENCE_S)


class Connection(Wire):
    """A client of a server that listens."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        super().__init__(lambda: self.socket.recv(1 << 16), self.socket.sendall)

    def end(self) -> None:
        self.socket.close()
        self._thread.join(PATIENCE_S)


def _pipe(pipe: BinaryIO | None) -> BinaryIO:
    assert pipe is not None
    return pipe


@pytest.fixture(scope="module")
def start_server() -> Iterator[Callable[..., Server]]:
    """Start processes that end with the test's module at the latest."""
    servers: list[Server] = []

    def start(*argv: str, **options: Any) -> Server:
        environment = options.pop("environment", {})
        given = argv or (str(HERE / "serve_scripted.py"), json.dumps(options))
        servers.append(Server([sys.executable, *given], **environment))
        return servers[-1]

    yield start
    for server in servers:
        server.end()


@pytest.fixture
def connect() -> Iterator[Callable[[int], Connection]]:
    connections: list[Connection] = []

    def start(port: int) -> Connection:
        connections.append(Connection(port))
        return connections[-1]

    yield start
    for connection in connections:
        connection.end()
