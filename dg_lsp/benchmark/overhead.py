"""Measures what the front end, the socket and the scheduler add to the engine's own time.

It drives a real server process over its pipes. The server's trace of each request says how
long the engine itself took; the rest of the editor's wait is the time added:

    added = editor's wait - engine's own time - pause = pipe + front end + socket + queue

The pause is what the server waits on purpose, to see whether the user types on; what it looks
up at the end of the pause delays nobody, and is part of it.
The editor's clock starts before the keystroke is sent, so applying the edit counts as well.
The documents are sources of the standard library.
"""

from __future__ import annotations

import asyncio
import importlib.util
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dg_lsp.benchmark.client import Answer, ClientError
from dg_lsp.benchmark.editor import Editor, Pending, Serving, wait_for

MODULES = ("argparse", "typing", "tarfile", "inspect", "subprocess", "zipfile", "doctest")
"""Where documents come from."""
OTHER_MODULES = ("textwrap", "shlex", "configparser")
"""Number of other open documents."""
URI, OTHER_URI = "file:///bench/document.py", "file:///bench/other.py"
BURST_KEYS = "return "
BURST_S = 0.08
"""Between two keystrokes: a fast typist."""
NUM_WARM_UPS = 5
LOOKED_UP = ("start", "mask", "window", "related", "seeds")
"""The stages of building a job."""
BUILDING_MS = 30.0
"""How long before the end of a pause the server begins with them."""
ASKED = "a new job"
"""How the trace says that an answer came from the model."""
MAX_TRIES = 20
"""Some requests are answered from memory or refused, and must be tried elsewhere."""
OPTIONS = {
    # Answers come when the job has ended, and the model is asked at once.
    "deadlineMs": 60_000,
    "debounceMs": 0,
    "draftIntervalMs": 0,
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One request, in milliseconds."""

    engine: float
    """Time of the engine itself."""
    pipe: float
    """Between editor and front end, both ways, including applying the edit."""
    front_end: float
    """Checks, masks, window, related files, finishing."""
    socket: float
    """Between front end and engine, both ways."""
    queue: float
    """In the engine's scheduler."""
    pause: float = 0.0
    """For which the server waited on purpose; not part of `added`."""

    @property
    def added(self) -> float:
        return self.pipe + self.front_end + self.socket + self.queue


@dataclass(slots=True)
class Measured:
    """All requests of one kind."""

    name: str
    document_bytes: int
    samples: list[Sample] = field(default_factory=list)


@dataclass(slots=True)
class Stops:
    """How long it took to end a cancelled request, in milliseconds."""

    answered: list[float] = field(default_factory=list)
    """From the cancel message to the response to the request."""
    free: list[float] = field(default_factory=list)
    """From the cancel message until the engine started the next request, which was sent right
    after it; this includes the time added to that request."""
    step: list[float] = field(default_factory=list)
    """One denoising step, for comparison: a job stops after its current step."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    document_bytes: Sequence[int]
    rounds: int
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was measured."""

    model: str
    measured: list[Measured]
    stops: Stops


async def measure(plan: Plan, serving: Serving, report: Callable[[str], None]) -> Outcome:
    """Measure everything in the plan; `report` is told what is happening."""
    measured = []
    report("starting the engine")
    editor = await Editor.start(serving, {}, OPTIONS)
    try:
        for name in OTHER_MODULES:
            editor.open(_source(name), f"file:///bench/{name}.py")
        rng = random.Random(plan.seed)
        for num_bytes in plan.document_bytes:
            text = document_of(num_bytes)
            document = _Document(editor, f"{URI}?{num_bytes}", text, rng)
            editor.open(text, document.uri)
            for _ in range(NUM_WARM_UPS):
                await document.key()
            size = len(text.encode())
            kinds: dict[str, Callable[[], Awaitable[Sample]]] = {
                "keystroke": document.key,
                "typing burst": document.burst,
            }
            for name, ask in kinds.items():
                report(f"{name}, {size / 1e3:.0f} kB")
                samples = [await ask() for _ in range(plan.rounds)]
                measured.append(Measured(name, size, samples))
            editor.close_document(document.uri)
        model = (await editor.trace())["model"]
        report("cancelling")
        job_ms = statistics.median(sample.engine for sample in measured[0].samples)
        stops = await _measure_stops(editor, plan, job_ms / 1e3)
    finally:
        await editor.close()
    return Outcome(model, measured, stops)


def document_of(num_bytes: int) -> str:
    """Real code of about that size, in whole lines."""
    text = ""
    while len(text) < num_bytes:
        before = len(text)
        for name in MODULES:
            text += _source(name)
            if len(text) >= num_bytes:
                break
        if len(text) == before:
            raise ValueError("the standard library's sources are not installed here")
    return text[: text.rfind("\n", 0, num_bytes) + 1]


class _Document:
    """One open document, and positions in it to type at."""

    def __init__(self, editor: Editor, uri: str, text: str, rng: random.Random) -> None:
        self.uri = uri
        self._editor, self._rng = editor, rng
        self._lines = [len(line) for line in text.split("\n")]

    async def key(self) -> Sample:
        """One keystroke at the end of some line, and the request that follows it."""
        return await self._until_asked("x")

    async def burst(self) -> Sample:
        """Keystrokes in quick succession, each with a request; the last one counts."""
        return await self._until_asked(BURST_KEYS)

    async def _until_asked(self, keys: str) -> Sample:
        """Type at one position after another until the last request has asked the model."""
        for _ in range(MAX_TRIES):
            line = self.any_line()
            for key in keys[:-1]:
                self.type(line, key)
                await asyncio.sleep(BURST_S)
            sent, _, answer = self.type(line, keys[-1])
            answered = await wait_for(answer)
            trace = await self._editor.trace()
            if trace["how"] == ASKED and trace["engine_ms"] is not None:
                return _sample(sent, answered, trace)
        raise ClientError(f"no request of {MAX_TRIES} asked the model: {trace['reason']}")

    def any_line(self) -> int:
        return self._rng.randrange(len(self._lines) // 4, len(self._lines) * 3 // 4)

    def type(self, line: int, key: str) -> tuple[float, int, Pending]:
        """A keystroke at the end of a line: when it was sent, the request, and its answer."""
        sent = time.perf_counter()
        self._editor.insert(self.uri, line, self._lines[line], key)
        self._lines[line] += 1
        request = self._editor.complete(self.uri, line, self._lines[line])
        return sent, request, self._editor.answer(request)


def _sample(sent: float, answer: Answer, trace: dict[str, Any]) -> Sample:
    wait_ms, engine = (answer.at - sent) * 1e3, trace["engine_ms"]
    times = trace["timings_ms"]
    socket, queue = times["socket"], times.get("queue", 0.0)
    pause = times.get("debounce", 0.0)
    if pause:
        pause += min(sum(times.get(stage, 0.0) for stage in LOOKED_UP), BUILDING_MS)
    return Sample(
        engine=engine,
        pipe=wait_ms - trace["total_ms"],
        front_end=trace["total_ms"] - engine - socket - queue - pause,
        socket=socket,
        queue=queue,
        pause=pause,
    )


async def _measure_stops(editor: Editor, plan: Plan, job_s: float) -> Stops:
    """Withdraw requests in the middle of jobs that take about `job_s` when left alone."""
    rng, stops = random.Random(plan.seed), Stops()
    text = document_of(min(plan.document_bytes))
    document, other = (_Document(editor, uri, text, rng) for uri in (URI, OTHER_URI))
    editor.open(text, URI)
    editor.open(text, OTHER_URI)
    for _ in range(MAX_TRIES * plan.rounds):
        await _stop_once(editor, document, other, job_s / 2, stops)
        if len(stops.free) == plan.rounds:
            return stops
    raise ClientError("every request was answered before it could be withdrawn")


async def _stop_once(
    editor: Editor, document: _Document, other: _Document, after_s: float, stops: Stops
) -> None:
    _, request, answer = document.type(document.any_line(), "y")
    await asyncio.wait({answer}, timeout=after_s)
    if answer.done():
        # The request had ended before it could be cancelled.
        return
    cancelled_at = time.perf_counter()
    editor.cancel(request)
    following = asyncio.create_task(other.key())
    first = await wait_for(answer)
    sample = await following
    trace = await editor.trace()
    if "error" not in first.message:
        return
    stops.answered.append((first.at - cancelled_at) * 1e3)
    stops.free.append(sample.added)
    stops.step.append(trace["timings_ms"]["denoise"] / trace["steps"])


def _source(name: str) -> str:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return ""
    return Path(spec.origin).read_text(encoding="utf-8")
