"""Drafts and status, for clients that opted in and for no others."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from dg_lsp.job import JobState
from dg_lsp.server.scripted import Pace
from dg_lsp.server.settings import Settings

OPTED_IN = {"experimental": {"dgLsp": {"drafts": True, "status": True}}}
AT_ONCE = Settings(debounce_ms=0, draft_interval_ms=0)


@pytest.fixture
async def watching(make_editor):
    editor = make_editor(Pace(num_drafts=6), AT_ONCE)
    await editor.begin(OPTED_IN)
    return editor


@pytest.mark.parametrize(
    "experimental",
    [None, {}, {"dgLsp": True}, {"dgLsp": {"drafts": "yes"}}, {"dgLsp": {"drafts": 1}}, []],
)
async def test_who_has_not_opted_in_gets_standard_lsp_alone(make_editor, experimental):
    editor = make_editor(Pace(num_drafts=6), AT_ONCE)
    await editor.begin({"experimental": experimental})
    editor.open("x = ")
    await editor.texts(0, 4)
    assert editor.told("dgLsp/draft") == editor.told("dgLsp/status") == []


async def test_drafts_come_in_order_and_before_the_answer(watching):
    watching.open("🙂; for i in ")
    request = watching.send_inline(0, 13, draftToken="mine")
    await watching.answer(request)

    drafts = watching.told("dgLsp/draft")
    assert [draft["step"] for draft in drafts] == sorted({draft["step"] for draft in drafts})
    assert len(drafts) >= 3
    assert watching.messages[-1].get("id") == request or watching.messages[-2]["id"] == request
    at = {"line": 0, "character": 13}
    for draft in drafts:
        assert draft["token"] == "mine"
        assert (draft["uri"], draft["version"]) == ("file:///work/a.py", 1)
        assert draft["range"] == {"start": at, "end": at}
        assert sum(length for _, length in draft["confidence"]) == len(draft["text"])
        assert 0 <= draft["settled"] <= len(draft["text"])
        assert draft["stepsAllowed"] == 7
    settled = [draft["settled"] for draft in drafts]
    assert settled == sorted(settled)
    assert settled[-1] > 0


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
    editor = make_editor(Pace(num_drafts=1000), AT_ONCE)
    await editor.begin(OPTED_IN)
    editor.open("for i in ")
    request = editor.send_inline(0, 9)
    await editor.until(lambda: len(editor.told("dgLsp/draft")) > 2)
    editor.cancel(request)
    num_drafts = len(editor.told("dgLsp/draft"))
    await editor.answer(request)
    await editor.until(lambda: editor.engine.states == [JobState.CANCELLED])

    assert len(editor.told("dgLsp/draft")) == num_drafts


async def test_no_draft_of_a_document_that_has_moved_on(make_editor):
    editor = make_editor(Pace(num_drafts=1000), AT_ONCE)
    await editor.begin(OPTED_IN)
    editor.open("for i in ")
    editor.send_inline(0, 9)
    await editor.until(lambda: len(editor.told("dgLsp/draft")) > 2)
    editor.replace("for i in r")
    newer = editor.send_inline(0, 10)
    num_drafts = len(editor.told("dgLsp/draft"))
    await editor.until(lambda: len(editor.told("dgLsp/draft")) > num_drafts)

    assert {draft["version"] for draft in editor.told("dgLsp/draft")[num_drafts:]} == {2}
    assert {draft["token"] for draft in editor.told("dgLsp/draft")[num_drafts:]} == {newer}


async def test_drafts_are_throttled(make_editor):
    editor = make_editor(Pace(num_drafts=50), Settings(debounce_ms=0, draft_interval_ms=10_000))
    await editor.begin(OPTED_IN)
    editor.open("for i in ")
    await editor.texts(0, 9)
    assert len(editor.told("dgLsp/draft")) == 1


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
