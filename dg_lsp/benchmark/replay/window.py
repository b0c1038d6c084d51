"""What an editor asks and shows while its user types: VS Code with our extension, or Neovim.

The differences between the two are what was read in their sources and seen in their tests:

- VS Code asks 50 ms after a key, keeps ghost text while it is typed and when typing is taken
  back, and replaces it by the next answer. Of ghost text that goes on behind a pair that closes
  itself, it shows what belongs between the two. Our extension withdraws a request 150 ms after
  VS Code gave it up, unless another one follows. Moving the cursor hides ghost text and asks
  nothing.
- Neovim asks 200 ms after the last key or movement and never withdraws a request. Our plugin
  shortens ghost text while it is typed, and hides it at anything else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from dg_lsp.benchmark.client import Client, Message
from dg_lsp.benchmark.replay.buffer import Buffer, Edit
from dg_lsp.benchmark.replay.typist import Key, Kind


@dataclass(frozen=True, slots=True)
class Manners:
    """How an editor behaves."""

    name: str
    asks_after_ms: float
    withdraws_after_ms: float | None
    """How long an abandoned request lingers; `None` if it is never withdrawn."""
    closes_brackets: bool
    asks_after_moving: bool
    restores_typed: bool
    """Whether ghost text that was typed through comes back when the typing is taken back."""
    drops_late_answers: bool
    """Whether an answer is dropped if a key was pressed since, even one that agrees with it."""


VSCODE = Manners("vscode", 50, 150, True, False, True, True)
NEOVIM = Manners("neovim", 200, None, False, True, False, False)
EDITORS = {one.name: one for one in (VSCODE, NEOVIM)}


@dataclass(slots=True)
class Asked:
    """A request that has no answer yet."""

    request: int
    token: str
    cursor: int
    text: str
    is_abandoned: bool = False


@dataclass(slots=True)
class Seen:
    """What the user saw."""

    keystrokes: int = 0
    requests: int = 0
    withdrawn: int = 0
    flicker: int = 0
    accepted_chars: int = 0
    accepts: int = 0
    partial_accepts: int = 0
    typed_chars: int = 0
    first_steps: list[float] = field(default_factory=list)
    """Steps of the job until its first text appeared."""
    first_ms: list[float] = field(default_factory=list)
    """From the last key to the first text, on the benchmark's clock."""
    settled_ms: list[float] = field(default_factory=list)
    """From the last key to the answer, if it has a text."""


