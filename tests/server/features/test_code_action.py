"""The menu, what is in it for whom, and edits that never damage a document."""

from __future__ import annotations

import dataclasses

import pytest

from dg_lsp.job import JobState
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.features.rewriting import leading_comment

URI = "file:///work/a.py"
CODE = "def f(x):\n    y = x\n    return y\n"
SELECTION = {"start": {"line": 1, "character": 4}, "end": {"line": 2, "character": 12}}
CURSOR = {"start": {"line": 1, "character": 8}, "end": {"line": 1, "character": 8}}

LITERALS = {"codeActionKind": {"valueSet": ["refactor.rewrite", "quickfix"]}}
MODERN = {
    "workspace": {"workspaceEdit": {"documentChanges": True, "changeAnnotationSupport": {}}},
    "textDocument": {
        "codeAction": {
            "codeActionLiteralSupport": LITERALS,
            "disabledSupport": True,
            "dataSupport": True,
            "honorsChangeAnnotations": True,
            "resolveSupport": {"properties": ["edit"]},
            "tagSupport": {"valueSet": [1]},
        }
    },
}
PLAIN = {"textDocument": {"codeAction": {"codeActionLiteralSupport": LITERALS}}}


def wanting(span, only=None, diagnostics=(), kind=1):
    context = {"diagnostics": list(diagnostics), "triggerKind": kind}
    if only is not None:
        context["only"] = only
    return {"textDocument": {"uri": URI}, "range": span, "context": context}


async def menu(editor, span, **context):
    return await editor.ask("textDocument/codeAction", wanting(span, **context))


def titles(actions) -> list[str]:
    return [action["title"] for action in actions]


def named(actions, title: str):
    return next(action for action in actions if action["title"].startswith(title))


def apply(text: str, edit) -> str:
    """The text after an edit of one line range each, in UTF-16 units of ASCII text."""
    lines = text.splitlines(keepends=True)
    start, end = edit["range"]["start"], edit["range"]["end"]
    at = sum(map(len, lines[: start["line"]])) + start["character"]
    to = sum(map(len, lines[: end["line"]])) + end["character"]
    return text[:at] + edit["newText"] + text[to:]


@pytest.fixture
async def modern(make_editor):
    editor = make_editor()
    await editor.begin(MODERN)
    editor.open(CODE)
    return editor


async def test_at_a_cursor_and_at_a_selection(modern):
    assert titles(await menu(modern, CURSOR)) == ["Fill here"]
    assert await menu(modern, CURSOR, kind=2) == []
    assert titles(await menu(modern, SELECTION)) == [
        "Rewrite selection…",
        "Rewrite selection anew",
        "Complete this body",
        "Add a docstring",
        "Add type hints",
        "Simplify",
    ]
    assert modern.engine.jobs == []


async def test_actions_are_tagged_and_carry_no_edit_yet(modern):
    action = named(await menu(modern, SELECTION), "Simplify")
    assert action["kind"] == "refactor.rewrite"
    assert action["tags"] == [1]
    assert "edit" not in action
    assert "command" not in action


async def test_resolving_makes_the_smallest_edit_annotated_and_versioned(modern):
    action = named(await menu(modern, SELECTION), "Simplify")
    resolved = await modern.ask("codeAction/resolve", action)

    [job] = modern.engine.jobs
    assert job.replaced == "y = x\n    return y"
    assert job.instruction == "Simplify this code without changing what it does."
    edit = resolved["edit"]
    [change] = edit["documentChanges"]
    assert change["textDocument"] == {"uri": URI, "version": 1}
    [one] = change["edits"]
    annotation = edit["changeAnnotations"][one["annotationId"]]
    assert annotation["label"] == "Simplify"
    assert apply(CODE, one) == f"def f(x):\n    say('{job.instruction}')\n"


async def test_filling_at_the_cursor(modern):
    modern.replace("def f(x):\n    y = \n")
    action = named(await menu(modern, CURSOR), "Fill here")
    resolved = await modern.ask("codeAction/resolve", action)

    [change] = resolved["edit"]["documentChanges"]
    [one] = change["edits"]
    assert one["range"] == CURSOR
    assert one["newText"] == "infilled"
    assert modern.engine.jobs[0].replaced is None


