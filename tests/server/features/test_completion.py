"""The completion list as a way to suggestions, opt-in."""

from __future__ import annotations

import pytest

from dg_lsp.server.settings import Settings

URI = "file:///work/a.py"
PARAMS = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 9}}


async def test_it_is_off_unless_asked_for(editor):
    editor.open("for i in ")
    assert (await editor.refused("textDocument/completion", PARAMS))["code"] == -32601


async def test_entries_extend_the_word_at_the_cursor(make_editor):
    editor = make_editor()
    result = await editor.begin(options={"completionFallback": True, "debounceMs": 0})
    assert "completionProvider" in result["capabilities"]
    editor.open("for i in ")

    answer = await editor.ask("textDocument/completion", PARAMS)
    assert answer["isIncomplete"] is True
    [item] = answer["items"]
    at = PARAMS["position"]
    text = "range(n):\n    print(i)\n"
    assert item["textEdit"] == {"range": {"start": at, "end": at}, "newText": text}
    assert (item["label"], item["filterText"]) == ("range(n):", text)

    editor.replace("for i in ran")
    answer = await editor.ask(
        "textDocument/completion", {**PARAMS, "position": {"line": 0, "character": 12}}
    )
    [item] = answer["items"]
    assert item["textEdit"]["range"] == {"start": at, "end": {"line": 0, "character": 12}}
    assert item["textEdit"]["newText"] == text
    assert len(editor.engine.jobs) == 1


@pytest.mark.parametrize("uri", ["file:///work/.env", "file:///not/open.py"])
async def test_where_nothing_is_offered_the_list_is_empty(make_editor, uri):
    editor = make_editor(settings=Settings(completion_fallback=True))
    await editor.begin()
    editor.open("x = ", uri="file:///work/.env")
    params = {**PARAMS, "textDocument": {"uri": uri}}
    assert await editor.ask("textDocument/completion", params) == {
        "isIncomplete": True,
        "items": [],
    }
