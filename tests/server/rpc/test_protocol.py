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
        (b'"jsonrpc"', None, -32600),
        (b'{"id": 7, "method": "no/such/method"}', 7, -32601),
        (b'{"id": 7, "method": "codeAction/resolve", "params": {}}', 7, -32602),
        (b'{"jsonrpc": "1.0", "id": 7, "method": "shutdown"}', 7, -32600),
        (b'{"jsonrpc": 2, "id": {}, "method": "shutdown"}', None, -32600),
        (b'[{"jsonrpc": "2.0", "id": 7, "method": "no/such/method"}]', 7, -32601),
        (
            b'{"jsonrpc": "2.0", "id": 7, "method": "a", "params": ' + b"9" * 5000 + b"}",
            7,
            -32601,
        ),
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
    editor.deliver(message)
    await editor.until(lambda: answers(editor))

    # The server is still there, and nothing else was said.
    await editor.ask("workspace/executeCommand", {"command": "dg-lsp.status"})
    refused = [one for one in answers(editor) if "error" in one]
    assert [(one["id"], one["error"]["code"]) for one in refused] == [(msg_id, code)]
    assert len(answers(editor)) == 2
    # pygls itself answers methods that nobody knows.
    data = None if code == -32601 else {"code": "invalid-request"}
    assert refused[0]["error"].get("data") == data


@pytest.mark.parametrize(
    "message",
    [
        body(method="no/such/notification", params={"jsonrpc": "2.0"}),
        body(method="textDocument/didChange", params={}),
        body(method="$/cancelRequest", params={"id": 99}),
        body(method="$/cancelRequest", params={}),
        body(method="$/cancelRequest", params={"id": {"odd": 1}}),
        body(method="$/odd", params={"any": "thing"}),
        body(method="$/progress", params={"token": [], "value": None}),
        b"[" + body(method="no/such/notification") + b"]",
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
    editor.deliver(message)

    await editor.ask("workspace/executeCommand", {"command": "dg-lsp.status"})
    assert len(editor.messages) == before + 1


async def test_before_initialize_requests_are_refused_and_notifications_dropped(make_editor):
    editor = make_editor()
    editor.open("x = ")
    assert (await editor.refused("textDocument/inlineCompletion"))["code"] == -32002
    await editor.begin()
    assert await editor.texts(0, 4) == []


@pytest.mark.parametrize("changes", [None, 5, [None], [{"text": None}], [{"range": {}}]])
@pytest.mark.parametrize("revived_by", ["a whole text", "opening it again"])
async def test_an_odd_edit_silences_the_document_until_its_text_is_sure(
    editor, changes, revived_by
):
    editor.open("x = ")
    identifier = {"uri": URI, "version": 2}
    change = {"textDocument": identifier, "contentChanges": changes}
    editor.notify("textDocument/didChange", change)
    assert await editor.texts(0, 4) == []
    assert (await editor.trace())["reason_code"] == "out-of-sync"
    at = {"line": 0, "character": 0}
    edit = {"range": {"start": at, "end": at}, "text": "y = 1\n"}
    editor.notify(
        "textDocument/didChange", {"textDocument": identifier, "contentChanges": [edit]}
    )
    assert await editor.texts(0, 4) == []

    if revived_by == "a whole text":
        editor.replace("x = ")
    else:
        editor.open("x = ")
    assert await editor.texts(0, 4) == ["1"]
    assert editor.session.documents.get(URI).language == "python"


async def test_edits_around_one_that_replaces_all_count_from_there(editor):
    at = {"line": 0, "character": 0}
    edits = [
        {"text": "lost"},
        {"text": "= "},
        {"range": {"start": at, "end": at}, "text": "x "},
    ]
    editor.notify("textDocument/didOpen", {"textDocument": {"uri": URI, "text": None}})
    editor.notify(
        "textDocument/didChange", {"textDocument": {"uri": URI}, "contentChanges": edits}
    )
    assert await editor.texts(0, 4) == ["1"]


async def test_requests_for_a_lost_document_are_all_answered(editor):
    editor.open("x = ")
    editor.notify("textDocument/didChange", {"textDocument": {"uri": URI, "version": 2}})
    at = {"line": 0, "character": 4}
    place = {"textDocument": {"uri": URI}, "range": {"start": at, "end": at}}
    argument = {"uri": URI, "position": at}
    command = {"command": "dg-lsp.infill", "arguments": [argument]}
    resolve = {"title": "Fill here", "data": {"uri": URI, "range": place["range"]}}

    assert await editor.ask("textDocument/codeAction", {**place, "context": {}}) == []
    assert (await editor.refused("workspace/executeCommand", command))["code"] == -32602
    assert (await editor.refused("codeAction/resolve", resolve))["code"] == -32602


async def test_a_request_without_a_context_is_an_automatic_one(editor):
    editor.open("x = ")
    params = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 4}}
    result = await editor.ask("textDocument/inlineCompletion", params)
    assert [item["insertText"] for item in result["items"]] == ["1"]
    assert (await editor.trace())["trigger"] == "automatic"