async def test_a_client_with_no_frills_gets_commands_and_plain_changes(make_editor):
    editor = make_editor()
    await editor.begin(PLAIN)
    editor.open(CODE)
    actions = await menu(editor, SELECTION)

    assert "Rewrite selection…" not in titles(actions)
    action = named(actions, "Rewrite selection anew")
    assert "tags" not in action
    assert "data" not in action
    assert action["command"]["command"] == "dg-lsp.infill"
    editor.replies["workspace/applyEdit"] = lambda params: {"applied": True}
    result = await editor.ask("workspace/executeCommand", action["command"])
    assert result["applied"]
    [applied] = editor.told("workspace/applyEdit")
    [edit] = applied["edit"]["changes"][URI]
    assert apply(CODE, edit) == "def f(x):\n    Y = X\n    RETURN Y\n"


async def test_a_client_without_literals_gets_commands(make_editor):
    editor = make_editor()
    await editor.begin()
    editor.open(CODE)
    actions = await menu(editor, CURSOR)
    assert [action["command"] for action in actions] == ["dg-lsp.infill"]


@pytest.mark.parametrize(
    ("only", "expect"),
    [
        (["refactor"], 6),
        (["refactor.rewrite"], 6),
        (["refactor.rewrite.inline"], 0),
        (["quickfix"], 0),
        (["source"], 0),
        ([], 0),
        ([""], 6),
    ],
)
async def test_only_the_kinds_that_are_asked_for(modern, only, expect):
    assert len(await menu(modern, SELECTION, only=only)) == expect


async def test_diagnostics_become_a_quick_fix_of_their_lines(modern):
    span = {"start": {"line": 2, "character": 11}, "end": {"line": 2, "character": 12}}
    diagnostics = [
        {"range": span, "message": "y is  odd"},
        {"range": span, "message": "really"},
    ]
    actions = await menu(modern, span, only=["quickfix"], diagnostics=diagnostics)

    [action] = actions
    assert (action["title"], action["kind"]) == ("Fix these problems", "quickfix")
    assert len(action["diagnostics"]) == 2
    await modern.ask("codeAction/resolve", action)
    [job] = modern.engine.jobs
    assert job.replaced == "return y"
    assert job.instruction == "Fix these problems: y is odd; really"


async def test_a_comment_at_the_top_of_the_selection_is_the_instruction(modern):
    modern.replace("# make this shorter,\n# please\ny = x\n")
    span = {"start": {"line": 0, "character": 0}, "end": {"line": 2, "character": 5}}
    action = named(await menu(modern, span), "Rewrite selection:")
    assert action["title"] == "Rewrite selection: make this shorter, please"
    await modern.ask("codeAction/resolve", action)
    [job] = modern.engine.jobs
    assert job.instruction == "make this shorter, please"
    # The comment may be a part of the code, so it is left alone.
    assert (job.prefix, job.replaced) == ("# make this shorter,\n# please\n", "y = x")


async def test_comments_with_no_code_below_are_no_instruction(modern):
    modern.replace("# make this shorter\n")
    span = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}}
    action = named(await menu(modern, span), "Rewrite selection…")
    assert "comment at the top" in action["disabled"]["reason"]


@pytest.mark.parametrize(
    "line",
    ["#include <stdio.h>", "#define MANY 1", "#[derive(Debug)]", "#!/bin/sh", "  #pragma once"],
)
async def test_directives_at_the_top_are_no_instruction(modern, line):
    modern.replace(f"{line}\ny = x\n")
    span = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 5}}
    action = named(await menu(modern, span), "Rewrite selection…")
    assert "comment at the top" in action["disabled"]["reason"]


@pytest.mark.parametrize("line", ["#make it shorter", "# if it is empty, stop", "## shorter"])
async def test_a_comment_may_begin_without_a_blank_or_as_a_directive(modern, line):
    modern.replace(f"{line}\ny = x\n")
    span = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 5}}
    assert named(await menu(modern, span), f"Rewrite selection: {line.lstrip('# ')}")


