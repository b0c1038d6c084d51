"""Whole replays against a real server process, with a model that follows a script."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from dg_lsp.benchmark.replay import replaying
from dg_lsp.benchmark.replay.figures import figures
from dg_lsp.benchmark.replay.paced import Pace
from dg_lsp.benchmark.replay.replaying import Place, Plan, draw_places, replay
from dg_lsp.benchmark.replay.window import EDITORS
from dg_lsp.diagnosis.recordings import RecordedEdit, Recording

SCRIPT = Path(__file__).with_name("serve_scripted.py")
_spec = importlib.util.spec_from_file_location("serve_scripted", SCRIPT)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
TARGET = _module.TARGET

PLACE = Place("a.py", "import os\n\n", TARGET, "\n\nprint(total([]))\n")


@pytest.fixture
def play(monkeypatch):
    monkeypatch.setattr(replaying, "COMMAND", (sys.executable, str(SCRIPT)))

    async def run(*variants, editor="vscode", step_ms=30.0):
        plan = Plan([PLACE], EDITORS[editor], Pace(20.0, step_ms))
        replayed = await replay(plan, "scripted", variants or [""], lambda what: None)
        return [figures(one) for one in replayed]

    return run


def counts(report):
    """Everything but real time."""
    return {name: value for name, value in report.items() if name != "engine_ms"}


@pytest.mark.parametrize("editor", EDITORS)
async def test_the_same_seed_gives_the_same_counts(play, editor):
    [first, again] = await play("", "", editor=editor)
    [other] = await play("", editor=editor)

    assert counts(first) == counts(again) == counts(other)
    assert first["jobs"] > 0
    assert first["accepts"] > 0
    assert first["saved_chars"] > 0
    assert first["engine_share"] == round(first["jobs"] / first["keystrokes"], 4)
    assert first["flicker"] == 0


async def test_the_engines_pace_is_a_matter_of_the_plan(play):
    [[fast], [slow]] = await play(step_ms=1.0), await play(step_ms=400.0)

    assert fast["wait_ms"]["first"]["p50"] < slow["wait_ms"]["first"]["p50"]
    assert fast["saved_chars"] > slow["saved_chars"]


async def test_what_is_switched_off_is_not_used(play):
    [everything, without] = await play("", "typed_through")

    assert everything["hits"]["typed_through"] > 0
    assert (without["without"], without["hits"]["typed_through"]) == ("typed_through", 0)


async def test_a_recording_is_typed_again(monkeypatch):
    monkeypatch.setattr(replaying, "COMMAND", (sys.executable, str(SCRIPT)))
    keys = [RecordedEdit(150, 7 + at, 0, key) for at, key in enumerate("def total")]
    # What was pasted then is what is suggested now.
    taken = [RecordedEdit(3000, 16, 0, "(rows):"), RecordedEdit(200, 22, 1, "")]
    recording = Recording("python", "import\n\nx\n", (*keys, *taken))
    plan = Plan([recording], EDITORS["vscode"], Pace(20.0, 30.0))
    [replayed] = await replay(plan, "scripted", [""], lambda what: None)
    report = figures(replayed)

    assert report["keystrokes"] == len(recording.edits)
    assert (report["accepts"], report["saved_chars"]) == (1, 7)


def test_places_begin_at_lines_and_can_be_put_back():
    text = "".join(f"line_{number} = {number}\n" for number in range(200))
    for place in draw_places([("a.py", text), ("short.py", "x")], 5, 60, seed=3):
        assert place.before + place.target + place.after == text
        assert place.before.endswith("\n")
        assert len(place.target) >= 60