async def test_initialize_is_answered_whatever_the_client_says_beside(make_editor):
    said = {
        "processId": 2**40,
        "clientInfo": {},
        "trace": "compact",
        "rootUri": "//[bad",
        "rootPath": "//odd",
        "workspaceFolders": [{"uri": "file://[bad", "name": ""}, {"uri": 5}, None],
        "workDoneToken": {"odd": 1},
        "capabilities": {
            "general": {"positionEncodings": [5, {}, "utf-8"]},
            "workspace": {"symbol": {"symbolKind": {"valueSet": [1, 99]}}, "applyEdit": "yes"},
            "textDocument": {
                "completion": {"completionItem": {"documentationFormat": ["html"]}},
                "publishDiagnostics": {"tagSupport": {"valueSet": [1, 2, -1]}},
                "inlineCompletion": {"dynamicRegistration": 3},
            },
        },
        "initializationOptions": [[[["odd"]]]],
    }
    editor = make_editor()
    result = await editor.ask("initialize", said)
    assert result["capabilities"]["positionEncoding"] == "utf-8"
    editor.notify("initialized", {})
    editor.open("x = ")
    assert await editor.texts(0, 4) == ["1"]


async def test_a_diagnostic_of_somebody_else_does_not_cost_the_menu(editor):
    editor.open("x = ")
    at = {"line": 0, "character": 4}
    spans = [{"start": at, "end": at}, {"start": {"line": None, "character": 0}, "end": at}]
    diagnostics = [
        {"range": spans[0], "message": "m", "severity": 0, "tags": [3]},
        {"range": spans[1], "message": "m"},
        {"range": {"start": {"line": 0, "character": -1}, "end": at}, "message": "m"},
        "odd",
    ]
    params = {
        "textDocument": {"uri": URI},
        "range": spans[0],
        "context": {"diagnostics": diagnostics, "triggerKind": 1},
    }
    menu = await editor.ask("textDocument/codeAction", params)
    assert "Fill here" in [entry["title"] for entry in menu]


@pytest.mark.parametrize("token", [{"odd": 1}, ["odd"], 1.5, True, None])
async def test_a_token_of_the_wrong_type_is_none(editor, token):
    editor.open("x = ")
    answer = await editor.answer(editor.send_inline(0, 4, workDoneToken=token))
    assert [item["insertText"] for item in answer["result"]["items"]] == ["1"]
    assert editor.told("$/progress") == []


async def test_every_message_of_a_batch_counts(editor):
    item = {"uri": URI, "languageId": "python", "version": 1, "text": "x = "}
    at = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 4}}
    editor.deliver(
        json.dumps(
            [
                {"method": "textDocument/didOpen", "params": {"textDocument": item}},
                {"id": "a", "method": "textDocument/inlineCompletion", "params": at},
                5,
                {"id": "b", "method": "no/such/method"},
            ]
        ).encode()
    )
    await editor.until(lambda: len(answers(editor)) == 3)
    ids = {one["id"]: one.get("error", {}).get("code") for one in answers(editor)}
    assert ids == {"a": None, None: -32600, "b": -32601}


