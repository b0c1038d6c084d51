"""The strength of a rewrite is turned up and down while its preview is shown."""

from __future__ import annotations

import pytest

from dg_lsp.job import JobState

URI = "file:///work/a.py"
OTHER = "file:///work/b.py"
TEXT = "a = 1\nb = 2\nc = 3\n"
SELECTED = {"start": {"line": 1, "character": 0}, "end": {"line": 1, "character": 5}}


class Dial:
    """A client with a preview of line 1, and an engine that writes the strength of its job."""

    def __init__(self, editor) -> None:
        self.editor = editor
        editor.engine.script = lambda job: [f"b = {job.strength}"]

    def send(self, strength: float, **extra: object) -> int:
        data = {"uri": URI, "range": SELECTED, "strength": strength, **extra}
        action = {"title": "Rewrite", "kind": "refactor.rewrite", "data": data}
        return self.editor.send("codeAction/resolve", action)

    async def turn(self, strength: float, **extra: object) -> str:
        """The text at this strength."""
        answer = await self.editor.answer(self.send(strength, **extra))
        [[edit]] = answer["result"]["edit"]["changes"].values()
        return edit["newText"]

    @property
    def strengths(self) -> list[float]:
        """Those that the engine was asked for."""
        return [job.strength for job in self.editor.engine.jobs]


@pytest.fixture
async def dial(editor) -> Dial:
    editor.open(TEXT)
    return Dial(editor)


async def test_each_strength_has_its_text_and_turning_back_asks_for_none_again(dial):
    texts = [await dial.turn(strength) for strength in (0.6, 0.7, 0.8, 0.7, 0.6)]
    assert texts == ["0.6", "0.7", "0.8", "0.7", "0.6"]
    assert dial.strengths == [0.6, 0.7, 0.8]
    assert {job.seed for job in dial.editor.engine.jobs} == {0}
    assert (await dial.editor.trace())["how"] == "an earlier answer"


@pytest.mark.parametrize(
    "extra", [{"seed": 1}, {"instruction": "shout"}, {"shown": ["b = 0.6"]}]
)
async def test_another_request_is_not_answered_from_memory(dial, extra):
    await dial.turn(0.6)
    dial.editor.engine.script = lambda job: ["b = 9"]
    assert await dial.turn(0.6, **extra) == "9"


async def test_a_text_with_an_instruction_is_remembered_too(dial):
    for strength in (0.6, 0.9, 0.6):
        await dial.turn(strength, instruction="shout")
    assert dial.strengths == [0.6, 0.9]


async def test_the_newest_strength_ends_the_one_under_way(dial):
    engine = dial.editor.engine
    engine.gate.clear()
    asked = [dial.send(strength) for strength in (0.7, 0.8, 0.9)]
    await dial.editor.until(lambda: len(engine.jobs) == 3)
    engine.gate.set()
    for older in asked[:-1]:
        assert "error" in await dial.editor.answer(older)
    answer = await dial.editor.answer(asked[-1])
    assert answer["result"]["edit"]["changes"][URI][0]["newText"] == "0.9"
    assert engine.states == [JobState.SUPERSEDED, JobState.SUPERSEDED, JobState.DONE]
    # What was cut off is not remembered.
    assert await dial.turn(0.8) == "0.8"


async def test_a_request_that_is_withdrawn_stops_its_job_and_leaves_nothing(dial):
    engine = dial.editor.engine
    engine.gate.clear()
    request = dial.send(0.7)
    await dial.editor.until(lambda: engine.states == [JobState.RUNNING])
    dial.editor.cancel(request)
    assert (await dial.editor.answer(request))["error"]["code"] == -32800
    await dial.editor.until(lambda: engine.states == [JobState.CANCELLED])
    engine.gate.set()
    await dial.turn(0.7)
    assert dial.strengths == [0.7, 0.7]


def edit_before(dial) -> None:
    dial.editor.replace(TEXT.replace("a = 1", "a = 7"))


def edit_another_document(dial) -> None:
    dial.editor.replace("z = 2\n", OTHER)


def close_and_open(dial) -> None:
    params = {"textDocument": {"uri": URI}}
    dial.editor.notify("textDocument/didClose", params)
    dial.editor.open(TEXT)


def change_settings(dial) -> None:
    settings = {"dgLsp": {"context": {"relatedFiles": False}}}
    dial.editor.notify("workspace/didChangeConfiguration", {"settings": settings})


@pytest.mark.parametrize(
    "change", [edit_before, edit_another_document, close_and_open, change_settings]
)
async def test_what_may_have_become_another_text_is_written_again(dial, change):
    dial.editor.open("z = 1\n", OTHER)
    await dial.turn(0.6)
    change(dial)
    await dial.turn(0.6)
    assert dial.strengths == [0.6, 0.6]


async def test_undoing_an_edit_brings_back_what_was_written_for_that_text(dial):
    await dial.turn(0.6)
    edit_before(dial)
    await dial.turn(0.6)
    dial.editor.replace(TEXT)
    await dial.turn(0.6)
    assert len(dial.strengths) == 2


async def test_where_the_model_has_nothing_it_is_asked_again(dial):
    dial.editor.engine.script = lambda job: []
    assert "error" in await dial.editor.answer(dial.send(0.6))
    dial.editor.engine.script = lambda job: ["b = 4"]
    assert await dial.turn(0.6) == "4"


async def test_a_span_that_is_gone_gets_no_edit(dial):
    engine = dial.editor.engine
    engine.gate.clear()
    request = dial.send(0.6)
    await dial.editor.until(lambda: engine.states == [JobState.RUNNING])
    dial.editor.replace("a = 1\nc = 3\n")
    engine.gate.set()
    error = (await dial.editor.answer(request))["error"]
    assert error["data"] == {"code": "changed"}
