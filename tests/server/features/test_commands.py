"""Commands: their arguments, their edits, and stopping them."""

from __future__ import annotations

import re

import pytest

from dg_lsp.job import JobState
from dg_lsp.reason import CodedError
from dg_lsp.server.link.scripted import Pace
from dg_lsp.server.settings import Settings, TraceDetail

URI = "file:///work/a.py"
SPAN = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 5}}
PLACE = {"uri": URI, "position": {"line": 0, "character": 4}}


def command(name: str, *arguments):
    return {"command": f"dg-lsp.{name}", "arguments": list(arguments)}


async def run(editor, name: str, *arguments):
    return await editor.ask("workspace/executeCommand", command(name, *arguments))


@pytest.fixture
async def applying(editor):
    editor.replies["workspace/applyEdit"] = lambda params: {"applied": True}
    editor.open("x = \n")
    return editor


async def test_infill_applies_an_edit(applying):
    result = await run(applying, "infill", PLACE)

    assert result == {
        "applied": True,
        "reason": None,
        "code": None,
        "text": "1",
        "warning": None,
    }
    [params] = applying.told("workspace/applyEdit")
    [edit] = params["edit"]["changes"][URI]
    at = PLACE["position"]
    assert edit == {"range": {"start": at, "end": at}, "newText": "1"}
    assert applying.engine.jobs[0].may_be_empty is False


async def test_another_text_than_those_that_were_shown(applying):
    applying.engine.script = lambda job: ["1", "2"]
    first = await run(applying, "infill", PLACE)
    again = await run(applying, "infill", {**PLACE, "shown": [first["text"]]})
    assert (first["text"], again["text"]) == ("1", "2")


async def test_rewrite_takes_an_instruction_a_noise_and_a_seed(applying):
    applying.replace("alpha\n")
    argument = {"uri": URI, "range": SPAN, "instruction": " shout ", "strength": 0.3, "seed": 7}
    assert (await run(applying, "rewrite", argument))["text"] == "say('shout')"
    [job] = applying.engine.jobs
    assert (job.replaced, job.instruction, job.strength, job.seed) == ("alpha", "shout", 0.3, 7)


async def test_an_edit_that_the_editor_refuses(applying):
    applying.replies["workspace/applyEdit"] = lambda params: {
        "applied": False,
        "failureReason": "read-only",
    }
    result = await run(applying, "infill", PLACE)
    assert result == {
        "applied": False,
        "reason": "read-only",
        "code": "edit-refused",
        "text": "1",
        "warning": None,
    }


@pytest.mark.parametrize(
    ("name", "arguments", "named"),
    [
        ("infill", [], "uri"),
        ("infill", [{}, {}], "one object"),
        ("infill", ["x"], "one object"),
        ("infill", [{"uri": 5}], "uri"),
        ("infill", [{"uri": "file:///not/open"}], "not open"),
        ("infill", [{"uri": URI}], "range or position"),
        ("infill", [{"uri": URI, "range": {}}], "range or position"),
        ("infill", [{"uri": URI, "position": {"line": -1, "character": 0}}], "range or"),
        ("infill", [{**PLACE, "version": 99}], "version"),
        ("infill", [{**PLACE, "version": "x"}], "version"),
        ("rewrite", [PLACE], "must not be empty"),
        ("rewrite", [{**PLACE, "instruction": ""}], "instruction"),
        ("rewrite", [{**PLACE, "instruction": 5}], "instruction"),
        ("infill", [{**PLACE, "instruction": "shout"}], "range"),
        ("rewrite", [{**PLACE, "strength": 0}], "strength"),
        ("rewrite", [{**PLACE, "strength": 1.01}], "1.01"),
        ("rewrite", [{**PLACE, "strength": True}], "True"),
        ("rewrite", [{**PLACE, "strength": "a lot"}], "a lot"),
        ("rewrite", [{**PLACE, "seed": -1}], "seed"),
        ("rewrite", [{**PLACE, "seed": True}], "seed"),
        ("rewrite", [{**PLACE, "shown": "a"}], "shown"),
        ("rewrite", [{**PLACE, "shown": [1]}], "shown"),
        ("rewrite", [{**PLACE, "shown": {}}], "shown"),
        ("rewrite", [{**PLACE, "shown": ["a"] * 257}], "shown"),
    ],
)
async def test_bad_arguments_are_named(applying, name, arguments, named):
    error = await applying.refused("workspace/executeCommand", command(name, *arguments))
    assert error["code"] == -32602
    is_closed = "99" in str(arguments) or "not/open" in str(arguments)
    assert error["data"] == {"code": "not-open" if is_closed else "invalid-request"}
    assert named in error["message"]