async def test_thousands_of_unknown_requests_are_answered_once_each(editor):
    requests = [editor.send("no/such/method", {"any": number}) for number in range(3000)]
    codes = [(await editor.answer(request))["error"]["code"] for request in requests]
    assert codes == [-32601] * 3000
    await editor.ask("workspace/executeCommand", {"command": "dg-lsp.status"})
    assert len(answers(editor)) == 3001


async def test_an_answer_that_cannot_be_written_is_an_error(editor):
    data: dict = {}
    for _ in range(300):
        data = {"deeper": data}
    editor.open("x = ")
    at = {"line": 0, "character": 4}
    diagnostic = {"range": {"start": at, "end": at}, "message": "m", "data": data}
    params = {
        "textDocument": {"uri": URI},
        "range": diagnostic["range"],
        "context": {"diagnostics": [diagnostic]},
    }
    answer = await editor.answer(editor.send("textDocument/codeAction", params))
    assert "result" in answer or answer["error"]["code"] == -32603


async def test_unknown_notifications_with_a_dollar_are_quiet(editor, caplog):
    for method in ("$/odd", "$/logTrace", "$/progress"):
        editor.notify(method, {"any": "thing"})
    await editor.ask("workspace/executeCommand", {"command": "dg-lsp.status"})
    assert caplog.text == ""


ODD_URIS = [
    "//[bad",
    "file://[bad/a.py",
    "%zz",
    "file:///%zz/%",
    "file://host:port:x",
    "",
    "file:///" + "a" * 10_000,
    "file:///a%00b.py",
    "file:///\ud800.py",
    "file:",
    ":",
    "untitled:Untitled-1",
    "vscode-notebook-cell:/a.ipynb#W0",
    "\0",
    "\ud800",
]


@pytest.mark.parametrize("odd", ODD_URIS)
async def test_an_odd_uri_costs_no_request_of_any_document(make_editor, odd):
    editor = make_editor()
    capabilities = {
        "textDocument": {
            "codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": []}}}
        }
    }
    await editor.begin(capabilities, {"completionFallback": True})
    editor.open("x = ", odd)
    editor.open("x = ")
    at = {"line": 0, "character": 4}
    for uri in (URI, odd):
        place = {"textDocument": {"uri": uri}, "position": at}
        items = (await editor.ask("textDocument/inlineCompletion", place))["items"]
        assert [item["insertText"] for item in items] == ["1"]
        listed = await editor.ask("textDocument/completion", place)
        assert [item["textEdit"]["newText"] for item in listed["items"]] == ["1"]
        span = {"textDocument": {"uri": uri}, "range": {"start": at, "end": at}}
        menu = await editor.ask("textDocument/codeAction", {**span, "context": {}})
        data = {"uri": uri, "range": span["range"]}
        action = {"title": "Fill here", "data": data}
        assert (await editor.ask("codeAction/resolve", action))["edit"]
        assert "Fill here" in [entry["title"] for entry in menu]
    identifier = {"uri": odd}
    editor.notify("textDocument/didSave", {"textDocument": identifier})
    editor.notify("textDocument/didClose", {"textDocument": identifier})
    assert await editor.texts(0, 4) == ["1"]


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
    assert answer["error"]["data"] == {"code": "defect"}
    assert editor.told("window/showMessage") == []
    assert "secret.py" in caplog.text


async def test_an_id_in_use_is_refused_and_the_first_request_is_answered(editor):
    editor.open("x = ")
    editor.engine.gate.clear()
    request = editor.send_inline(0, 4)
    await editor.until(lambda: len(editor.engine.jobs) == 1)
    editor.deliver(body(id=request, method="shutdown"))
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
