"""A minimal editor with a stopwatch, as the client of a real `dg-lsp serve`."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dg_lsp.benchmark.client import Answer, Client, ClientError

COMMAND = (sys.executable, "-P", "-m", "dg_lsp", "serve")
GOODBYE_S = 10.0
ANSWER_S = 120.0
"""The longest that a measurement waits for an answer."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How the server is started."""

    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    """By default `COMMAND`."""


Pending = asyncio.Future[Answer]


class Editor(Client):
    """One client of one server process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__()
        self._process = process
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
            *(serving.command or COMMAND),
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

    def close_document(self, uri: str) -> None:
        self.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    def answer(self, request: int) -> Pending:
        """The pending answer to a request."""
        return asyncio.wrap_future(self.answers[request])

    async def trace(self) -> dict[str, Any]:
        """The server's trace of its last request."""
        params = {"command": "dg-lsp.trace"}
        found = (await self.ask("workspace/executeCommand", params)).result
        if not isinstance(found, dict):
            raise ClientError("the server keeps no traces")
        return found

    async def ask(self, method: str, params: Any) -> Answer:
        return await wait_for(self.answer(self.send(method, params)))

    async def close(self) -> None:
        """Shut the server down, and make sure that the process ends."""
        with contextlib.suppress(ClientError, TimeoutError, ConnectionError):
            async with asyncio.timeout(GOODBYE_S):
                await self.ask("shutdown", None)
                self.notify("exit", None)
                await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._reading.cancel()

    def deliver(self, body: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while piece := await self._process.stdout.read(1 << 16):
            self.feed(piece)
        self.end_of_messages()


async def wait_for(answer: Pending) -> Answer:
    """The answer; `ClientError` where it takes far too long."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await answer
    except TimeoutError as error:
        raise ClientError(f"no answer came within {ANSWER_S:.0f} s") from error
