"""Exactly one answer to every request, whatever comes in, and a clean end."""

from __future__ import annotations

import json
import logging

import pytest

from dg_lsp.job import JobState

URI = "file:///work/a.py"


def body(**message) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode()


def answers(editor) -> list[dict]:
    return [one for one in editor.messages if "method" not in one and one.get("id") != 1]


@pytest.mark.parametrize(
    ("message", "msg_id", "code"),
    [
        (b"{", None, -32700),
        (b"\xff\xfe", None, -32700),
        (b"[" * 100_000, None, -32700),
        (b"[]", None, -32600),
        (b'{"id": 7, "method": "shutdown"}', None, -32600),
        (body(id=7, method=5), 7, -32600),
        (body(id=None, method="shutdown"), None, -32600),
        (body(id=1.5, method="shutdown"), None, -32600),
        (body(id=7, method="no/such/method", params={}), 7, -32601),
        (body(id=7, method="$/odd"), 7, -32601),
        (body(id="x", method="initialize", params={}), "x", -32600),
        (body(id=7, method="textDocument/inlineCompletion", params={"position": 3}), 7, -32602),
        (body(id=7, method="textDocument/inlineCompletion"), 7, -32602),
        (body(id=7, method="textDocument/codeAction", params=[]), 7, -32602),
        (
            body(
                id=7,
                method="textDocument/inlineCompletion",
                params={
                    "textDocument": {"uri": URI},
                    "position": {"line": -1, "character": 0},
                    "context": {"triggerKind": 1},
                },
            ),
            7,
            -32602,
        ),
        (body(id=7, method="workspace/executeCommand", params={"command": "rm"}), 7, -32602),
        (
            body(
                id=7,
                method="workspace/executeCommand",
                params={"command": "dg-lsp.infill", "arguments": [{"jsonrpc": "2.0"}]},
            ),
            7,
            -32602,
        ),
    ],
)
async def test_what_cannot_be_done_is_answered_once(editor, message, msg_id, code):
    editor.raw(message)
    await editor.until(lambda: answers(editor))

    # The server is still there, and nothing else was said.
    await editor.ask("workspace/executeCommand", {"command": "dg-lsp.status"})
    refused = [one for one in answers(editor) if "error" in one]
    assert [(one["id"], one["error"]["code"]) for one in refused] == [(msg_id, code)]
    assert len(answers(editor)) == 2
    assert "data" not in refused[0]["error"] or refused[0]["error"]["data"] is None


@pytest.mark.parametrize(
    "message",
    [
        body(method="no/such/notification", params={"jsonrpc": "2.0"}),
        body(method="textDocument/didChange", params={}),
        body(method="$/cancelRequest", params={"id": 99}),
        body(method="$/cancelRequest", params={}),
        body(method="$/setTrace", params={"value": "odd"}),
        body(id="never asked", result=None),
        body(id="never asked", error={"code": 1, "message": ""}),
        body(id={"odd": 1}, result=None),
        body(method="textDocument/didShowCompletion", params=None),
        body(method="textDocument/didPartiallyAcceptCompletion", params={"acceptedLength": 3}),
        body(method="textDocument/didClose", params={"textDocument": {"uri": "file:///no"}}),
        body(method="window/workDoneProgress/cancel", params={"token": "never"}),
    ],
)
async def test_notifications_and_stray_responses_are_never_answered(editor, message):
    before = len(editor.messages)
    editor.raw(message)

    await editor.ask("workspace/executeCommand", {"command": "dg-lsp.status"})
    assert len(editor.messages) == before + 1


async def test_before_initialize_requests_are_refused_and_notifications_dropped(make_editor):
    editor = make_editor()
    editor.open("x = ")
    assert (await editor.refused("textDocument/inlineCompletion"))["code"] == -32002
    await editor.begin()
    assert await editor.texts(0, 4) == []


async def test_an_edit_that_does_not_decode_closes_the_document(editor):
    editor.open("x = ")
    change = {"textDocument": {"uri": URI, "version": 2}, "contentChanges": 5}
    editor.notify("textDocument/didChange", change)
    assert await editor.texts(0, 4) == []


async def test_after_shutdown_requests_are_refused(editor):
    assert await editor.ask("shutdown") is None
    assert (await editor.refused("textDocument/inlineCompletion"))["code"] == -32600
    assert (await editor.refused("shutdown"))["code"] == -32600


@pytest.mark.parametrize("during", ["command", "completion", "both"])
async def test_shutdown_ends_what_is_under_way(editor, during):
    editor.open("x = ")
    editor.engine.gate.clear()
    requests = []
    if during != "completion":
        place = {"uri": URI, "position": {"line": 0, "character": 4}}
        params = {"command": "dg-lsp.infill", "arguments": [place]}
        requests.append(editor.send("workspace/executeCommand", params))
    if during != "command":
        requests.append(editor.send_inline(0, 4))
    await editor.until(lambda: len(editor.engine.jobs) == len(requests))
    await editor.until(lambda: set(editor.engine.states) == {JobState.RUNNING})

    assert await editor.ask("shutdown") is None
    for request in requests:
        assert (await editor.answer(request))["error"]["code"] == -32800
    await editor.until(lambda: set(editor.engine.states) == {JobState.CANCELLED})


@pytest.mark.parametrize(("says_shutdown", "expect"), [(True, 0), (False, 1)])
async def test_exit_status(editor, says_shutdown, expect):
    statuses: list[int] = []
    editor.session.server.protocol.on_exit = statuses.append
    if says_shutdown:
        await editor.ask("shutdown")
    editor.notify("exit")
    assert statuses == [expect]


async def test_a_defect_is_answered_without_tracebacks_and_paths(editor, monkeypatch, caplog):
    def fail(*arguments):
        raise OSError(2, "no such file", "/home/user/secret.py")

    monkeypatch.setattr(editor.session.suggestions, "suggest", fail)
    editor.open("x = ")
    answer = await editor.answer(editor.send_inline(0, 4))

    assert answer["error"]["code"] == -32603
    assert "/home" not in json.dumps(answer)
    assert "internal error" in answer["error"]["message"]
    assert "data" not in answer["error"] or answer["error"]["data"] is None
    assert editor.told("window/showMessage") == []
    assert "secret.py" in caplog.text


async def test_an_id_in_use_is_refused_and_the_first_request_is_answered(editor):
    editor.open("x = ")
    editor.engine.gate.clear()
    request = editor.send_inline(0, 4)
    await editor.until(lambda: len(editor.engine.jobs) == 1)
    editor._answers.pop(request)
    editor.raw(body(id=request, method="shutdown"))
    editor.engine.gate.set()
    await editor.until(lambda: len([a for a in answers(editor) if a["id"] == request]) == 2)

    first, second = (one for one in answers(editor) if one["id"] == request)
    assert first["error"]["code"] == -32600
    assert second["result"]["items"][0]["insertText"] == "1"


async def test_the_logs_hold_no_source(editor, caplog):
    caplog.set_level(logging.DEBUG, logger="dg_lsp")
    editor.open("my_secret_source = ")
    await editor.texts(0, 19)
    assert "my_secret_source" not in caplog.text
    assert logging.getLogger("pygls").level == logging.WARNING


async def test_a_client_that_does_not_read_ends_nothing(editor):
    def broken(data: bytes) -> None:
        raise BrokenPipeError

    editor.open("x = ")
    protocol = editor.session.server.protocol
    protocol.writer.write = broken
    editor.send_inline(0, 4)
    await editor.until(lambda: editor.engine.states == [JobState.DONE])
