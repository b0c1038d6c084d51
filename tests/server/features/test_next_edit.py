"""Next edits through the messages of the Copilot language server."""

from __future__ import annotations

import asyncio
import json

import pytest

from dg_lsp.server.features import next_edit as module
from dg_lsp.server.settings import NextEdits, Settings

METHOD = "textDocument/copilotInlineEdit"
URI = "file:///work/a.py"
TEXT = "def load(path):\n    return open(path)\n\n\nprint(load(1))\nprint(load(2))\n"
RENAMED = TEXT.replace("def load", "def read")


async def edits(editor, line=0, character=8, uri=URI, **document):
    answer = await editor.ask(
        METHOD,
        {
            "textDocument": {"uri": uri, **document},
            "position": {"line": line, "character": character},
            "context": {"triggerKind": 2},
        },
    )
    return answer["edits"]


def applied(text, edit):
    lines = text.split("\n")
    start, end = edit["range"]["start"], edit["range"]["end"]
    assert start["line"] == end["line"]
    line = lines[start["line"]]
    lines[start["line"]] = line[: start["character"]] + edit["text"] + line[end["character"] :]
    return "\n".join(lines)


async def test_the_uses_of_a_renamed_function_one_after_the_other(editor):
    editor.open(TEXT)
    editor.replace(RENAMED)
    [edit] = await edits(editor, version=2)
    assert edit["text"] == "read"
    assert edit["range"] == {
        "start": {"line": 4, "character": 6},
        "end": {"line": 4, "character": 10},
    }
    assert edit["textDocument"] == {"uri": URI, "version": 2}
    then = applied(RENAMED, edit)
    editor.replace(then)
    [edit] = await edits(editor, line=4, version=3)
    assert applied(then, edit) == TEXT.replace("load", "read")
    editor.replace(applied(then, edit))
    assert await edits(editor, line=5, version=4) == []
    assert (await editor.trace())["reason_code"] == "no-next-edit"


async def test_typing_a_name_key_by_key(editor):
    editor.open(TEXT)
    for name in ("loa", "lo", "l", "ge", "get", "get_all"):
        editor.replace(TEXT.replace("def load", f"def {name}"))
    [edit] = await edits(editor)
    assert edit["text"] == "get_all"


async def test_without_an_edit_there_is_none(editor):
    editor.open(TEXT)
    assert await edits(editor) == []


async def test_another_version_is_answered_with_nothing(editor):
    editor.open(TEXT)
    editor.replace(RENAMED)
    assert await edits(editor, version=1) == []
    assert (await editor.trace())["reason_code"] == "other-version"


async def test_a_file_that_was_read_again_from_the_disk_has_no_next_edit(editor):
    editor.open(TEXT)
    editor.replace(RENAMED)
    editor.replace("".join(f"x{number} = load({number})\n" for number in range(200)))
    assert await edits(editor) == []


async def test_an_edit_while_the_answer_is_found_makes_it_empty(editor, monkeypatch):
    found, go = asyncio.Event(), asyncio.Event()

    async def slow(function, *arguments):
        found.set()
        await go.wait()
        return function(*arguments)

    monkeypatch.setattr(module.asyncio, "to_thread", slow)
    editor.open(TEXT)
    editor.replace(RENAMED)
    asking = asyncio.ensure_future(edits(editor))
    await found.wait()
    editor.replace("\n" + RENAMED)
    go.set()
    assert await asking == []
    assert (await editor.trace())["reason_code"] == "changed"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"nextEdits": "off"}, "switched-off"),
        ({"enable": False}, "switched-off"),
        ({"languages": {"python": False}}, "switched-off"),
        ({"exclude": ["*.py"]}, "excluded"),
        ({"include": ["*.js"]}, "not-included"),
    ],
)
async def test_where_nothing_may_be_offered(make_editor, options, code):
    editor = make_editor()
    await editor.begin(options=options)
    editor.open(TEXT)
    editor.replace(RENAMED)
    assert await edits(editor) == []
    assert (await editor.trace())["reason_code"] == code


async def test_a_document_that_is_not_open(editor):
    assert await edits(editor, uri="file:///work/other.py") == []


@pytest.mark.parametrize(
    "params",
    [None, {}, {"textDocument": {"uri": URI}}, {"textDocument": 1, "position": {}}, []],
)
async def test_a_request_that_cannot_be_read(editor, params):
    assert (await editor.refused(METHOD, params))["code"] == -32602


async def test_a_parallel_line_is_offered_only_if_the_settings_say_so(make_editor):
    text = "def f(a, b):\n    a.first.add(a, 1, 2)\n    b.first.add(b, 1, 2)\n"
    for wanted, number in ((NextEdits.CERTAIN, 0), (NextEdits.ALL, 1)):
        editor = make_editor(settings=Settings(next_edits=wanted))
        await editor.begin()
        editor.open(text)
        editor.replace(text.replace("add(a", "put(a"))
        assert len(await edits(editor, line=1)) == number


async def test_no_secret_is_offered_or_changed(make_editor):
    editor = make_editor(settings=Settings(next_edits=NextEdits.ALL))
    await editor.begin()
    text = "def f(a, b):\n    a.client.use(a, 1, key)\n    b.client.use(b, 1, key)\n"
    secret = '"ghp_' + "a1B2c3D4e5" * 3 + 'F6g7H8"'
    editor.open(text)
    editor.replace(text.replace("(a, 1, key", f"(a, 1, {secret}"))
    assert await edits(editor, line=1) == []


async def test_what_is_dismissed_is_not_offered_again(editor):
    editor.open(TEXT)
    editor.replace(RENAMED)
    [edit] = await edits(editor)
    dismissed = {"command": "dg-lsp.dismissNextEdit", "arguments": edit["command"]["arguments"]}
    assert await editor.ask("workspace/executeCommand", dismissed) == {"dismissed": True}
    assert await edits(editor) == []
    assert await editor.ask("workspace/executeCommand", dismissed) == {"dismissed": False}


async def test_what_becomes_of_it_is_counted_once(editor, monkeypatch):
    told = []
    monkeypatch.setattr(
        editor.session.usage, "note", lambda event, about: told.append((event, about.text))
    )
    editor.open(TEXT)
    editor.replace(RENAMED)
    [edit] = await edits(editor)
    for _ in range(2):
        editor.notify("textDocument/didShowInlineEdit", {"item": {"command": edit["command"]}})
    editor.notify("textDocument/didShowInlineEdit", {"item": {}})
    editor.replace(applied(RENAMED, edit))
    command = {key: edit["command"][key] for key in ("command", "arguments")}
    assert await editor.ask("workspace/executeCommand", command) == {}
    assert told == [("shown", "read"), ("accepted", "read")]
    assert json.dumps(edit["command"]["arguments"])
