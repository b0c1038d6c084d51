"""An editor at the other end of a real pipe or socket: blocking, with patience."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from dg_lsp.benchmark.client import Client, Message

HERE = Path(__file__).parent
URI = "file:///work/a.py"
PATIENCE_S = 90.0


class Wire(Client):
    """Messages over two byte streams; a thread reads, and whoever asks waits with patience."""

    def __init__(self, read: Callable[[], bytes], write: Callable[[bytes], Any]) -> None:
        super().__init__()
        self._write = write
        # Requests of the server are answered by the thread that reads.
        self._writing, self._news = threading.Lock(), threading.Condition()
        self.replies = {
            "workspace/applyEdit": lambda params: {"applied": True},
            "workspace/configuration": lambda params: [None],
        }
        self._thread = threading.Thread(target=self._listen, args=(read,), daemon=True)
        self._thread.start()

    def _listen(self, read: Callable[[], bytes]) -> None:
        # Whoever hangs up while the server still writes ends the reading with an error.
        with contextlib.suppress(OSError):
            while piece := read():
                with self._news:
                    self.feed(piece)
                    self._news.notify_all()
        with self._news:
            self.end_of_messages()
            self._news.notify_all()

    def raw(self, data: bytes) -> None:
        with self._writing:
            self._write(data)

    def deliver(self, body: bytes) -> None:
        self.raw(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def respond(self, message: Message) -> None:
        # The server may have gone since it asked.
        with contextlib.suppress(OSError, ValueError):
            super().respond(message)

    def answer(self, request: int) -> Message:
        return self.answers[request].result(PATIENCE_S).message

    def ask(self, method: str, params: Any = None) -> Any:
        answer = self.answer(self.send(method, params))
        assert "error" not in answer, answer
        return answer["result"]

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until what has come makes something so."""
        with self._news:
            assert self._news.wait_for(is_so, PATIENCE_S), "this never came to be"

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

    def open(self, text: str, uri: str = URI, language: str = "python") -> None:
        super().open(text, uri, language)

    def insert(self, line: int, character: int, text: str) -> None:
        super().insert(URI, line, character, text)

    def send_inline(self, line: int, character: int, kind: int = 2, **extra: Any) -> int:
        return self.complete(URI, line, character, kind, **extra)

    def inline(self, line: int, character: int, kind: int = 2) -> list[dict[str, Any]]:
        return self.answer(self.send_inline(line, character, kind))["result"]["items"]

    def finish(self) -> None:
        """The polite end."""
        self.ask("shutdown")
        self.notify("exit")

    def to_the_end(self) -> list[Message]:
        """Everything that came, once the server has gone."""
        self.until(lambda: self.has_ended)
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
