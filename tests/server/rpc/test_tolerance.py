"""Messages of which a part is odd: the part is dropped, the rest counts."""

from __future__ import annotations

import importlib.resources
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from lsprotocol import types

from dg_lsp.server.rpc.tolerance import (
    MOST,
    NO_VERSION,
    UnreadableError,
    make_converter,
    structure,
)

CONVERTER = make_converter()
CLIENTS = ("emacs_v29.1", "neovim_v0.11.0", "visual_studio_code_v1.65.2")
AT = {"line": 0, "character": 4}
HERE = {"start": AT, "end": AT}
DOCUMENT = {"uri": "file:///work/a.py"}
ODD = [None, -1, 2**40, 1.5, True, "odd", "", [], {}, [None], [[[[[[{}]]]]]], {"a": {"b": [5]}}]

DIAGNOSTIC = {
    "range": HERE,
    "severity": 1,
    "code": "E1",
    "codeDescription": {"href": "https://example.org/e1"},
    "source": "checker",
    "message": "undefined name",
    "tags": [1],
    "relatedInformation": [{"location": {**DOCUMENT, "range": HERE}, "message": "here"}],
    "data": {"any": ["thing"]},
}
MESSAGES: dict[str, dict[str, Any]] = {
    "textDocument/didOpen": {
        "textDocument": {**DOCUMENT, "languageId": "python", "version": 3, "text": "x = \n"}
    },
    "textDocument/didChange": {
        "textDocument": {**DOCUMENT, "version": 4},
        "contentChanges": [{"range": HERE, "rangeLength": 0, "text": "1"}, {"text": "x = 1"}],
    },
    "textDocument/didClose": {"textDocument": DOCUMENT},
    "textDocument/didSave": {"textDocument": DOCUMENT, "text": "x = 1"},
    "textDocument/inlineCompletion": {
        "textDocument": {**DOCUMENT, "version": 4},
        "position": AT,
        "context": {
            "triggerKind": 1,
            "selectedCompletionInfo": {"range": HERE, "text": "print"},
        },
        "workDoneToken": "one",
        "formattingOptions": {"tabSize": 2, "insertSpaces": True},
        "draftToken": 5,
    },
    "textDocument/completion": {
        "textDocument": DOCUMENT,
        "position": AT,
        "context": {"triggerKind": 2, "triggerCharacter": "."},
        "workDoneToken": 5,
        "partialResultToken": "two",
    },
    "textDocument/codeAction": {
        "textDocument": DOCUMENT,
        "range": HERE,
        "context": {"diagnostics": [DIAGNOSTIC, DIAGNOSTIC], "only": ["quickfix"]},
        "workDoneToken": 5,
    },
    "codeAction/resolve": {
        "title": "Fill here",
        "kind": "refactor.rewrite",
        "diagnostics": [DIAGNOSTIC],
        "isPreferred": False,
        "disabled": {"reason": "no"},
        "edit": {"changes": {"file:///work/a.py": [{"range": HERE, "newText": "x"}]}},
        "command": {"title": "Fill", "command": "dg-lsp.infill", "arguments": [{}]},
        "data": {**DOCUMENT, "version": 4, "range": HERE},
        "tags": [1],
    },
    "workspace/executeCommand": {
        "command": "dg-lsp.status",
        "arguments": [{"any": 1}],
        "workDoneToken": "three",
    },
    "workspace/didChangeConfiguration": {"settings": {"dgLsp": {"enable": True}}},
    "workspace/didChangeWorkspaceFolders": {
        "event": {"added": [{"uri": "file:///b", "name": "b"}], "removed": []}
    },
    "window/workDoneProgress/cancel": {"token": 5},
}
NEEDED = {
    "textDocument/didOpen": ["textDocument", "textDocument.uri", "textDocument.text"],
    "textDocument/didChange": ["textDocument", "textDocument.uri", "contentChanges"],
    "textDocument/didClose": ["textDocument", "textDocument.uri"],
    "textDocument/didSave": ["textDocument", "textDocument.uri"],
    "textDocument/inlineCompletion": ["textDocument", "textDocument.uri", "position"],
    "textDocument/completion": ["textDocument", "textDocument.uri", "position"],
    "textDocument/codeAction": ["textDocument", "textDocument.uri", "range"],
    "codeAction/resolve": ["title"],
    "workspace/executeCommand": ["command"],
    "workspace/didChangeConfiguration": [],
    "workspace/didChangeWorkspaceFolders": ["event", "event.added", "event.removed"],
    "window/workDoneProgress/cancel": ["token"],
}
"""What a message cannot do without, with all that is in it."""


def read(method: str, params: Any) -> Any:
    params = json.loads(json.dumps(params))
    message = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
    return structure(CONVERTER, message, types.METHOD_TO_TYPES[method][0]).params


def client(name: str) -> dict[str, Any]:
    """What a real client said when it started the server."""
    file = importlib.resources.files("pytest_lsp.clients") / f"{name}.json"
    return json.loads(file.read_text())


