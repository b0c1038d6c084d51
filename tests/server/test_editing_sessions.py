"""Whole editing sessions, made up: every request is answered, and no document is ever wrong.

The machine is an editor with several documents. It knows what each document must contain, and
compares that with what the server has; what fails is shrunk to the shortest such session.
`make fuzz` makes up more of them.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from dg_lsp.job import InfillJob
from dg_lsp.server.link.scripted import Pace, ScriptedLink
from dg_lsp.server.settings import Settings
from tests.fuzzing import effort
from tests.server.conftest import Editor, script

pytestmark = pytest.mark.timeout(1800)

LANGUAGES = ("python", "javascript", "rust", "makefile", "yaml", "no-such-language")
SECRET = "hunter2Xhunter2Y"
PIECES = (
    "x = ",
    "return ",
    "for i in ",
    "none = ",
    "broken = ",
    "a",
    " ",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "    ",
    "(",
    ")",
    '"',
    "{\n}",
    "é",
    "\N{GRINNING FACE}",
    "\u2028",
    "\N{HEBREW LETTER ALEF}",
    "def f(a, b):\n    return a\n",
    f"password = '{SECRET}'\n",
)
SETTINGS: list[dict[str, Any]] = [
    {},
    {},
    {"maxTokens": 8},
    {"enabled": False},
    {"nonsense": 1},
]
METHODS = ("textDocument/inlineCompletion", "textDocument/codeAction", "no/such", "shutdown/x")
ENCODINGS = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
UNIT_BYTES = {"utf-8": 1, "utf-16": 2, "utf-32": 4}

texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
shares = st.floats(0, 1)


def written(job: InfillJob) -> list[str]:
    """What a test's script writes, and often something with several lines."""
    return [*script(job), "several\n    lines", f"'{SECRET}'"][: 1 + len(job.prefix) % 4]


class DrivenEditor(Editor):
    """An editor that is used from outside its event loop; the loop runs for each message."""

    def __init__(self, link: ScriptedLink, settings: Settings, runner: asyncio.Runner) -> None:
        super().__init__(link, settings)
        self._runner = runner

    def deliver(self, body: bytes) -> None:
        if asyncio.events._get_running_loop() is None:
            self._runner.run(self._deliver(body))
        else:
            super().deliver(body)

    async def _deliver(self, body: bytes) -> None:
        super().deliver(body)


@dataclass(slots=True)
class Asked:
    """A request for ghost text, and the document as it was."""

    request: int
    uri: str
    text: str
    offset: int


