"""What is kept of a request: why nothing came, where the time went, and no text unasked."""

from __future__ import annotations

import json
import math

import pytest

from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.link.scripted import Pace
from dg_lsp.server.settings import Settings, TraceDetail, Trigger

ADD = "def add(a, b):\n    return \n"
REPEATED = "def add(a, b):\n    return a + b\n\ndef add(a, b):\n    return \n"
SECRET = 'password = "hunter2hunter2"\nx = \n'


def last(editor):
    return editor.session.tracer.last_of(None)


async def test_an_offer_with_its_sizes_and_times_and_no_text(editor):
    editor.open(ADD)
    await editor.inline(1, 11)
    trace = last(editor)

    assert (trace["method"], trace["trigger"]) == ("textDocument/inlineCompletion", "automatic")
    assert (trace["file"], trace["language"], trace["position"]) == ("a.py", "python", [1, 11])
    assert (trace["outcome"], trace["reason"]) == ("suggested", None)
    assert trace["how"] == "a new job"
    source = {"source": "model", "corrected": False}
    assert trace["suggestions"] == [{"chars": 5, "confidence": 0.9, **source}]
    assert trace["candidates"][0] == {"chars": 5, "confidence": 0.9, "score": 0.0, **source}
    assert trace["seen"]["prefix_chars"] == len(ADD) - 1
    assert trace["seen"]["suffix_chars"] == 1
    assert (trace["steps"], trace["model"]) == (4, "scripted")
    stages = ["check", "start", "mask", "window", "related", "seeds", "socket", "finish"]
    assert list(trace["timings_ms"]) == stages
    assert trace["total_ms"] >= sum(trace["timings_ms"].values()) > 0
    assert "text" not in trace
    assert "a + b" not in json.dumps(trace)


async def test_where_a_suggestion_was_found_also_after_typing_into_it(make_editor):
    editor = make_editor(Pace(seeds=(0,)), settings=Settings(trace=TraceDetail.TEXT))
    await editor.begin()
    editor.open(REPEATED)
    await editor.inline(4, 11)

    trace = last(editor)
    assert trace["seen"]["seeds"] >= 1
    assert trace["suggestions"][0]["source"] == trace["candidates"][0]["source"] == "document"
    assert trace["suggestions"][0]["corrected"] is (trace["text"]["seeds"][0][1] != "a + b")
    assert trace["text"]["source_paths"] == [None]

    editor.replace(REPEATED.replace("return \n", "return a\n"))
    assert await editor.texts(4, 12) == [" + b"]
    assert last(editor)["how"] == "typed through"
    assert last(editor)["suggestions"][0]["source"] == "document"


@pytest.mark.parametrize("number", [-1, 99, math.nan])
async def test_a_number_that_no_seed_has_does_no_harm(make_editor, number):
    editor = make_editor(Pace(seeds=(number,)))
    await editor.begin()
    editor.open(REPEATED)

    assert await editor.texts(4, 11) == ["a + b"]
    assert last(editor)["seen"]["seeds"] >= 1
    assert last(editor)["suggestions"][0]["source"] == "model"


@pytest.mark.parametrize(
    ("settings", "text", "uri", "extra", "outcome", "code"),
    [
        (Settings(), "x = \n", "file:///work/.env", {}, "refused", "excluded"),
        (Settings(enable=False), ADD, None, {}, "refused", "switched-off"),
        (Settings(trigger=Trigger.MANUAL), ADD, None, {}, "refused", "on-demand"),
        (Settings(), ADD, "file:///work/b.py", {}, "refused", "not-open"),
        (Settings(), ADD, None, {"version": 7}, "refused", "other-version"),
        (Settings(), "none = \n", None, {}, "nothing", "nothing-missing"),
        (Settings(), "broken = \n", None, {}, "nothing", "invalid"),
    ],
)
async def test_why_nothing_was_offered(make_editor, settings, text, uri, extra, outcome, code):
    editor = make_editor(settings=settings)
    await editor.begin()
    editor.open(text, uri if uri and uri.endswith(".env") else "file:///work/a.py")
    where = {"uri": uri or "file:///work/a.py", **extra}
    assert await editor.inline(0, len(text) - 1, textDocument=where) == []

    assert last(editor)["outcome"] == outcome
    assert last(editor)["reason_code"] == code
    assert last(editor)["suggestions"] == []


async def test_an_engine_that_is_not_there_is_a_failure(make_editor):
    editor = make_editor()
    editor.link.refusal = Reason(ReasonCode.NO_MODEL, "no model named absent")
    await editor.begin()
    editor.open(ADD)
    await editor.inline(1, 11)

    assert (last(editor)["outcome"], last(editor)["reason_code"]) == ("failed", "no-model")
    assert last(editor)["reason"] == "no model named absent"


async def test_the_rest_of_the_last_answer_asks_no_model(editor):
    editor.open(ADD)
    await editor.inline(1, 11)
    editor.replace(ADD.replace("return ", "return a"))
    assert await editor.texts(1, 12) == [" + b"]

    trace = last(editor)
    assert (trace["how"], trace["seen"]) == ("typed through", None)
    assert list(trace["timings_ms"]) == ["check"]


