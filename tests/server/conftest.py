"""An editor in this process: speaks JSON-RPC with a real session, no pipe between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dg_lsp.benchmark.client import Client, Message
from dg_lsp.document.code_files import CodeFile
from dg_lsp.job import InfillJob
from dg_lsp.server.app import create_server
from dg_lsp.server.link.scripted import Pace, ScriptedInfiller, ScriptedLink
from dg_lsp.server.session import Session
from dg_lsp.server.settings import Settings, Speculate
from dg_lsp.server.workspace import workspace_code

URI = "file:///work/a.py"
PATIENCE_S = 10.0


class Editor(Client):
    """Talks to a session in this process."""

    def __init__(self, link: ScriptedLink, settings: Settings) -> None:
        super().__init__()
        self.link = link
        self.session: Session = create_server(link, settings)
        self.session.server.protocol.set_writer(self)

    @property
    def engine(self) -> ScriptedInfiller:
        return self.link.engine

    def write(self, data: bytes) -> None:
        self.feed(data)

    def close(self) -> None:
        """Nothing to close: there is no pipe."""

    def deliver(self, body: bytes) -> None:
        self.session.server.protocol.receive(body)

    def respond(self, message: Message) -> None:
        # The server is still writing its request.
        asyncio.get_running_loop().call_soon(super().respond, message)

    async def answer(self, request: int) -> Message:
        async with asyncio.timeout(PATIENCE_S):
            return (await asyncio.wrap_future(self.answers[request])).message

    async def goes_unanswered(self, request: int, for_s: float) -> bool:
        answer = asyncio.wrap_future(self.answers[request])
        answered, _ = await asyncio.wait({answer}, timeout=for_s)
        return not answered

    async def ask(self, method: str, params: Any = None) -> Any:
        """Send a request and return its result."""
        answer = await self.answer(self.send(method, params))
        assert "error" not in answer, answer
        return answer["result"]

    async def refused(self, method: str, params: Any = None) -> dict[str, Any]:
        """Send a request and return its error."""
        return (await self.answer(self.send(method, params)))["error"]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Let things go on until something is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():
                await asyncio.sleep(0)

    async def begin(
        self, capabilities: Any = None, options: Any = None, client: str | None = None
    ) -> Any:
        result = await self.ask(
            "initialize",
            {
                "processId": None,
                "clientInfo": client and {"name": client},
                "rootUri": "file:///work",
                "capabilities": capabilities or {},
                "initializationOptions": options,
            },
        )
        self.notify("initialized", {})
        return result

    def open(self, text: str, uri: str = URI, language: str = "python") -> None:
        super().open(text, uri, language)

    def replace(self, text: str, uri: str = URI) -> None:
        """The whole text anew, as the next version."""
        self.change(uri, {"text": text})

    def send_inline(self, line: int, character: int, kind: int = 2, **extra: Any) -> int:
        context = {"triggerKind": kind, **extra.pop("context", {})}
        document = {"uri": URI, **extra.pop("textDocument", {})}
        return self.complete(
            URI, line, character, context=context, textDocument=document, **extra
        )

    async def inline(self, line: int, character: int, kind: int = 2, **extra: Any) -> Any:
        """The items of an inline completion; kind 1 is Invoked, 2 is Automatic."""
        answer = await self.answer(self.send_inline(line, character, kind, **extra))
        assert "error" not in answer, answer
        return answer["result"]["items"]

    async def texts(self, line: int, character: int, kind: int = 2, **extra: Any) -> list[str]:
        items = await self.inline(line, character, kind, **extra)
        return [item["insertText"] for item in items]

    async def trace(self) -> Any:
        """What became of the last request."""
        return await self.ask("workspace/executeCommand", {"command": "dg-lsp.trace"})


def script(job: InfillJob) -> list[str]:
    """Instructions come back in a call; else the end of the prefix says what is written."""
    if job.instruction is not None:
        return [f"say('{job.instruction}')"]
    if job.replaced is not None:
        return [job.replaced.upper()]
    answers = {
        "return ": ["a + b", "a - b", "a * b"],
        "x = ": ["1"],
        "for i in ": ["range(n):\n    print(i)\n"],
        "none = ": [],
        "first = ": ["(1,", "2"],
        "broken = ": ["(1,", ")"],
    }
    for before, texts in answers.items():
        if job.prefix.endswith(before):
            return texts
    return ["infilled"]


@pytest.fixture(autouse=True)
def nobodys_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that most tests have for a workspace exists on some machines."""
    real = workspace_code.code_files

    def files(folder: Path, *rest: Any) -> Iterator[CodeFile | None]:
        return iter(()) if folder == Path("/work") else real(folder, *rest)

    monkeypatch.setattr(workspace_code, "code_files", files)


@pytest.fixture
async def make_editor() -> AsyncIterator[Callable[..., Editor]]:
    editors: list[Editor] = []

    def make(pace: Pace | None = None, settings: Settings | None = None) -> Editor:
        # What is prepared ahead are more jobs; its tests switch that on.
        quiet = replace(settings or Settings(debounce_ms=0), speculate=Speculate.OFF)
        editor = Editor(ScriptedLink(script, pace), quiet)
        editors.append(editor)
        return editor

    yield make
    for editor in editors:
        editor.session.server.protocol.stop()
        await editor.session.close()
        if editor.link._made is not None:
            await editor.engine.close()


@pytest.fixture
async def editor(make_editor: Callable[..., Editor]) -> Editor:
    """An editor that has announced nothing, after initialize."""
    editor = make_editor()
    await editor.begin()
    return editor