class EditingSession(RuleBasedStateMachine):
    """An editor whose user does anything that editors allow."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.texts: dict[str, str] = {}
        """What the open documents must contain."""
        self.last_edit: dict[str, tuple[int, str, str]] = {}
        self.asked: list[Asked] = []
        self.shown: Asked | None = None
        self.item: Any = None
        self.num_opened = 0
        self.errors: list[int] = []
        """Requests that are refused for a reason."""

    @initialize(encoding=st.sampled_from(sorted(ENCODINGS)), drafts=st.booleans())
    def begin(self, encoding: str, drafts: bool) -> None:
        self.encoding = encoding

        async def start() -> None:
            link = ScriptedLink(written, Pace(2))
            self.editor = DrivenEditor(link, Settings(debounce_ms=0), self.runner)
            await self.editor.begin(
                {
                    "general": {"positionEncodings": [encoding]},
                    "experimental": {"dgLsp": {"drafts": drafts}},
                }
            )

        self.runner.run(start())
        self.open("def f(a, b):\n    return a + b\n", "python")

    # What a user does.

    @rule(text=texts, language=st.sampled_from(LANGUAGES))
    def open(self, text: str, language: str) -> None:
        self.num_opened += 1
        uri = f"file:///work/{self.num_opened}.txt"
        self.texts[uri] = text
        self.editor.open(text, uri, language)

    @precondition(lambda self: self.texts)
    @rule(which=shares)
    def close(self, which: float) -> None:
        uri = self._one(which)
        del self.texts[uri]
        self.last_edit.pop(uri, None)
        self.editor.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    @precondition(lambda self: self.texts)
    @rule(which=shares)
    def rename(self, which: float) -> None:
        text = self.texts[self._one(which)]
        self.close(which)
        self.open(text, "python")

    @precondition(lambda self: self.texts)
    @rule(which=shares, start=shares, length=st.integers(0, 20), inserted=texts)
    def edit(self, which: float, start: float, length: int, inserted: str) -> None:
        uri = self._one(which)
        text = self.texts[uri]
        at = self._offset(text, start)
        end = min(len(text), at + length)
        if end < len(text) and text[end - 1 : end + 1] == "\r\n":
            end += 1
        self.last_edit[uri] = (at, text[at:end], inserted)
        self._replace(uri, at, end, inserted)

    @precondition(lambda self: self.last_edit)
    @rule(which=shares)
    def undo(self, which: float) -> None:
        uris = sorted(self.last_edit)
        uri = uris[min(len(uris) - 1, int(which * len(uris)))]
        at, removed, inserted = self.last_edit.pop(uri)
        text = self.texts[uri]
        end = at + len(inserted)
        if any(text[i - 1 : i + 1] == "\r\n" for i in (at, end)):
            return  # No position is between the two.
        self._replace(uri, at, end, removed)

    @precondition(lambda self: self.texts)
    @rule(which=shares, text=texts)
    def replace_everything(self, which: float, text: str) -> None:
        uri = self._one(which)
        self.texts[uri] = text
        self.last_edit.pop(uri, None)
        self.editor.change(uri, {"text": text})

    @precondition(lambda self: self.texts)
    @rule(which=shares, where=shares, is_invoked=st.booleans())
    def ask(self, which: float, where: float, is_invoked: bool) -> None:
        uri = self._one(which)
        offset = self._offset(self.texts[uri], where)
        line, character = self._position(self.texts[uri], offset)
        request = self.editor.complete(uri, line, character, 1 if is_invoked else 2)
        self.asked.append(Asked(request, uri, self.texts[uri], offset))

    @precondition(lambda self: self.texts)
    @rule(which=shares, where=shares, typed=st.sampled_from(PIECES), is_patient=st.booleans())
    def type(self, which: float, where: float, typed: str, is_patient: bool) -> None:
        """Type something, be asked for at once, and perhaps wait for what comes."""
        uri = self._one(which)
        at = self._offset(self.texts[uri], where)
        self._replace(uri, at, at, typed)
        self.ask(which, (at + len(typed)) / len(self.texts[uri]), False)
        if is_patient:
            self.wait_for_all_answers()

    @precondition(lambda self: self.asked)
    @rule(which=shares)
    def cancel(self, which: float) -> None:
        asked = self.asked[min(len(self.asked) - 1, int(which * len(self.asked)))]
        self.errors.append(asked.request)
        self.editor.cancel(asked.request)

    @rule()
    def wait_a_moment(self) -> None:
        self.runner.run(asyncio.sleep(0))

    @rule()
    def wait_for_all_answers(self) -> None:
        for asked in self.asked:
            answer = self.runner.run(self.editor.answer(asked.request))
            if "error" in answer:
                assert asked.request in self.errors, answer
                continue
            for item in answer["result"]["items"]:
                self._check(asked, item)
                self.shown, self.item = asked, item
        self.asked.clear()

    @precondition(lambda self: self.shown and self.texts.get(self.shown.uri) == self.shown.text)
    @rule(part=st.sampled_from(["all", "line", "word"]))
    def accept(self, part: str) -> None:
        assert self.shown is not None
        shown, item, self.shown = self.shown, self.item, None
        self.editor.notify("textDocument/didShowCompletion", {"item": item})
        text = item["insertText"]
        taken = {
            "all": text,
            "line": text.split("\n")[0],
            "word": re.match(r"\s*\w*", text).group(),  # type: ignore[union-attr]
        }[part]
        if part == "all" and item.get("command"):
            command = item["command"]
            params = {"command": command["command"], "arguments": command.get("arguments")}
            self.runner.run(self.editor.ask("workspace/executeCommand", params))
        elif part != "all":
            length = len(taken.encode(ENCODINGS[self.encoding])) // UNIT_BYTES[self.encoding]
            self.editor.notify(
                "textDocument/didPartiallyAcceptCompletion",
                {"item": item, "acceptedLength": length},
            )
        start, end = self._offsets_of(shown.text, item["range"])
        self._replace(shown.uri, start, end if part == "all" else start, taken)

    @precondition(lambda self: self.texts)
    @rule(which=shares, start=shares, end=shares)
    def rewrite(self, which: float, start: float, end: float) -> None:
        uri = self._one(which)
        text = self.texts[uri]
        ends = sorted(self._offset(text, one) for one in (start, end))
        range_ = dict(zip(("start", "end"), map(self._at(text), ends), strict=True))
        params = {"textDocument": {"uri": uri}, "range": range_, "context": {"diagnostics": []}}
        for action in self.runner.run(self.editor.ask("textDocument/codeAction", params)) or []:
            assert action["title"]
        self.editor.send(
            "workspace/executeCommand",
            {"command": "dg-lsp.rewrite", "arguments": [{"uri": uri, "range": range_}]},
        )

    @rule(settings=st.sampled_from(SETTINGS))
    def configure(self, settings: dict[str, Any]) -> None:
        everything = {"dgLsp": {"debounceMs": 0, **settings}}
        self.editor.notify("workspace/didChangeConfiguration", {"settings": everything})

    @rule(
        method=st.sampled_from(METHODS),
        params=st.recursive(
            st.none() | st.integers(-1, 2**40) | st.sampled_from(["", "file:///work/1.txt"]),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(
                    st.sampled_from(["textDocument", "position", "uri", "line", "character"]),
                    inner,
                )
            ),
            max_leaves=6,
        ),
    )
    def send_nonsense(self, method: str, params: Any) -> None:
        answer = self.runner.run(self.editor.answer(self.editor.send(method, params)))
        assert "error" in answer or "result" in answer

    # What must be so.

    @invariant(check_during_init=False)
    def documents_are_what_the_user_sees(self) -> None:
        documents = self.editor.session.documents
        for uri, text in self.texts.items():
            document = documents.get(uri)
            assert document is not None
            assert document.text == text

    def _check(self, asked: Asked, item: Any) -> None:
        """A suggestion inserts something visible on its line, and nothing that is secret."""
        start, end = self._offsets_of(asked.text, item["range"])
        assert start <= asked.offset <= end
        assert not re.search(r"[\r\n]", asked.text[start:end])
        assert item["insertText"].strip()
        assert "*****" not in item["insertText"]
        replaced = iter(item["insertText"])
        # The characters that are replaced are in the new text, in their order.
        assert all(character in replaced for character in asked.text[start:end])

    def teardown(self) -> None:
        try:
            self.wait_for_all_answers()
            for request in self.editor.answers:
                self.runner.run(self.editor.answer(request))
        finally:
            self.editor.session.server.protocol.stop()
            self.runner.run(self.editor.session.close())
            self.runner.run(self.editor.engine.close())
            self.runner.close()

    def _one(self, which: float) -> str:
        uris = sorted(self.texts)
        return uris[min(len(uris) - 1, int(which * len(uris)))]

    def _replace(self, uri: str, start: int, end: int, inserted: str) -> None:
        text = self.texts[uri]
        at = self._at(text)
        change = {"range": {"start": at(start), "end": at(end)}, "text": inserted}
        self.editor.change(uri, change)
        self.texts[uri] = text[:start] + inserted + text[end:]

    def _offset(self, text: str, share: float) -> int:
        """An offset that a position can name: never between CR and LF."""
        at = round(share * len(text))
        return at + 1 if 0 < at < len(text) and text[at - 1 : at + 1] == "\r\n" else at

    def _at(self, text: str) -> Any:
        def position(offset: int) -> dict[str, int]:
            line, character = self._position(text, offset)
            return {"line": line, "character": character}

        return position

    def _position(self, text: str, offset: int) -> tuple[int, int]:
        before = re.split(r"\r\n|\r|\n", text[:offset])
        encoded = before[-1].encode(ENCODINGS[self.encoding])
        return len(before) - 1, len(encoded) // UNIT_BYTES[self.encoding]

    def _offsets_of(self, text: str, range_: Any) -> tuple[int, int]:
        return self._offset_of(text, range_["start"]), self._offset_of(text, range_["end"])

    def _offset_of(self, text: str, position: Any) -> int:
        at = position["line"], position["character"]
        return next(
            offset
            for offset in range(len(text) + 1)
            if text[offset - 1 : offset + 1] != "\r\n" and self._position(text, offset) == at
        )


TestEditingSession = EditingSession.TestCase
TestEditingSession.settings = effort(examples=30)
