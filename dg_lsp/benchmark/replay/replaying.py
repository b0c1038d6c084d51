"""Replays typing sessions: a typist, an editor window, and the server under test."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from dg_lsp.benchmark.editor import Editor, Serving
from dg_lsp.benchmark.replay.buffer import Buffer
from dg_lsp.benchmark.replay.paced import Pace
from dg_lsp.benchmark.replay.typist import Habits, Key, Kind, Pause, Step, write
from dg_lsp.benchmark.replay.window import Manners, Seen, Window
from dg_lsp.diagnosis.recordings import Recording

LONGEST_PAUSE_MS = 5_000.0
MODEL_VARIABLE = "DG_LSP_REPLAY_MODEL"
COMMAND = (sys.executable, "-P", "-m", "dg_lsp.benchmark.replay.serving")
CAPABILITIES = {
    # Positions are code points, as the buffer counts them.
    "general": {"positionEncodings": ["utf-32"]},
    "experimental": {"dgLsp": {"drafts": True}},
}
OPTIONS = {
    # Other files are read by threads that do not follow the benchmark's clock, and a document
    # that an earlier session closed is one of them.
    "context": {"workspaceFiles": False, "relatedFiles": False},
    # Also where the benchmark runs on battery.
    "speculate": "on",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session types: a text is taken out of a file and typed again."""

    path: str
    before: str
    target: str
    after: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is replayed: places where the typist types, or recordings."""

    places: Sequence[Place | Recording]
    manners: Manners
    pace: Pace
    seed: int = 1
    habits: Habits = field(default_factory=Habits)


@dataclass(slots=True)
class Replayed:
    """What one variant of the server did in all sessions."""

    without: str
    model: str
    seen: Seen = field(default_factory=Seen)
    traces: list[dict[str, Any]] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    speculated: dict[str, int] = field(default_factory=dict)
    """Counts of `Speculated`."""


def draw_places(
    files: Sequence[tuple[str, str]], sessions: int, characters: int, seed: int
) -> list[Place]:
    """Where the sessions type, spread over the files.

    Every other target begins below a line that opens a block, where something is missing; the
    others begin with any line, where the code may look complete.
    """
    rng = random.Random(seed)
    places = []
    suitable = [one for one in files if 3 * characters < len(one[1])]
    for number in range(sessions):
        path, text = suitable[number % len(suitable)]
        start = rng.randrange(len(text) - 2 * characters)
        opener = text.find(":\n", start, len(text) - 2 * characters)
        at = opener + 2 if number % 2 == 0 and opener >= 0 else text.find("\n", start) + 1
        end = text.find("\n", at + characters)
        end = len(text) if end < 0 else end
        places.append(Place(path, text[:at], text[at:end], text[end:]))
    return places


async def replay(
    plan: Plan, model: str, variants: Sequence[str], report: Callable[[str], None]
) -> list[Replayed]:
    """Replay the plan once for each variant: the name of what is switched off, or empty."""
    environment = {**os.environ, MODEL_VARIABLE: model}
    report("loading the model")
    editor = await Editor.start(Serving(environment, (), COMMAND), CAPABILITIES, OPTIONS)
    try:
        return [await _variant(editor, plan, without, report) for without in variants]
    finally:
        await editor.close()


async def _variant(
    editor: Editor, plan: Plan, without: str, report: Callable[[str], None]
) -> Replayed:
    pace = plan.pace
    begun = await _ask(
        editor,
        "replay/begin",
        {"startMs": pace.start_ms, "stepMs": pace.step_ms, "without": without},
    )
    replayed = Replayed(without, begun["model"])
    now_ms = begun["now"]
    for number, place in enumerate(plan.places):
        report(f"{'without ' + without if without else 'all'}: {number} of {len(plan.places)}")
        now_ms = await _session(editor, plan, place, number, now_ms, replayed.seen)
    taken = await _ask(editor, "replay/take", {})
    replayed.traces, replayed.jobs = taken["traces"], taken["jobs"]
    replayed.speculated = taken["speculated"]
    return replayed


async def _session(
    editor: Editor, plan: Plan, place: Place | Recording, number: int, now_ms: float, seen: Seen
) -> float:
    if isinstance(place, Place):
        text, cursor = place.before + place.after, len(place.before)
        name, language = PurePosixPath(place.path).name, "python"
    else:
        text, cursor, name, language = place.text, 0, "recording", place.language
    buffer = Buffer(text, cursor, closes_brackets=plan.manners.closes_brackets)
    uri = f"file:///replay/{number}/{name}"
    window = Window(editor, uri, buffer, plan.manners, seen, language)
    taken = len(editor.messages)

    def take(now: float) -> None:
        nonlocal taken
        for message in editor.messages[taken:]:
            window.take(message, now)
        taken = len(editor.messages)

    async def advance(until_ms: float) -> None:
        """Up to the next thing that the server does, at most until then."""
        nonlocal now_ms
        answer = await _ask(editor, "replay/advance", {"until": until_ms})
        now_ms = answer["now"]
        take(now_ms)

    async def wait(until_ms: float) -> None:
        while now_ms < until_ms:
            await advance(min(until_ms, window.next_ms))
            if window.next_ms <= now_ms:
                window.tick(now_ms)
                # What was just asked may have its answer at once.
                await advance(now_ms)

    seed = f"{plan.seed} {number}"
    if isinstance(place, Place):
        steps = write(place.target, lambda ms: window.shown(now_ms, ms), seed, plan.habits)
    else:
        steps = again(place)
    for step in steps:
        if isinstance(step, Pause):
            await wait(now_ms + step.ms)
        else:
            window.press(step, now_ms)
    await wait(now_ms + 5_000)
    window.close()
    if isinstance(place, Place):
        assert buffer.text.startswith(place.before + place.target), "the text is not the target"
    editor.messages.clear()
    return now_ms


def again(recording: Recording) -> Iterator[Step]:
    """The edits of a recording; long pauses are shortened."""
    for edit in recording.edits:
        yield Pause(min(max(1.0, edit.after_ms), LONGEST_PAUSE_MS))
        yield Key(Kind.EDIT, edit.inserted, at=edit.at, removed=edit.removed)


async def _ask(editor: Editor, method: str, params: Any) -> Any:
    return (await editor.ask(method, params)).result
