"""A whole server that prepares what follows a suggestion, as an editor notices it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dg_lsp.job import JobState
from dg_lsp.server.link.engine_link import EnginePhase, EngineState
from dg_lsp.server.power import Power
from dg_lsp.server.suggest import suggestions
from tests.server.conftest import URI, Editor

TEXT = "def f():\n    return \n"
AHEAD = "def f():\n    return a + b"
AT = {"line": 1, "character": 11}
ACCEPTED = {"range": {"start": AT, "end": AT}, "text": "a + b"}
DEPARTED = {"range": {"start": AT, "end": AT}, "text": "q"}
Start = Callable[..., Awaitable[Editor]]


async def idle() -> None:
    """Let everything happen that can."""
    for _ in range(60):
        await asyncio.sleep(0)


@pytest.fixture
def start(make_editor: Any, monkeypatch: pytest.MonkeyPatch) -> Start:
    """An editor that shows a suggestion."""
    monkeypatch.setattr(suggestions, "AHEAD_S", 0.0)

    async def started(
        change: Callable[[Editor], None] = lambda editor: None, **options: Any
    ) -> Editor:
        editor: Editor = make_editor()
        capabilities = {"experimental": {"dgLsp": {"status": True}}}
        await editor.begin(capabilities, {"speculate": "on", **options})
        editor.open(TEXT)
        change(editor)
        assert await editor.texts(1, 11) == ["a + b"]
        return editor

    return started


async def test_after_tab_the_next_suggestion_is_there(start: Start) -> None:
    editor = await start()
    await editor.until(lambda: len(editor.engine.jobs) == 2)
    first, ahead = editor.engine.jobs
    assert (ahead.prefix, ahead.is_speculative) == (AHEAD, True)
    assert ahead.document == first.document
    await editor.until(lambda: editor.engine.states[1] is JobState.DONE)
    await idle()
    editor.change(URI, ACCEPTED)

    assert await editor.texts(1, 16) == ["infilled"]
    trace = await editor.trace()
    assert (trace["how"], trace["seen"]) == ("prepared ahead", None)
    assert [job for job in editor.engine.jobs if not job.is_speculative] == [first]


async def test_a_request_for_what_is_being_prepared_gets_it_as_its_own_job(
    start: Start,
) -> None:
    editor = await start()
    editor.engine.gate.clear()
    await editor.until(lambda: len(editor.engine.jobs) == 2)
    editor.change(URI, ACCEPTED)
    asked = editor.send_inline(1, 16)
    await editor.until(lambda: len(editor.engine.jobs) == 3)
    editor.engine.gate.set()

    answer = await editor.answer(asked)
    assert [item["insertText"] for item in answer["result"]["items"]] == ["infilled"]
    ahead, wanted = editor.engine.handles[1:3]
    assert (ahead.state, wanted.state) == (JobState.SUPERSEDED, JobState.DONE)
    assert (ahead.job.is_speculative, wanted.job.is_speculative) == (True, False)
    # The engine hands the work over if nothing else differs.
    assert ahead.job.prefix == wanted.job.prefix
    assert (await editor.trace())["how"] == "prepared ahead"


async def test_an_edit_that_departs_ends_it_at_once(start: Start) -> None:
    editor = await start()
    editor.engine.gate.clear()
    await editor.until(lambda: len(editor.engine.jobs) == 2)
    editor.change(URI, DEPARTED)

    await editor.until(lambda: editor.engine.states[1] is JobState.CANCELLED)


async def test_another_document_ends_it_at_once(start: Start) -> None:
    editor = await start()
    editor.engine.gate.clear()
    await editor.until(lambda: len(editor.engine.jobs) == 2)
    editor.open("x = \n", "file:///work/b.py")
    asked = editor.complete("file:///work/b.py", 0, 4)
    await editor.until(lambda: len(editor.engine.jobs) == 3)

    assert editor.engine.states[1] is JobState.SUPERSEDED
    editor.engine.gate.set()
    answer = await editor.answer(asked)
    assert [item["insertText"] for item in answer["result"]["items"]] == ["1"]


async def test_the_editor_is_not_told_that_the_server_is_busy(start: Start) -> None:
    editor = await start()
    editor.engine.gate.clear()
    await editor.until(lambda: len(editor.engine.jobs) == 2)
    await idle()

    assert editor.engine.states[1] is JobState.RUNNING
    assert not editor.session.status.now.busy


@pytest.mark.parametrize(
    ("speculate", "on_battery", "address", "expect"),
    [
        ("on", True, "", 1),
        ("on", False, "localhost:1", 1),
        ("pluggedIn", False, "", 1),
        ("pluggedIn", True, "", 0),
        ("pluggedIn", False, "localhost:1", 0),
        ("off", False, "", 0),
    ],
)
async def test_where_it_is_off(
    start: Start, speculate: str, on_battery: bool, address: str, expect: int
) -> None:
    def machine(editor: Editor) -> None:
        power = Power(lambda ask: ask(), lambda: on_battery)
        # The first look is answered before anybody waits for it.
        assert power.on_battery is on_battery or power.on_battery is on_battery
        editor.session._power = power

    editor = await start(machine, speculate=speculate, engine={"address": address})
    await idle()

    assert len(editor.engine.jobs) == 1 + expect


@pytest.mark.parametrize("phase", [EnginePhase.STARTING, EnginePhase.IDLE])
async def test_no_model_is_loaded_for_it(start: Start, phase: EnginePhase) -> None:
    editor = await start()
    await editor.until(lambda: editor.engine.states[1:] == [JobState.DONE])
    await idle()
    editor.change(URI, ACCEPTED)
    editor.link.become(EngineState(phase, model=editor.link.model))

    assert await editor.texts(1, 16) == ["infilled"]
    await idle()
    assert len(editor.engine.jobs) == 2