async def test_stop_ends_a_command_by_its_token(applying):
    applying.engine.gate.clear()
    request = applying.send(
        "workspace/executeCommand", command("infill", {**PLACE, "token": "t"})
    )
    await applying.until(lambda: applying.engine.states == [JobState.RUNNING])
    assert await run(applying, "stop", {"token": "other"}) == {"stopped": False}
    assert await run(applying, "stop", {"token": "t"}) == {"stopped": True}

    assert (await applying.answer(request))["error"]["code"] == -32800
    await applying.until(lambda: applying.engine.states == [JobState.CANCELLED])
    assert await run(applying, "stop", {"token": "t"}) == {"stopped": False}
    assert applying.told("workspace/applyEdit") == []


@pytest.mark.parametrize("how", ["request", "progress"])
async def test_other_ways_to_stop_a_command(make_editor, how):
    editor = make_editor()
    await editor.begin({"window": {"workDoneProgress": True}})
    editor.open("x = \n")
    editor.engine.gate.clear()
    request = editor.send("workspace/executeCommand", command("infill", PLACE))
    await editor.until(lambda: editor.engine.states == [JobState.RUNNING])
    if how == "request":
        editor.cancel(request)
    else:
        token = editor.told("window/workDoneProgress/create")[-1]["token"]
        editor.notify("window/workDoneProgress/cancel", {"token": token})

    assert (await editor.answer(request))["error"]["code"] == -32800
    await editor.until(lambda: editor.engine.states == [JobState.CANCELLED])


async def test_a_long_rewrite_says_how_far_it_is_to_any_client(make_editor):
    editor = make_editor(Pace(num_drafts=3, blocks=2))
    await editor.begin({"window": {"workDoneProgress": True}})
    editor.replies["workspace/applyEdit"] = lambda params: {"applied": True}
    editor.open("alpha\nbeta\n")
    await run(editor, "rewrite", {"uri": URI, "range": SPAN})

    [token] = {one["token"] for one in editor.told("window/workDoneProgress/create")[-1:]}
    told = [one["value"] for one in editor.told("$/progress") if one["token"] == token]
    assert [told[0]["kind"], told[-1]["kind"]] == ["begin", "end"]
    assert (told[0]["cancellable"], told[0]["percentage"]) == (True, 0)
    reports = [one for one in told if one["kind"] == "report"]
    percentages = [one["percentage"] for one in reports]
    assert percentages == sorted(percentages)
    assert 0 < percentages[0] < 50 < percentages[-1] <= 100
    assert {"block 1 of 2", "block 2 of 2"} == {one["message"][:12] for one in reports}


async def test_more_than_the_model_rewrites_at_once_is_refused_before_it_starts(applying):
    text = "".join(f"value_{n:03} = {n:03}\n" for n in range(300))
    applying.replace(text)

    async def rewrite(first: int, last: int):
        span = {
            "start": {"line": first, "character": 0},
            "end": {"line": last, "character": 0},
        }
        return await run(applying, "rewrite", {"uri": URI, "range": span})

    # 512 tokens at 3 characters each are 96 lines of 16 characters.
    refused = await rewrite(10, 200)
    assert refused["applied"] is False
    assert refused["code"] == "too-long"
    assert "106" in refused["reason"]
    assert applying.engine.jobs == []
    assert (await rewrite(10, 106))["applied"] is True
    assert (await rewrite(10, 107))["applied"] is False


async def test_lines_far_down_in_a_long_document_are_counted_from_its_start(applying):
    applying.replace("value = 1\n" * 60_000)
    span = {
        "start": {"line": 50_000, "character": 0},
        "end": {"line": 50_500, "character": 0},
    }
    refused = await run(applying, "rewrite", {"uri": URI, "range": span})

    assert re.search(r"select lines 50001 to 501\d\d", refused["reason"])
    assert applying.session.tracer.last_of(None)["reason_code"] == "too-long"


