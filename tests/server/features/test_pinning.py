"""Pinned ranges of a rewrite: all around them is written anew, from where it stands."""

from __future__ import annotations

import pytest

from dg_lsp.job import Earlier
from dg_lsp.server.link.scripted import Pace

URI = "file:///work/a.py"
CODE = "total = width * height + 1\n"
CAPABILITIES = {
    "workspace": {"workspaceEdit": {"documentChanges": True}},
    "experimental": {"dgLsp": {"drafts": True}},
}


def at(start: int, end: int, line: int = 0):
    ends = [{"line": line, "character": character} for character in (start, end)]
    return {"start": ends[0], "end": ends[1]}


def action(pinned, **more):
    data = {"uri": URI, "range": at(8, 26), "pinned": pinned, **more}
    return {"title": "Keep this", "kind": "refactor.rewrite", "data": data}


@pytest.fixture
async def pinning(make_editor):
    editor = make_editor(Pace(num_drafts=3))
    await editor.begin(CAPABILITIES)
    editor.open(CODE)
    editor.engine.script = lambda job: ["2 * | + depth"]
    return editor


def applied(text: str, edit) -> str:
    start, end = (edit["range"][side]["character"] for side in ("start", "end"))
    return text[:start] + edit["newText"] + text[end:]


async def test_the_rest_is_written_around_a_pinned_word(pinning):
    resolved = await pinning.ask("codeAction/resolve", action([at(16, 22)], token="t"))

    [job] = pinning.engine.jobs
    [pin] = job.pinned
    assert (pin.text, pin.earlier, job.earlier) == (
        "height",
        Earlier("width * "),
        Earlier(" + 1"),
    )
    assert (job.prefix, job.suffix) == ("total = ", "\n")
    [change] = resolved["edit"]["documentChanges"]
    [edit] = change["edits"]
    assert applied(CODE, edit) == "total = 2 * height + depth\n"
    assert resolved["data"]["confidence"] == [[0.9, len("2 * height + depth")]]


async def test_a_pin_at_an_edge_leaves_one_part(pinning):
    pinning.engine.script = lambda job: ["2 * depth + "]
    resolved = await pinning.ask("codeAction/resolve", action([at(25, 26)], token="t"))

    [job] = pinning.engine.jobs
    assert (job.pinned, job.earlier) == ((), Earlier("width * height + "))
    [edit] = resolved["edit"]["documentChanges"][0]["edits"]
    assert applied(CODE, edit) == "total = 2 * depth + 1\n"
    # Drafts and confidence are of the whole range, with what stays at its edges.
    assert resolved["data"]["confidence"] == [[0.9, 12], [1.0, 1]]
    drafts = pinning.told("dgLsp/draft")
    assert drafts
    for draft in drafts:
        assert draft["range"] == at(8, 26)
        assert draft["text"].endswith("1")


async def test_a_pin_that_splits_a_word_keeps_its_characters(pinning):
    pinning.engine.script = lambda job: ["e|avy"]
    resolved = await pinning.ask("codeAction/resolve", action([at(18, 19)]))

    assert [one.text for one in pinning.engine.jobs[0].pinned] == ["i"]
    [edit] = resolved["edit"]["documentChanges"][0]["edits"]
    assert applied(CODE, edit) == "total = eiavy\n"


@pytest.mark.parametrize(
    ("pinned", "more", "code"),
    [
        ([at(0, 5)], {}, "invalid-request"),
        ([at(20, 26)], {"range": at(8, 24)}, "invalid-request"),
        ([at(0, 1, line=7)], {}, "invalid-request"),
        ([at(8, 26)], {}, "no-holes"),
        ("height", {}, "invalid-request"),
        ({}, {}, "invalid-request"),
        (False, {}, "invalid-request"),
        ([{"start": 3}], {}, "invalid-request"),
        ([at(16, 22)], {"holes": [at(8, 9)]}, "invalid-request"),
        ([at(16, 22)], {"instruction": "shorter"}, "invalid-request"),
    ],
)
async def test_a_bad_pin_is_an_error_that_asks_nothing(pinning, pinned, more, code):
    error = await pinning.refused("codeAction/resolve", action(pinned, **more))

    assert error["data"]["code"] == code
    assert pinning.engine.jobs == []
    assert await pinning.ask("codeAction/resolve", action([at(16, 22)]))


async def test_a_value_that_is_no_list_of_pins_is_named(pinning):
    error = await pinning.refused("codeAction/resolve", action({"start": 3}))

    assert "pinned is {'start': 3}" in error["message"]


async def test_no_pins_are_no_error(pinning):
    pinning.engine.script = lambda job: ["a"]
    assert await pinning.ask("codeAction/resolve", action([]))
    [job] = pinning.engine.jobs
    assert (job.pinned, job.replaced) == ((), "width * height + 1")


async def test_a_part_that_the_model_leaves_empty_goes(pinning):
    pinning.engine.script = lambda job: ["2 * |"]
    resolved = await pinning.ask("codeAction/resolve", action([at(16, 22)]))

    [edit] = resolved["edit"]["documentChanges"][0]["edits"]
    assert applied(CODE, edit) == "total = 2 * height\n"
    assert resolved["data"]["warning"] is None


async def test_another_attempt_differs_from_what_was_shown_with_what_stays(pinning):
    pinning.engine.script = lambda job: ["2 * depth + ", "3 * depth + "]
    shown = {"shown": ["2 * depth + 1"]}
    resolved = await pinning.ask("codeAction/resolve", action([at(25, 26)], **shown))

    [edit] = resolved["edit"]["documentChanges"][0]["edits"]
    assert applied(CODE, edit) == "total = 3 * depth + 1\n"


async def test_a_change_in_between_moves_the_edit_or_refuses_it(pinning):
    pinning.engine.gate.clear()
    request = pinning.send("codeAction/resolve", action([at(16, 22)]))
    await pinning.until(lambda: bool(pinning.engine.handles))
    pinning.change(URI, {"range": at(0, 5), "text": "x"})
    pinning.engine.gate.set()
    resolved = (await pinning.answer(request))["result"]
    [edit] = resolved["edit"]["documentChanges"][0]["edits"]
    assert applied("x = width * height + 1\n", edit) == "x = 2 * height + depth\n"

    pinning.engine.gate.clear()
    data = action([at(12, 18)], range=at(4, 22))
    request = pinning.send("codeAction/resolve", data)
    await pinning.until(lambda: len(pinning.engine.handles) == 2)
    pinning.change(URI, {"range": at(13, 15), "text": "o"})
    pinning.engine.gate.set()
    assert (await pinning.answer(request))["error"]["data"]["code"] == "changed"


async def test_a_secret_beside_a_pinned_word_is_refused(pinning):
    text = 'key = "ghp_0123456789abcdefghij0123456789abcdef" + name\n'
    pinning.replace(text)
    data = action([at(51, 55)], range=at(6, len(text) - 1))
    error = await pinning.refused("codeAction/resolve", data)

    assert error["data"]["code"] == "secret"
    assert pinning.engine.jobs == []