class Window:
    """One editor window with one document."""

    def __init__(
        self,
        client: Client,
        uri: str,
        buffer: Buffer,
        manners: Manners,
        seen: Seen,
        language: str = "python",
    ) -> None:
        self._client, self._uri, self._buffer = client, uri, buffer
        self._manners, self._seen = manners, seen
        self._home = buffer.cursor
        self._asked: Asked | None = None
        self._ghost = ""
        self._typed = ""
        """What was typed of the ghost text since it appeared."""
        self._draft = ""
        self._since_ms = 0.0
        """When the visible text last changed other than by being typed."""
        self._key_ms = 0.0
        self._asks_at_ms = math.inf
        self._withdraws_at_ms = math.inf
        self._is_in_session = False
        """VS Code: whether changes other than typing ask."""
        client.open(buffer.text, uri, language)

    @property
    def visible(self) -> str:
        return self._ghost or self._draft

    @property
    def next_ms(self) -> float:
        """When the editor does something by itself."""
        return min(self._asks_at_ms, self._withdraws_at_ms)

    def shown(self, now_ms: float, for_ms: float) -> str:
        """The visible text, if it has been there for so long."""
        return self.visible if now_ms - self._since_ms >= for_ms else ""

    def tick(self, now_ms: float) -> None:
        """Do what is due."""
        if self._withdraws_at_ms <= now_ms:
            self._withdraws_at_ms = math.inf
            if self._asked is not None:
                self._client.cancel(self._asked.request)
                self._seen.withdrawn += 1
        if self._asks_at_ms <= now_ms:
            self._asks_at_ms = math.inf
            self._ask()

    def press(self, key: Key, now_ms: float) -> None:
        """What a key does to the text and to what is shown."""
        self._seen.keystrokes += 1
        self._key_ms = now_ms
        buffer, kind = self._buffer, key.kind
        edit: Edit | None = None
        if kind is Kind.MOVE:
            self._move(key.lines_up)
        elif kind is Kind.TYPE:
            edit = buffer.type(key.text)
            self._seen.typed_chars += len(key.text)
        elif kind is Kind.EDIT:
            kind = self._kind_of(key)
            edit = buffer.replace(key.at, key.removed, key.text)
            if kind is Kind.ACCEPT:
                self._accepted(key.text)
            else:
                self._seen.typed_chars += len(key.text)
        elif kind is Kind.BACKSPACE:
            edit = buffer.backspace()
        elif kind is Kind.ACCEPT:
            edit = buffer.insert(key.text)
            self._accepted(key.text)
        else:
            edit = buffer.undo() if kind is Kind.UNDO else buffer.redo()
        if edit is not None:
            self._send(edit)
        self._follow(kind, edit)
        self._schedule(kind, now_ms)

    def take(self, message: Message, now_ms: float) -> None:
        """A message of the server."""
        before = self.visible
        asked = self._asked
        if message.get("method") == "dgLsp/draft":
            if asked is not None and message["params"]["token"] == asked.token:
                self._take_draft(asked, message["params"])
        elif asked is not None and message.get("id") == asked.request:
            self._asked, self._withdraws_at_ms = None, math.inf
            self._take_answer(asked, message.get("result"), now_ms)
        after = self.visible
        if after and not before:
            self._seen.first_ms.append(now_ms - self._key_ms)
            self._since_ms = now_ms
            if message.get("method") == "dgLsp/draft":
                self._seen.first_steps.append(message["params"]["step"])
        elif not after.startswith(before):
            self._seen.flicker += 1
            self._since_ms = now_ms

    def close(self) -> None:
        self._client.notify("textDocument/didClose", {"textDocument": {"uri": self._uri}})

    def _accepted(self, text: str) -> None:
        self._seen.accepts += 1
        self._seen.partial_accepts += text != self.visible
        self._seen.accepted_chars += len(text)

    def _kind_of(self, key: Key) -> Kind:
        """What an edit of a recording was, here: what is shown may be another text."""
        if key.removed:
            return Kind.BACKSPACE if not key.text else Kind.UNDO
        is_here = key.at == self._buffer.cursor
        if is_here and len(key.text.strip()) > 1 and self.visible.startswith(key.text):
            return Kind.ACCEPT
        return Kind.TYPE

    def _send(self, edit: Edit) -> None:
        # The buffer has the new text, so that the old end is found from the removed text.
        line, character = self._buffer.position(edit.at)
        start = {"line": line, "character": character}
        *others, last = edit.removed.split("\n")
        behind = len(last) if others else character + len(last)
        end = {"line": line + len(others), "character": behind}
        self._client.change(
            self._uri, {"range": {"start": start, "end": end}, "text": edit.inserted}
        )

    def _move(self, lines_up: int) -> None:
        buffer = self._buffer
        if not lines_up:
            buffer.cursor = self._home
            return
        self._home = buffer.cursor
        at = buffer.cursor
        for _ in range(lines_up):
            at = max(0, buffer.text.rfind("\n", 0, at))
        buffer.cursor = at

    def _follow(self, kind: Kind, edit: Edit | None) -> None:
        """Keep what is shown, if it goes on at the cursor."""
        ghost, typed, draft = self._ghost, self._typed, self._draft
        self._ghost = self._typed = self._draft = ""
        if edit is None:
            return
        added = edit.inserted[: edit.cursors[1] - edit.at] if not edit.removed else ""
        is_added = kind in (Kind.TYPE, Kind.ACCEPT) and bool(added)
        if is_added and ghost.startswith(added):
            closer = edit.inserted[len(added) :]
            rest = ghost[len(added) :]
            if rest.endswith(closer):
                self._ghost, self._typed = rest.removesuffix(closer), typed + added
        elif is_added and draft.startswith(added) and self._manners.drops_late_answers:
            self._draft = draft[len(added) :]
        elif (
            self._manners.restores_typed
            and edit.removed
            and not edit.inserted
            and edit.cursors[1] == edit.at
            and typed.endswith(edit.removed)
        ):
            self._ghost = edit.removed + ghost
            self._typed = typed[: len(typed) - len(edit.removed)]
        if not self._ghost:
            self._typed = ""

    def _schedule(self, kind: Kind, now_ms: float) -> None:
        manners = self._manners
        if self._asked is not None and manners.withdraws_after_ms is not None:
            self._asked.is_abandoned = True
            self._withdraws_at_ms = now_ms + manners.withdraws_after_ms
        if manners.asks_after_moving:
            self._asks_at_ms = now_ms + manners.asks_after_ms
            return
        self._asks_at_ms = math.inf
        if kind is Kind.MOVE:
            self._is_in_session = False
            return
        if kind in (Kind.TYPE, Kind.BACKSPACE, Kind.ACCEPT):
            self._is_in_session = True
        if self._is_in_session:
            whole = kind is Kind.ACCEPT and not self._ghost
            self._asks_at_ms = now_ms + (0 if whole else manners.asks_after_ms)

    def _ask(self) -> None:
        buffer = self._buffer
        self._seen.requests += 1
        self._withdraws_at_ms = math.inf
        token = f"ghost-{self._seen.requests}"
        line, character = buffer.position(buffer.cursor)
        request = self._client.complete(self._uri, line, character, draftToken=token)
        self._asked = Asked(request, token, buffer.cursor, buffer.text)

    def _typed_since(self, asked: Asked) -> str | None:
        """What was typed since the request, if nothing else has changed."""
        buffer = self._buffer
        added = buffer.cursor - asked.cursor
        if added < 0 or len(buffer.text) != len(asked.text) + added:
            return None
        now = buffer.text
        if now[: asked.cursor] != asked.text[: asked.cursor]:
            return None
        same = now[buffer.cursor :] == asked.text[asked.cursor :]
        return now[asked.cursor : buffer.cursor] if same else None

    def _take_draft(self, asked: Asked, params: dict[str, Any]) -> None:
        if self._ghost or asked.is_abandoned or self._typed_since(asked) != "":
            return
        masked = params.get("masked")
        self._draft = params["text"][: masked[0][0]] if masked else params["text"]

    def _take_answer(self, asked: Asked, result: Any, now_ms: float) -> None:
        typed = self._typed_since(asked)
        if asked.is_abandoned and self._manners.drops_late_answers:
            return
        items = result["items"] if result else []
        texts = [item["insertText"] for item in items]
        left = [
            text[len(typed) :]
            for text in texts
            if typed is not None and text.startswith(typed) and len(text) > len(typed)
        ]
        self._draft = ""
        self._ghost = left[0] if left else ""
        self._typed = ""
        if left:
            self._seen.settled_ms.append(now_ms - self._key_ms)
