"""A long time of fast typing, and what it leaves behind in the server and the engine.

Several editor windows share one engine. Each keystroke asks for ghost text and withdraws the
request before it, as VS Code does; now and then the typist waits for the answer, takes it,
undoes what was typed, moves on, or closes a document and opens it again. What the processes
hold is noted in regular intervals: memory, descriptors and threads must not grow.
"""

from __future__ import annotations

import asyncio
import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dg_lsp.benchmark.editor import Editor, Pending, Serving, wait_for
from dg_lsp.benchmark.overhead import document_of

if TYPE_CHECKING:
    import psutil

MIN_SAMPLES = 40
SAMPLE_EVERY = 500
"""Keystrokes, where there are enough of them for `MIN_SAMPLES`."""
NUM_DOCUMENTS = 4
DOCUMENT_BYTES = 20_000
KEYS_AT_ONE_PLACE = 60
LOOKS_EVERY = 50
"""Every so many keys the typist stops to look at what is suggested."""
OPTIONS = {"debounceMs": 0, "draftIntervalMs": 0, "workspaceFiles": False}
MEMORY_MAY_GROW = 0.1
"""Share by which memory may be larger in the last quarter than in the second."""
COUNTS_MAY_GROW = 3
"""The same for descriptors and threads: pools fill up, and connections come and go."""
WAITS_MAY_GROW = 1.0
"""The same for the waits for answers, as a share; whatever else runs makes them longer too."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, and by how many."""

    keystrokes: int
    windows: int
    minutes: float = math.inf
    """When to stop if there are still keystrokes left."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """What the processes held after some number of keystrokes."""

    keystrokes: int
    memory_mb: dict[str, float]
    """Resident memory of `servers` and `engine`; the same keys everywhere."""
    descriptors: dict[str, int]
    threads: dict[str, int]
    wait_ms: float
    """Median wait for the answers that the typist waited for since the sample before."""


@dataclass(slots=True)
class Soaked:
    """What was measured."""

    samples: list[Sample] = field(default_factory=list)
    requests: int = 0
    waits: int = 0
    accepted: int = 0
    unanswered: int = 0

    def grown(self) -> list[str]:
        """What was larger in the last quarter than in the second; empty if all is well."""
        quarter = max(1, len(self.samples) // 4)
        early, late = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        found = []
        for who in self.samples[0].memory_mb:
            before, after = (
                statistics.median(one.memory_mb[who] for one in part) for part in (early, late)
            )
            if after > before * (1 + MEMORY_MAY_GROW):
                found.append(f"memory of {who}: {before:.0f} to {after:.0f} MB")
            for name in ("descriptors", "threads"):
                was, became = (
                    statistics.median(getattr(one, name)[who] for one in part)
                    for part in (early, late)
                )
                if became > was + COUNTS_MAY_GROW:
                    found.append(f"{name} of {who}: {was:.0f} to {became:.0f}")
        was_ms, became_ms = (
            statistics.median(one.wait_ms for one in part) for part in (early, late)
        )
        if became_ms > was_ms * (1 + WAITS_MAY_GROW):
            found.append(f"waits: {was_ms:.0f} to {became_ms:.0f} ms")
        if self.unanswered:
            found.append(f"unanswered requests: {self.unanswered}")
        return found


async def soak(
    plan: Plan,
    serving: Serving,
    processes: Callable[[], Sequence[psutil.Process]],
    report: Callable[[str], None],
) -> Soaked:
    """Type, and note what the processes hold. `processes` finds servers and engine."""
    soaked = Soaked()
    windows: list[_Window] = []
    rng = random.Random(plan.seed)
    report("starting")
    try:
        for number in range(plan.windows):
            editor = await Editor.start(serving, {}, OPTIONS)
            windows.append(_Window(editor, number, random.Random(f"{plan.seed} {number}")))
        # The engine is there, with its model, once something was answered.
        for window in windows:
            await window.look()
            window.waits_ms.clear()
        step = max(1, min(SAMPLE_EVERY, plan.keystrokes // MIN_SAMPLES))
        end = asyncio.get_running_loop().time() + 60 * plan.minutes
        for done in range(plan.keystrokes):
            if done >= MIN_SAMPLES * step and asyncio.get_running_loop().time() > end:
                break
            if done % KEYS_AT_ONE_PLACE == 0:
                window = rng.choice(windows)
                window.move()
            await window.key()
            if (done + 1) % step == 0:
                soaked.samples.append(_sample(done + 1, processes(), windows))
                report(f"{done + 1} of {plan.keystrokes} keystrokes")
        for window in windows:
            await window.finish()
            soaked.requests += window.requests
            soaked.accepted += window.accepted
            soaked.waits += window.waits
            soaked.unanswered += window.unanswered
    finally:
        for window in windows:
            await window.editor.close()
    return soaked


class _Window:
    """One editor with its documents."""

    def __init__(self, editor: Editor, number: int, rng: random.Random) -> None:
        self.editor, self._rng = editor, rng
        self._text = document_of(DOCUMENT_BYTES)
        self._lines = self._text.split("\n")
        self._uris = [f"file:///soak/{number}/{one}.py" for one in range(NUM_DOCUMENTS)]
        self._uri, self._line, self._column = self._uris[0], 0, 0
        self._typed = ""
        """What the typist is writing: a line of real code, taken from somewhere."""
        self._written = 0
        self._asked: tuple[int, Pending] | None = None
        self.waits_ms: list[float] = []
        self.requests = self.waits = self.accepted = self.unanswered = 0
        for uri in self._uris:
            self.editor.open(self._text, uri)
        self.move()

    def move(self) -> None:
        """Go on in a document that is opened anew, at the end of some line."""
        self._uri = self._rng.choice(self._uris)
        self.editor.close_document(self._uri)
        self.editor.open(self._text, self._uri)
        self._line = self._rng.randrange(len(self._lines))
        self._column = len(self._lines[self._line])
        self._typed, self._written = " " + self._rng.choice(self._lines).strip(), 0

    async def key(self) -> None:
        """One key and its request; sometimes more than that."""
        if self._written >= len(self._typed) or self._rng.random() < 0.05:
            self._take_back(min(self._written, 5))
        else:
            self._insert(self._typed[self._written])
            self._written += 1
        await self._ask()
        if self.requests % LOOKS_EVERY == 0:
            await self.look()

    async def look(self) -> None:
        """Wait for the answer, and take every other one that suggests something."""
        await self._ask()
        sent = asyncio.get_running_loop().time()
        items = await self._answered()
        self.waits_ms.append((asyncio.get_running_loop().time() - sent) * 1e3)
        self.waits += 1
        if items and self._rng.random() < 0.5:
            text = items[0]["insertText"].split("\n")[0]
            self.editor.notify("textDocument/didShowCompletion", {"item": items[0]})
            start = items[0]["range"]["start"]["character"]
            end = items[0]["range"]["end"]["character"]
            self._change(start, end, text)
            self._column = start + len(text)
            self._written = 0
            self.accepted += 1

    async def finish(self) -> None:
        """Wait for what is still open."""
        await self._answered()

    async def _ask(self) -> None:
        if self._asked is not None:
            request, answer = self._asked
            if not answer.done():
                self.editor.cancel(request)
            await self._answered()
        request = self.editor.complete(self._uri, self._line, self._column)
        self.requests += 1
        self._asked = request, self.editor.answer(request)

    async def _answered(self) -> list[Any]:
        """What the last request was answered with; nothing if it was withdrawn."""
        if self._asked is None:
            return []
        (_, answer), self._asked = self._asked, None
        # Whoever types for hours must not keep everything that the server ever said.
        self.editor.messages.clear()
        try:
            message = (await wait_for(answer)).message
        except RuntimeError:
            self.unanswered += 1
            return []
        return message["result"]["items"] if "result" in message else []

    def _take_back(self, characters: int) -> None:
        if characters:
            self._change(self._column - characters, self._column, "")
            self._column -= characters
            self._written -= characters
        else:
            self._typed, self._written = " " + self._rng.choice(self._lines).strip(), 0

    def _insert(self, text: str) -> None:
        self._change(self._column, self._column, text)
        self._column += len(text)

    def _change(self, start: int, end: int, text: str) -> None:
        ends = ({"line": self._line, "character": at} for at in (start, end))
        range_ = dict(zip(("start", "end"), ends, strict=True))
        self.editor.change(self._uri, {"range": range_, "text": text})


def _sample(
    keystrokes: int, processes: Sequence[psutil.Process], windows: Sequence[_Window]
) -> Sample:
    memory_mb, descriptors, threads = ({"servers": 0, "engine": 0} for _ in range(3))
    for process in processes:
        who = "engine" if "engine" in process.cmdline() else "servers"
        memory_mb[who] += process.memory_info().rss
        descriptors[who] += process.num_fds()
        threads[who] += process.num_threads()
    waits = [one for window in windows for one in window.waits_ms]
    for window in windows:
        window.waits_ms.clear()
    return Sample(
        keystrokes,
        {who: size / 1e6 for who, size in memory_mb.items()},
        descriptors,
        threads,
        statistics.median(waits) if waits else 0.0,
    )
