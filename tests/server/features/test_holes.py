"""Holes: the menu offers to fill them, and the edit changes nothing but them."""

from __future__ import annotations

import pytest

from dg_lsp.reason import ReasonCode
from dg_lsp.server.link.scripted import Pace
from tests.server.features.test_code_action import (
    CURSOR,
    MODERN,
    PLAIN,
    URI,
    apply,
    menu,
    named,
    titles,
)

CODE = "def f(x):\n    y = …\n    return …\n"
FILLED = "def f(x):\n    y = x + 1\n    return y\n"
ALL = {"start": {"line": 0, "character": 0}, "end": {"line": 3, "character": 0}}


def script(job):
    return ["x + 1|y"] if job.pinned else ["x"]


def at(line: int, character: int, end: int | None = None):
    end = character if end is None else end
    return {
        "start": {"line": line, "character": character},
        "end": {"line": line, "character": end},
    }


async def begun(make_editor, capabilities=MODERN, options=None):
    editor = make_editor()
    await editor.begin(capabilities, options)
    editor.engine.script = script
    editor.open(CODE)
    return editor


@pytest.fixture
async def editor(make_editor):
    return await begun(make_editor)


async def test_the_menu_offers_to_fill_all_marks_of_the_document(editor):
    assert titles(await menu(editor, CURSOR)) == ["Fill here", "Fill the holes"]
    # No light bulb, but beside a mark.
    assert titles(await menu(editor, at(0, 0), kind=2)) == []
    assert titles(await menu(editor, at(1, 8), kind=2)) == ["Fill the holes"]
    editor.replace("x = 1\n")
    assert titles(await menu(editor, at(0, 0))) == ["Fill here"]


async def test_the_edit_fills_them_together_and_changes_nothing_between(editor):
    action = named(await menu(editor, CURSOR), "Fill the holes")
    resolved = await editor.ask("codeAction/resolve", action)

    [job] = editor.engine.jobs
    assert [one.text for one in job.pinned] == ["\n    return "]
    assert (job.replaced, job.prefix, job.suffix) == (None, "def f(x):\n    y = ", "\n")
    [change] = resolved["edit"]["documentChanges"]
    [one] = change["edits"]
    assert apply(CODE, one) == FILLED


async def test_a_selection_has_only_its_own_marks(editor):
    action = named(await menu(editor, at(1, 0, 9)), "Fill the hole")
    assert action["title"] == "Fill the hole"
    resolved = await editor.ask("codeAction/resolve", action)

    [change] = resolved["edit"]["documentChanges"]
    [one] = change["edits"]
    assert apply(CODE, one) == CODE.replace("…", "x", 1)


async def test_any_client_fills_them_by_a_command(make_editor):
    editor = await begun(make_editor, PLAIN)
    editor.replies["workspace/applyEdit"] = lambda params: {"applied": True}
    argument = {"uri": URI, "range": ALL, "holes": True}
    command = {"command": "dg-lsp.infill", "arguments": [argument]}

    assert (await editor.ask("workspace/executeCommand", command))["applied"]
    [applied] = editor.told("workspace/applyEdit")
    [one] = applied["edit"]["changes"][URI]
    assert apply(CODE, one) == FILLED


async def test_cursors_are_holes_too(editor):
    editor.replace("a = \nb = old\n")
    holes = [at(1, 4, 7), at(0, 4)]
    data = {"uri": URI, "range": at(0, 4), "holes": holes}
    action = {"title": "Fill the holes", "kind": "refactor.rewrite", "data": data}
    resolved = await editor.ask("codeAction/resolve", action)

    [change] = resolved["edit"]["documentChanges"]
    [one] = change["edits"]
    assert apply("a = \nb = old\n", one) == "a = x + 1\nb = y\n"


async def test_ranges_of_holes_need_no_range_around_them(editor):
    data = {"uri": URI, "holes": [at(1, 8, 9), at(2, 11, 12)]}
    action = {"title": "Fill the holes", "kind": "refactor.rewrite", "data": data}
    resolved = await editor.ask("codeAction/resolve", action)

    [change] = resolved["edit"]["documentChanges"]
    [one] = change["edits"]
    assert apply(CODE, one) == FILLED


