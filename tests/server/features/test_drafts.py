"""Drafts and status, for clients that opted in and for no others."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from dg_lsp.job import JobState
from dg_lsp.server.link.scripted import Pace
from dg_lsp.server.settings import Settings

OPTED_IN = {"experimental": {"dgLsp": {"drafts": True, "status": True}}}
AT_ONCE = Settings(debounce_ms=0, draft_interval_ms=0)


@pytest.fixture
async def watching(make_editor):
    editor = make_editor(Pace(6, best_settles_last=True), AT_ONCE)
    await editor.begin(OPTED_IN)
    return editor


@pytest.mark.parametrize(
    "experimental",
    [None, {}, {"dgLsp": True}, {"dgLsp": {"drafts": "yes"}}, {"dgLsp": {"drafts": 1}}, []],
)
async def test_who_has_not_opted_in_gets_standard_lsp_alone(make_editor, experimental):
    editor = make_editor(Pace(6, best_settles_last=True), AT_ONCE)
    await editor.begin({"experimental": experimental})
    editor.open("x = ")
    await editor.texts(0, 4)
    assert editor.told("dgLsp/draft") == editor.told("dgLsp/status") == []


async def test_a_draft_comes_before_the_answer_which_does_not_change_it(watching):
    watching.open("🙂; return ")
    request = watching.send_inline(0, 11, draftToken="mine")
    answer = await watching.answer(request)

    drafts = watching.told("dgLsp/draft")
    # Better ones that settle later do not replace what the user reads.
    assert [draft["text"] for draft in drafts] == ["a * b"]
    assert answer["result"]["items"][0]["insertText"] == "a * b"
    assert watching.messages[-1].get("id") == request or watching.messages[-2]["id"] == request
    at = {"line": 0, "character": 11}
    for draft in drafts:
        assert draft["token"] == "mine"
        assert (draft["uri"], draft["version"]) == ("file:///work/a.py", 1)
        assert draft["range"] == {"start": at, "end": at}
        assert sum(length for _, length in draft["confidence"]) == len(draft["text"])
        assert draft["settled"] == len(draft["text"])
        assert draft["stepsAllowed"] == 7


@pytest.mark.parametrize(
    ("extra", "expect"),
    [({"workDoneToken": 9}, 9), ({"draftToken": "d", "workDoneToken": 9}, "d")],
)
async def test_the_token_of_drafts(watching, extra, expect):
    watching.open("x = ")
    await watching.texts(0, 4, **extra)
    assert {draft["token"] for draft in watching.told("dgLsp/draft")} == {expect}


async def test_without_any_token_it_is_the_request_id(watching):
    watching.open("x = ")
    request = watching.send_inline(0, 4)
    await watching.answer(request)
    assert {draft["token"] for draft in watching.told("dgLsp/draft")} == {request}


async def test_no_draft_after_cancel(make_editor):
    editor = make_editor(Pace(1000, best_settles_last=True), AT_ONCE)
    await editor.begin(OPTED_IN)
    editor.open("return ")
    request = editor.send_inline(0, 7)
    await editor.until(lambda: editor.told("dgLsp/draft"))
    editor.cancel(request)
    num_drafts = len(editor.told("dgLsp/draft"))
    await editor.answer(request)
    await editor.until(lambda: editor.engine.states == [JobState.CANCELLED])

    assert len(editor.told("dgLsp/draft")) == num_drafts


async def test_no_draft_of_a_document_that_has_moved_on(make_editor):
    editor = make_editor(Pace(1000, best_settles_last=True), AT_ONCE)
    await editor.begin(OPTED_IN)
    editor.open("for i in ")
    editor.send_inline(0, 9)
    await editor.until(lambda: editor.told("dgLsp/draft"))
    editor.replace("for i in r")
    newer = editor.send_inline(0, 10)
    num_drafts = len(editor.told("dgLsp/draft"))
    await editor.until(lambda: len(editor.told("dgLsp/draft")) > num_drafts)

    assert {draft["version"] for draft in editor.told("dgLsp/draft")[num_drafts:]} == {2}
    assert {draft["token"] for draft in editor.told("dgLsp/draft")[num_drafts:]} == {newer}


async def test_drafts_are_throttled(make_editor):
    editor = make_editor(Pace(num_drafts=50), Settings(debounce_ms=0, draft_interval_ms=10_000))
    await editor.begin(OPTED_IN)
    editor.open("return ")
    await editor.texts(0, 7)
    assert len(editor.told("dgLsp/draft")) == 1


@pytest.mark.parametrize(
    ("kind", "pace", "before", "drafts", "answer"),
    [
        pytest.param(2, Pace(6, confidences=(0.1,) * 3), "return ", [], [], id="unsure"),
        pytest.param(
            2, Pace(6, best_settles_last=True), "broken = ", [], [], id="breaks the code"
        ),
        pytest.param(
            2,
            Pace(6, best_settles_last=True),
            "first = ",
            ["2"],
            ["2"],
            id="a better one breaks the code",
        ),
        pytest.param(2, Pace(6, best_settles_last=True), "none = ", [], [], id="nothing"),
        pytest.param(1, Pace(6, confidences=(0.1,)), "x = ", ["1"], ["1"], id="by hand"),
    ],
)
async def test_a_draft_is_shown_only_if_it_would_be_offered(
    make_editor, kind, pace, before, drafts, answer
):
    editor = make_editor(pace, AT_ONCE)
    await editor.begin(OPTED_IN)
    editor.open(before)
    assert await editor.texts(0, len(before), kind) == answer
    assert [draft["text"] for draft in editor.told("dgLsp/draft")] == drafts


@pytest.mark.parametrize(
    ("capabilities", "expect"),
    [pytest.param(OPTED_IN, ["a * b"], id="shown"), pytest.param({}, [], id="not shown")],
)
async def test_what_was_shown_stays_where_nothing_comes_up_to_it(
    make_editor, capabilities, expect
):
    editor = make_editor(Pace(6, best_settles_last=True, confidences=(0.1,)), AT_ONCE)
    await editor.begin(capabilities)
    editor.open("return ")
    assert await editor.texts(0, 7) == expect
    assert [one["text"] for one in editor.told("dgLsp/draft")][-1:] == expect


async def test_what_is_typed_along_with_a_draft_stands_though_the_model_thinks_better_of_it(
    make_editor,
):
    editor = make_editor(Pace(1000, best_settles_last=True), AT_ONCE)
    await editor.begin(OPTED_IN)
    editor.open("return ")
    editor.send_inline(0, 7)
    await editor.until(lambda: editor.told("dgLsp/draft"))
    assert editor.told("dgLsp/draft")[0]["text"] == "a * b"
    editor.replace("return a *")
    assert await editor.texts(0, 10) == [" b"]
    editor.replace("return a * ")
    assert await editor.texts(0, 11) == ["b"]
    assert len(editor.engine.jobs) == 1


async def test_beside_an_open_list_there_are_no_drafts(watching):
    watching.open("x = ")
    at = {"line": 0, "character": 4}
    selected = {"range": {"start": at, "end": at}, "text": "return "}
    answer = watching.send_inline(0, 4, context={"selectedCompletionInfo": selected})
    [item, *_] = (await watching.answer(answer))["result"]["items"]
    assert item["insertText"].startswith("return a")
    assert watching.told("dgLsp/draft") == []


async def test_drafts_of_a_rewrite_cover_the_selection(watching):
    watching.open("alpha\nbeta\n")
    span = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 4}}
    watching.replies["workspace/applyEdit"] = lambda params: {"applied": True}
    argument = {"uri": "file:///work/a.py", "range": span, "token": "r"}
    params = {"command": "dg-lsp.infill", "arguments": [argument]}
    await watching.ask("workspace/executeCommand", params)

    drafts = watching.told("dgLsp/draft")
    assert drafts
    assert all(draft["token"] == "r" and draft["range"] == span for draft in drafts)


async def test_status_is_sent_when_it_changes(watching):
    watching.open("x = ")
    await watching.texts(0, 4)
    await watching.until(lambda: not watching.told("dgLsp/status")[-1]["busy"])

    statuses = watching.told("dgLsp/status")
    assert all(one != other for one, other in pairwise(statuses))
    assert {
        *("busy", "kind", "message", "code", "model", "device", "memoryBytes"),
        *("percent", "followsInstructions"),
    } == set(statuses[0])
    assert True in [status["busy"] for status in statuses]
    assert (statuses[-1]["model"], statuses[-1]["kind"]) == ("scripted", "Normal")


async def test_loading_is_standard_progress(make_editor):
    editor = make_editor()
    editor.link.ready = asyncio.Event()
    await editor.begin({"window": {"workDoneProgress": True}})
    editor.open("x = ")
    await editor.until(lambda: editor.told("$/progress"))
    editor.link.ready.set()
    await editor.until(lambda: len(editor.told("$/progress")) == 2)

    [created] = editor.told("window/workDoneProgress/create")
    assert {one["token"] for one in editor.told("$/progress")} == {created["token"]}
    assert [one["value"]["kind"] for one in editor.told("$/progress")] == ["begin", "end"]