async def test_superseded_and_withdrawn_requests(make_editor):
    editor = make_editor()
    editor.engine.gate.clear()
    await editor.begin()
    editor.open(ADD)
    first = editor.send_inline(1, 11)
    await editor.until(lambda: len(editor.engine.jobs) == 1)
    second = editor.send_inline(1, 11)
    await editor.answer(first)
    assert last(editor)["outcome"] == "superseded"
    await editor.until(lambda: editor.session.suggestions._documents != {})
    editor.cancel(second)
    await editor.answer(second)

    assert (last(editor)["outcome"], last(editor)["how"]) == ("cancelled", "the job under way")
    # Its window was cut before that.
    assert last(editor)["seen"]["prefix_chars"] == len(ADD) - 1


async def test_an_answer_for_a_text_that_has_changed(make_editor):
    editor = make_editor()
    editor.engine.gate.clear()
    await editor.begin()
    editor.open(ADD)
    request = editor.send_inline(1, 11)
    await editor.until(lambda: len(editor.engine.jobs) == 1)
    editor.replace("quite another text\n")
    editor.engine.gate.set()
    await editor.answer(request)

    assert last(editor)["reason_code"] == "changed"
    assert last(editor)["candidates"] != []
    assert last(editor)["suggestions"] == []


async def test_a_command_leaves_a_trace_as_well(editor):
    editor.replies["workspace/applyEdit"] = lambda params: {"applied": True}
    editor.open("alpha\n")
    span = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 5}}
    argument = {"uri": "file:///work/a.py", "range": span, "instruction": "shout"}
    command = {"command": "dg-lsp.rewrite", "arguments": [argument]}
    await editor.ask("workspace/executeCommand", command)

    trace = last(editor)
    assert (trace["method"], trace["outcome"]) == ("dg-lsp.rewrite", "suggested")
    assert (trace["seen"]["replaced_chars"], trace["seen"]["instruction_chars"]) == (5, 5)


async def test_text_is_kept_where_the_settings_say_so_but_no_secret(make_editor):
    editor = make_editor(settings=Settings(trace=TraceDetail.TEXT))
    await editor.begin()
    editor.open(SECRET)
    await editor.inline(1, 4)
    text = last(editor)["text"]

    assert text["uri"] == "file:///work/a.py"
    assert text["prefix"].endswith("\nx = ")
    assert (text["suffix"], text["candidates"], text["suggestions"]) == ("\n", ["1"], ["1"])
    assert "hunter2" not in json.dumps(last(editor))


async def test_a_secret_that_is_pinned_is_masked_in_the_trace(make_editor):
    editor = make_editor(settings=Settings(trace=TraceDetail.TEXT))
    editor.replies["workspace/applyEdit"] = lambda params: {"applied": True}
    await editor.begin()
    line = SECRET.splitlines()[0]
    editor.open(f"{line} + foo\n")
    # Without the name before it, nothing tells that the value is a secret.
    editor.engine.script = lambda job: ["|- 1"]

    def at(start, end):
        ends = [{"line": 0, "character": one} for one in (start, end)]
        return {"start": ends[0], "end": ends[1]}

    pinned = at(line.index("=") + 2, len(line) + 1)
    argument = {
        "uri": "file:///work/a.py",
        "range": at(0, len(line) + 6),
        "pinned": [pinned],
    }
    command = {"command": "dg-lsp.rewrite", "arguments": [argument]}
    result = await editor.ask("workspace/executeCommand", command)

    assert "hunter2" in result["text"]
    assert last(editor)["text"]["suggestions"][0].endswith("- 1")
    assert "hunter2" not in json.dumps(last(editor))


async def test_a_secret_in_an_instruction_is_masked_in_the_trace(make_editor):
    editor = make_editor(settings=Settings(trace=TraceDetail.TEXT))
    editor.replies["workspace/applyEdit"] = lambda params: {"applied": True}
    await editor.begin()
    editor.open("alpha\n")
    span = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 5}}
    said = "write " + SECRET.splitlines()[0]
    argument = {"uri": "file:///work/a.py", "range": span, "instruction": said}
    command = {"command": "dg-lsp.rewrite", "arguments": [argument]}
    await editor.ask("workspace/executeCommand", command)

    assert last(editor)["text"]["instruction"].startswith("write password = ")
    assert "hunter2" not in json.dumps(last(editor))


async def test_nothing_is_kept_where_traces_are_off(make_editor):
    editor = make_editor(settings=Settings(trace=TraceDetail.OFF))
    await editor.begin()
    editor.open(ADD)
    await editor.inline(1, 11)

    assert last(editor) is None


class Stored:
    """A journal that keeps what it is given."""

    def __init__(self):
        self.records = []

    def add(self, record):
        self.records.append(record)

    def note_usage(self, record):
        pass


async def test_a_trace_is_stored_soon_after_the_answer_and_at_the_end_of_the_session(editor):
    editor.session.tracer.journal = stored = Stored()
    editor.open(ADD)
    await editor.inline(1, 11)
    await editor.until(lambda: len(stored.records) == 1)
    assert stored.records[0]["outcome"] == "suggested"

    await editor.inline(0, 0)
    await editor.session.close()
    assert [one["position"] for one in stored.records] == [[1, 11], [0, 0]]


@pytest.mark.parametrize(
    ("text", "code"), [("x = \n", "low-confidence"), ("broken = \n", "invalid")]
)
async def test_why_nothing_came_of_texts_that_the_model_is_unsure_of(make_editor, text, code):
    editor = make_editor(settings=Settings(debounce_ms=0, min_confidence=0.95))
    await editor.begin()
    editor.open(text)

    assert await editor.texts(0, len(text) - 1) == []
    assert last(editor)["reason_code"] == code