@pytest.mark.parametrize(
    ("language", "line", "said"),
    [
        ("c", "--left;", None),
        ("css", "--accent: red;", None),
        ("markdown", "-- he said", None),
        ("markdown", "# Shorter", None),
        ("python", "// shorter", None),
        ("javascript", "# shorter", None),
        ("latex", "; shorter", None),
        ("unheard-of", "--shorter", None),
        ("c", "// shorter", "shorter"),
        ("css", "/* shorter */", "shorter"),
        ("markdown", "<!-- shorter -->", "shorter"),
        ("lua", "-- shorter", "shorter"),
        ("sql", "--shorter", "shorter"),
        ("clojure", ";; shorter", "shorter"),
        ("latex", "% shorter", "shorter"),
        ("php", "# shorter", "shorter"),
        ("unheard-of", "# shorter", "shorter"),
    ],
)
def test_what_begins_a_comment_depends_on_the_language(language, line, said):
    found = leading_comment(f"{line}\ny = x\n", language)
    assert (found and found[0]) == said


async def test_without_words_the_free_rewrite_says_how_to_give_some(modern):
    action = named(await menu(modern, SELECTION), "Rewrite selection…")
    assert "comment at the top" in action["disabled"]["reason"]


async def test_the_clients_extension_asks_for_the_instruction(make_editor):
    editor = make_editor()
    await editor.begin({**MODERN, "experimental": {"dgLsp": {"askInstruction": True}}})
    editor.open(CODE)
    action = named(await menu(editor, SELECTION), "Rewrite selection…")
    command = action["command"]
    assert command["command"] == "dgLsp.askInstruction"
    assert command["arguments"] == [{"uri": URI, "version": 1, "range": SELECTION}]


async def test_an_action_with_a_command_is_resolved_as_it_is(make_editor):
    editor = make_editor()
    await editor.begin(PLAIN)
    editor.open(CODE)
    action = named(await menu(editor, SELECTION), "Rewrite selection anew")
    assert await editor.ask("codeAction/resolve", action) == action
    assert editor.engine.jobs == []


async def test_asking_for_words_is_never_disabled(make_editor):
    editor = make_editor()
    editor.link.model = dataclasses.replace(editor.link.model, follows_instructions=False)
    await editor.begin({**MODERN, "experimental": {"dgLsp": {"askInstruction": True}}})
    editor.open(CODE)
    action = named(await menu(editor, SELECTION), "Rewrite selection…")
    assert action["command"]["command"] == "dgLsp.askInstruction"
    assert "disabled" not in action


async def test_neovim_gets_no_disabled_actions(make_editor):
    """It lists them among the others and writes " (disabled)" behind the title."""
    editor = make_editor()
    editor.link.model = dataclasses.replace(editor.link.model, follows_instructions=False)
    await editor.begin(MODERN, client="Neovim")
    editor.open(CODE)
    assert titles(await menu(editor, SELECTION)) == ["Rewrite selection anew"]


async def test_a_model_that_follows_no_instructions_disables_what_needs_them(make_editor):
    modern = make_editor()
    model = modern.link.model
    modern.link.model = dataclasses.replace(model, name="bundled", follows_instructions=False)
    await modern.begin(MODERN)
    modern.open(CODE)
    actions = await menu(modern, SELECTION)

    disabled = {
        action["title"]: action["disabled"]["reason"]
        for action in actions
        if "disabled" in action
    }
    assert set(disabled) == set(titles(actions)) - {"Rewrite selection anew"}
    assert all("bundled model cannot follow instr" in reason for reason in disabled.values())
    anew = await modern.ask("codeAction/resolve", named(actions, "Rewrite selection anew"))
    assert "edit" in anew
    assert modern.engine.jobs[0].instruction is None