@pytest.mark.parametrize("text", ["x" * 4000, "é" * 2_000_000, "x\n" + "y" * 4000])
async def test_a_line_that_is_too_long_to_rewrite_at_once(applying, text):
    applying.replace(text)
    end = {"line": text.count("\n"), "character": 4000}
    span = {"start": {"line": 0, "character": 0}, "end": end}
    refused = await run(applying, "rewrite", {"uri": URI, "range": span})

    assert refused["applied"] is False
    assert refused["code"] == "too-long"


async def test_typing_does_not_stop_a_command(applying):
    applying.engine.gate.clear()
    request = applying.send("workspace/executeCommand", command("infill", PLACE))
    await applying.until(lambda: len(applying.engine.jobs) == 1)
    inline = applying.send_inline(0, 4)
    await applying.until(lambda: len(applying.engine.jobs) == 2)
    applying.engine.gate.set()

    assert (await applying.answer(request))["result"]["applied"]
    assert (await applying.answer(inline))["result"]["items"]


async def test_what_is_refused_is_shown_and_applies_nothing(applying):
    applying.engine.gate.clear()
    request = applying.send("workspace/executeCommand", command("infill", PLACE))
    await applying.until(lambda: len(applying.engine.jobs) == 1)
    applying.replace("y\n")
    applying.engine.gate.set()

    result = (await applying.answer(request))["result"]
    assert result["applied"] is False
    assert result["code"] == "changed"
    [shown] = applying.told("window/showMessage")
    assert result["reason"] in shown["message"]
    assert applying.told("workspace/applyEdit") == []


@pytest.mark.parametrize(
    ("name", "call"), [("restartEngine", "restart"), ("unloadModel", "unload")]
)
async def test_commands_for_the_engine(editor, name, call):
    assert await run(editor, name) == {"done": True, "reason": None, "code": None}
    assert editor.link.calls == [call]


async def test_the_trace_of_the_last_request(applying):
    assert await run(applying, "trace") is None
    await applying.inline(0, 4)
    told = await run(applying, "trace")

    assert (told["outcome"], told["file"], told["position"]) == ("suggested", "a.py", [0, 4])
    assert told["seen"]["prefix_chars"] == 4


async def test_the_trace_of_one_document(applying):
    applying.open("y = \n", uri="file:///work/b.py")
    await applying.inline(0, 4)
    await applying.inline(0, 2, textDocument={"uri": "file:///work/b.py"})

    last = [await run(applying, "trace", asked) for asked in (
        {}, {"uri": "file:///work/a.py"}, {"uri": "file:///work/b.py"}, {"uri": "file:///c.py"}
    )]  # fmt: skip
    assert [told and told["file"] for told in last] == ["b.py", "a.py", "b.py", None]


async def test_the_trace_as_a_page(applying):
    await applying.inline(0, 4)
    told = await run(applying, "trace", {"markdown": True})

    assert told["markdown"].startswith("# Request at a.py:1:5\n")
    assert "markdown" not in await run(applying, "trace", {"markdown": "yes"})


@pytest.mark.parametrize("asked", [{}, {"text": True}, {"text": "yes"}])
async def test_the_text_of_a_trace_is_for_who_asks(make_editor, asked):
    editor = make_editor(settings=Settings(trace=TraceDetail.TEXT))
    await editor.begin()
    editor.open("x = \n")
    await editor.inline(0, 4)

    told = await run(editor, "trace", asked)
    assert ("text" in told) == (asked == {"text": True})


async def test_the_doctor_is_asked_and_its_failure_is_an_error_of_one_line(editor):
    command = {"command": "dg-lsp.doctor"}
    error = await editor.refused("workspace/executeCommand", command)
    assert error["data"] == {"code": "invalid-request"}

    async def examine():
        return {"level": "ok", "findings": []}

    editor.session.examine = examine
    assert await run(editor, "doctor") == {"level": "ok", "findings": []}
    pages = await run(editor, "doctor", {"markdown": True, "anonymous": True})
    assert pages["markdown"].startswith("# dg-lsp doctor\n")
    assert pages["anonymous"].startswith("### Environment\n")

    async def fail():
        raise CodedError("no answer")

    editor.session.examine = fail
    error = await editor.refused("workspace/executeCommand", command)
    assert (error["code"], error["data"]) == (-32803, {"code": "defect"})