def parts(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Where all the parts of a message are."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else ()
    for key, one in enumerate(value) if isinstance(value, list) else inner:
        yield from parts(one, (*path, key))


def with_part(params: Any, path: tuple, value: Any) -> Any:
    params = json.loads(json.dumps(params))
    holder = params
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return params


def is_needed(method: str, path: tuple) -> bool:
    names = [name.split(".") for name in NEEDED[method]]
    keys = [key for key in path if isinstance(key, str)]
    if method == "textDocument/didChange" and path[-1] == "rangeLength":
        return False
    return any(
        keys == name
        or (
            len(keys) > len(name) == 1
            and keys[:1] == name
            and name[0] not in ("textDocument", "event")
        )
        for name in names
    )


@pytest.mark.parametrize("method", MESSAGES)
def test_no_part_that_is_not_needed_costs_the_message(method):
    read(method, MESSAGES[method])
    for path in parts(MESSAGES[method]):
        for odd in ODD:
            params = with_part(MESSAGES[method], path, odd)
            if not is_needed(method, path):
                read(method, params)


@pytest.mark.parametrize("name", CLIENTS)
def test_no_part_of_what_a_client_says_of_itself_keeps_it_out(name):
    said = client(name)
    expect = read("initialize", said)
    assert expect.capabilities.text_document is not None
    for path in parts(said):
        for odd in (None, 99, "odd", [[{}]]):
            read("initialize", with_part(said, path, odd))


def test_only_the_bad_part_is_dropped(caplog):
    caplog.set_level(logging.DEBUG, logger="dg_lsp")
    bad = {**DIAGNOSTIC, "range": {"start": {"line": None, "character": 0}, "end": AT}}
    odd = {**DIAGNOSTIC, "severity": 0, "tags": [3, 1, "my secret"]}
    context = {"diagnostics": [bad, odd, {**DIAGNOSTIC, "range": {"start": AT, "end": -1}}]}
    params = {"textDocument": DOCUMENT, "range": HERE, "context": context}

    (left,) = read("textDocument/codeAction", params).context.diagnostics
    assert (left.severity, left.tags, left.message) == (None, [1], "undefined name")
    assert "params.context.diagnostics[1].tags[2]" in caplog.text
    assert "my secret" not in caplog.text


def test_what_is_left_out_has_its_usual_meaning():
    params = {"textDocument": DOCUMENT, "position": AT}
    context = read("textDocument/inlineCompletion", params).context
    assert context.trigger_kind is types.InlineCompletionTriggerKind.Automatic
    assert read("textDocument/codeAction", {"textDocument": DOCUMENT, "range": HERE})
    opened = read("textDocument/didOpen", {"textDocument": {**DOCUMENT, "text": ""}})
    assert opened.text_document.language_id == "plaintext"
    changed = read("textDocument/didChange", {"textDocument": DOCUMENT, "contentChanges": []})
    assert changed.text_document.version == NO_VERSION


@pytest.mark.parametrize(
    ("position", "expect"),
    [
        ({"line": 2**32 - 1, "character": 2**53}, (MOST, MOST)),
        ({"line": 1.0, "character": 0}, (1, 0)),
    ],
)
def test_numbers_that_clients_write_their_own_way(position, expect):
    read_at = read(
        "textDocument/inlineCompletion", {"textDocument": DOCUMENT, "position": position}
    ).position
    assert (read_at.line, read_at.character) == expect


def test_a_null_range_of_an_edit_is_none():
    edit = {"range": None, "rangeLength": -5, "text": "x"}
    params = {"textDocument": {**DOCUMENT, "version": 2}, "contentChanges": [edit]}
    (change,) = read("textDocument/didChange", params).content_changes
    assert change == types.TextDocumentContentChangeWholeDocument("x")


@pytest.mark.parametrize(
    ("method", "params", "names"),
    [
        ("textDocument/inlineCompletion", None, "params"),
        ("textDocument/inlineCompletion", {"textDocument": DOCUMENT}, "params.position"),
        (
            "textDocument/inlineCompletion",
            {"textDocument": DOCUMENT, "position": {"line": -1, "character": 0}},
            "params.position.line",
        ),
        (
            "textDocument/inlineCompletion",
            {"textDocument": {"uri": 5}, "position": AT},
            "params.textDocument.uri",
        ),
        (
            "textDocument/codeAction",
            {"textDocument": DOCUMENT, "range": {"start": AT, "end": {"line": 0}}},
            "params.range.end.character",
        ),
        (
            "textDocument/didChange",
            {"textDocument": DOCUMENT, "contentChanges": None},
            "contentC",
        ),
        (
            "textDocument/didChange",
            {"textDocument": DOCUMENT, "contentChanges": [{"text": "a"}, {"text": None}]},
            "params.contentChanges[1]",
        ),
        (
            "textDocument/didOpen",
            {"textDocument": {**DOCUMENT, "version": 2**40, "text": None}},
            "params.textDocument.text",
        ),
        ("workspace/executeCommand", {"arguments": []}, "params.command"),
    ],
)
def test_a_part_that_is_needed_is_named(method, params, names):
    with pytest.raises(UnreadableError, match=names.replace("[", r"\[")):
        read(method, params)


def test_an_edit_is_never_dropped():
    edits = MESSAGES["textDocument/didChange"]["contentChanges"]
    for at in range(len(edits)):
        for odd in ODD:
            params = with_part(MESSAGES["textDocument/didChange"], ("contentChanges", at), odd)
            with pytest.raises(UnreadableError):
                read("textDocument/didChange", params)


async def test_whatever_is_odd_each_request_has_one_answer_and_the_session_goes_on(editor):
    editor.open("x = ")
    at = len(editor.messages)
    requests = []
    for method, params in MESSAGES.items():
        for path in parts(params):
            for odd in ODD[:6]:
                changed = with_part(params, path, odd)
                if method in ("textDocument/didOpen", "workspace/didChangeConfiguration"):
                    continue
                if types.METHOD_TO_TYPES[method][1] is None:
                    editor.notify(method, changed)
                else:
                    requests.append(editor.send(method, changed))
    codes = [(await editor.answer(one)).get("error", {}).get("code") for one in requests]
    assert -32603 not in codes
    answered = [one["id"] for one in editor.messages[at:] if "method" not in one]
    assert sorted(answered) == requests

    editor.open("x = ")
    assert await editor.texts(0, 4) == ["1"]