@pytest.mark.parametrize(
    ("moved", "expect"),
    [
        ("# new\n" + CODE, "# new\ndef f(x):\n    Y = X\n    RETURN Y\n"),
        (CODE + "# new\n", "def f(x):\n    Y = X\n    RETURN Y\n# new\n"),
        (CODE.replace("y = x", "y = z"), None),
        ("", None),
    ],
)
@pytest.mark.parametrize("when", ["before", "during"])
async def test_a_document_that_moves_is_followed_or_the_edit_refused(
    modern, moved, expect, when
):
    action = named(await menu(modern, SELECTION), "Rewrite selection anew")
    modern.engine.gate.clear()
    if when == "before":
        modern.replace(moved)
    request = modern.send("codeAction/resolve", action)
    await modern.until(lambda: len(modern.engine.jobs) == 1)
    if when == "during":
        modern.replace(moved)
    modern.engine.gate.set()

    answer = await modern.answer(request)
    if expect is None:
        assert answer["error"]["code"] == -32801
        assert answer["error"]["data"] == {"code": "changed"}
    else:
        [change] = answer["result"]["edit"]["documentChanges"]
        assert change["textDocument"]["version"] == 2
        assert apply(moved, change["edits"][0]) == expect


async def test_resolving_what_cannot_be_done_says_why(modern):
    action = named(await menu(modern, SELECTION), "Simplify")
    modern.engine.error = Reason(ReasonCode.OUT_OF_MEMORY, "out of memory")
    error = await modern.refused("codeAction/resolve", action)
    assert (error["code"], error["data"]) == (-32803, {"code": "out-of-memory"})

    error = await modern.refused("codeAction/resolve", {"title": "not ours"})
    assert error["code"] == -32602


async def test_cancelling_a_resolve_stops_its_job(modern):
    action = named(await menu(modern, SELECTION), "Simplify")
    modern.engine.gate.clear()
    request = modern.send("codeAction/resolve", action)
    await modern.until(lambda: modern.engine.states == [JobState.RUNNING])
    modern.cancel(request)
    assert (await modern.answer(request))["error"]["code"] == -32800
    await modern.until(lambda: modern.engine.states == [JobState.CANCELLED])


async def test_a_selection_with_a_secret_in_it_is_not_shown_to_the_model(modern):
    modern.replace("token = 'ghp_0123456789abcdefghij0123456789abcdef'\ny = x\n")
    span = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 5}}
    action = named(await menu(modern, span), "Rewrite selection anew")
    error = await modern.refused("codeAction/resolve", action)
    assert (error["code"], error["data"]) == (-32803, {"code": "secret"})
    assert modern.engine.jobs == []


async def test_excluded_documents_have_no_menu(modern):
    modern.open("KEY=1", uri="file:///work/.env")
    params = wanting(CURSOR)
    params["textDocument"] = {"uri": "file:///work/.env"}
    assert await modern.ask("textDocument/codeAction", params) == []


async def test_a_light_bulb_starts_no_engine_and_a_menu_does(make_editor):
    editor = make_editor()
    await editor.begin(MODERN, {"trigger": "manual"})
    editor.open(CODE)
    phase = editor.link.state.phase
    assert len(await menu(editor, SELECTION, kind=2)) == 6
    assert editor.link.state.phase is phase
    await menu(editor, SELECTION, kind=1)
    assert editor.link.state.phase is not phase


async def test_an_extension_makes_the_action_itself_and_sees_the_edit_first(make_editor):
    """How the Neovim plugin shows a rewrite before it is accepted."""
    editor = make_editor()
    await editor.begin({**MODERN, "experimental": {"dgLsp": {"drafts": True}}})
    editor.open(CODE)
    target = {"uri": URI, "version": 1, "range": SELECTION, "token": "mine", "seed": 3}

    action = await editor.ask("codeAction/resolve", {"title": "Rewrite", "data": target})
    [change] = action["edit"]["documentChanges"]
    assert change["textDocument"]["version"] == 1
    expected = CODE.replace("y = x\n    return y", "Y = X\n    RETURN Y")
    assert apply(CODE, change["edits"][0]) == expected
    assert {draft["token"] for draft in editor.told("dgLsp/draft")} == {"mine"}
    assert editor.told("workspace/applyEdit") == []
    assert editor.engine.jobs[0].seed == 3


async def test_a_resolved_rewrite_says_how_sure_the_model_is(modern):
    modern.replace("aé🙂\n")
    data = {
        "uri": URI,
        "range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 4}},
    }
    action = await modern.ask(
        "codeAction/resolve", {"title": "x", "kind": "refactor.rewrite", "data": data}
    )

    assert action["data"]["confidence"] == [[0.9, 4]]