async def test_a_hole_that_stays_empty_keeps_its_mark(make_editor):
    editor = make_editor(Pace(num_drafts=3))
    capabilities = {**MODERN, "experimental": {"dgLsp": {"drafts": True}}}
    await editor.begin(capabilities)
    editor.engine.script = lambda job: ["x + 1|"]
    editor.open(CODE)
    data = {"uri": URI, "range": ALL, "holes": True, "token": "t"}
    action = {"title": "Fill the holes", "kind": "refactor.rewrite", "data": data}
    resolved = await editor.ask("codeAction/resolve", action)

    [change] = resolved["edit"]["documentChanges"]
    [one] = change["edits"]
    assert apply(CODE, one) == "def f(x):\n    y = x + 1\n    return …\n"
    left = "1 of 2 holes was filled; the others stay as they are"
    assert resolved["data"]["warning"] == left
    drafts = editor.told("dgLsp/draft")
    assert drafts
    assert all(draft["text"].endswith("    return …") for draft in drafts)


async def test_an_empty_cursor_is_counted_and_a_selection_stays(editor):
    editor.engine.script = lambda job: ["| |y"]
    editor.replace("a = \nb = old\nc = \n")
    data = {"uri": URI, "holes": [at(0, 4), at(1, 4, 7), at(2, 4)]}
    action = {"title": "Fill the holes", "kind": "refactor.rewrite", "data": data}
    resolved = await editor.ask("codeAction/resolve", action)

    [change] = resolved["edit"]["documentChanges"]
    [one] = change["edits"]
    assert apply("a = \nb = old\nc = \n", one) == "a = \nb = old\nc = y\n"
    assert resolved["data"]["warning"].startswith("1 of 3 holes was filled")


async def test_without_anything_in_any_hole_nothing_changes(editor):
    editor.engine.script = lambda job: ["|"]
    action = named(await menu(editor, CURSOR), "Fill the holes")
    await editor.refused("codeAction/resolve", action)


@pytest.mark.parametrize(
    ("holes", "more", "code"),
    [
        (True, {"range": at(0, 0, 3)}, ReasonCode.NO_HOLES),
        ([], {}, ReasonCode.NO_HOLES),
        ([at(1, 4, 6), at(1, 5, 7)], {}, ReasonCode.OVERLAPPING_HOLES),
        ([at(1, 4), at(1, 4)], {}, ReasonCode.OVERLAPPING_HOLES),
        ([at(0, n) for n in range(9)] + [at(1, n) for n in range(8)], {}, "too-many-holes"),
        ("all", {}, ReasonCode.INVALID_REQUEST),
        ([{"start": 1}], {}, ReasonCode.INVALID_REQUEST),
        (True, {"instruction": "shorter"}, ReasonCode.INVALID_REQUEST),
    ],
)
async def test_bad_holes_are_named(editor, holes, more, code):
    data = {"uri": URI, "range": ALL, "holes": holes, **more}
    action = {"title": "Fill the holes", "kind": "refactor.rewrite", "data": data}
    error = await editor.refused("codeAction/resolve", action)

    assert error["data"]["code"] == getattr(code, "value", code)
    assert editor.engine.jobs == []


async def test_a_hole_in_a_secret_is_refused(editor):
    editor.replace('a = …\nkey = "ghp_0123456789abcdefghij0123456789ab…ef"\n')
    action = named(await menu(editor, CURSOR), "Fill the holes")
    error = await editor.refused("codeAction/resolve", action)

    assert error["data"]["code"] == ReasonCode.SECRET.value
    assert editor.engine.jobs == []


async def test_a_hole_in_an_excluded_file_is_refused(make_editor):
    editor = await begun(make_editor, options={"exclude": ["a.py"]})
    data = {"uri": URI, "range": ALL, "holes": True}
    action = {"title": "Fill the holes", "kind": "refactor.rewrite", "data": data}
    error = await editor.refused("codeAction/resolve", action)

    assert error["data"]["code"] == ReasonCode.EXCLUDED.value


async def test_the_mark_is_a_setting(make_editor):
    editor = await begun(make_editor, options={"holeMark": "???"})
    editor.replace(CODE.replace("…", "???"))
    action = named(await menu(editor, CURSOR), "Fill the holes")
    resolved = await editor.ask("codeAction/resolve", action)

    [change] = resolved["edit"]["documentChanges"]
    [one] = change["edits"]
    assert apply(CODE.replace("…", "???"), one) == FILLED
