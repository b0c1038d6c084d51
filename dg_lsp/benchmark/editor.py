"""A minimal editor with a stopwatch, as the client of a real `dg-lsp serve`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dg_lsp.server.rpc.frames import FrameReader

COMMAND = (sys.executable, "-P", "-m", "dg_lsp", "serve")
GOODBYE_S = 10.0
ANSWER_S = 120.0
"""The longest that a measurement waits for an answer."""


class EditorError(RuntimeError):
    """The server disconnected or gave a wrong answer; the message says which."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How the server is started."""

    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a request, and when its first byte arrived."""

    message: dict[str, Any]
    at: float

    @property
    def result(self) -> Any:
        if "result" not in self.message:
            raise EditorError(f"the server answered with {self.message.get('error')}")
        return self.message["result"]


Pending = asyncio.Future[Answer]


class Editor:
    """One client of one server process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._answers: dict[int, Pending] = {}
        self._num_requests = 0
        self._versions: dict[str, int] = {}
        self._has_ended = False
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls,
        serving: Serving,
        capabilities: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> Editor:
        """A server that has answered `initialize`."""
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *serving.arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=serving.environment,
        )
        editor = cls(process)
        params = {
            "processId": None,
            "rootUri": "file:///bench",
            "clientInfo": {"name": "dg-lsp bench"},
            "capabilities": capabilities,
            "initializationOptions": options,
        }
        try:
            (await editor.ask("initialize", params)).result  # noqa: B018
        except BaseException:
            await editor.close()
            raise
        editor.notify("initialized", {})
        return editor

    def open(self, uri: str, text: str) -> None:
        self._versions[uri] = 1
        item = {"uri": uri, "languageId": "python", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def close_document(self, uri: str) -> None:
        self.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    def insert(self, uri: str, line: int, character: int, text: str) -> None:
        """Type at a position."""
        self._versions[uri] += 1
        at = {"line": line, "character": character}
        change = {"range": {"start": at, "end": at}, "text": text}
        identifier = {"uri": uri, "version": self._versions[uri]}
        params = {"textDocument": identifier, "contentChanges": [change]}
        self.notify("textDocument/didChange", params)

    def complete(self, uri: str, line: int, character: int) -> tuple[int, Pending]:
        """Ask for ghost text as editors do while the user types."""
        params = {
            "textDocument": {"uri": uri},
            "position": {"line": line, "character": character},
            "context": {"triggerKind": 2},
        }
        return self.send("textDocument/inlineCompletion", params)

    def cancel(self, request: int) -> None:
        self.notify("$/cancelRequest", {"id": request})

    async def trace(self) -> dict[str, Any]:
        """The server's trace of its last request."""
        params = {"command": "dg-lsp.trace"}
        found = (await self.ask("workspace/executeCommand", params)).result
        if not isinstance(found, dict):
            raise EditorError("the server keeps no traces")
        return found

    def notify(self, method: str, params: Any) -> None:
        self._post({"method": method, "params": params})

    def send(self, method: str, params: Any) -> tuple[int, Pending]:
        """Send a request; returns its number and its pending answer."""
        self._num_requests += 1
        answer: Pending = asyncio.get_running_loop().create_future()
        self._answers[self._num_requests] = answer
        if self._has_ended:
            self._end_all()
        self._post({"id": self._num_requests, "method": method, "params": params})
        return self._num_requests, answer

    async def ask(self, method: str, params: Any) -> Answer:
        return await wait_for(self.send(method, params)[1])

    async def close(self) -> None:
        """Shut the server down, and make sure that the process ends."""
        with contextlib.suppress(EditorError, TimeoutError, ConnectionError):
            async with asyncio.timeout(GOODBYE_S):
                await self.ask("shutdown", None)
                self.notify("exit", None)
                await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._reading.cancel()

    def _post(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        frames = FrameReader()
        while piece := await self._process.stdout.read(1 << 16):
            at = time.perf_counter()
            for body in frames.feed(piece):
                self._take(json.loads(body), at)
        self._has_ended = True
        self._end_all()

    def _end_all(self) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(EditorError("the server disconnected"))

    def _take(self, message: dict[str, Any], at: float) -> None:
        if "method" not in message:
            answer = self._answers.pop(message["id"], None)
            if answer is not None and not answer.done():
                answer.set_result(Answer(message, at))
        elif "id" in message:
            # This editor has no settings and accepts every registration.
            self._post({"id": message["id"], "result": None})


async def wait_for(answer: Pending) -> Answer:
    """The answer; raises `EditorError` if it takes too long."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await answer
    except TimeoutError as error:
        raise EditorError(f"no answer came within {ANSWER_S:.0f} s") from error
