"""What a rewrite leaves as it is, and what becomes of one that breaks the code."""

from __future__ import annotations

import asyncio

import pytest
from lsprotocol import types

from dg_lsp.document import retrying
from dg_lsp.job import JobState
from dg_lsp.server.convert import Units, apply_change, range_at
from dg_lsp.server.link.scripted import Pace
from dg_lsp.server.settings import Settings

URI = "file:///work/a.py"
MODERN = {
    "workspace": {"workspaceEdit": {"documentChanges": True, "changeAnnotationSupport": {}}},
    "textDocument": {"codeAction": {"honorsChangeAnnotations": True}},
    "experimental": {"dgLsp": {"drafts": True}},
}


class Rewriting:
    """A document with a selection, and an engine that rewrites it as a script says."""

    def __init__(
        self, editor, marked: str, *tries: list[str], language: str = "python"
    ) -> None:
        before, rest = marked.split("[[")
        selected, after = rest.split("]]")
        self.text, self.language = before + selected + after, language
        span = range_at(self.text, len(before), len(before + selected), Units.UTF16)
        self.range = {
            end: {"line": at.line, "character": at.character}
            for end, at in (("start", span.start), ("end", span.end))
        }
        left = list(tries)
        self.editor = editor
        editor.engine.script = lambda job: left.pop(0)

    async def begin(self, capabilities: object = None) -> None:
        await self.editor.begin(capabilities)
        self.editor.replies["workspace/applyEdit"] = lambda params: {"applied": True}
        self.editor.open(self.text, language=self.language)

    async def run(self, **extra: object) -> dict[str, object]:
        argument = {"uri": URI, "range": self.range, **extra}
        return await self.editor.ask(
            "workspace/executeCommand", {"command": "dg-lsp.rewrite", "arguments": [argument]}
        )

    def after(self) -> str:
        """The document after the edit that the editor was asked to make."""
        [params] = self.editor.told("workspace/applyEdit")
        [edit] = params["edit"]["changes"][URI]
        at = types.Range(*(types.Position(**edit["range"][end]) for end in ("start", "end")))
        return apply_change(self.text, at, edit["newText"], Units.UTF16)


@pytest.fixture
def make(make_editor):
    return lambda *given, **named: Rewriting(make_editor(Pace(2)), *given, **named)


@pytest.mark.parametrize(
    ("marked", "text", "seen", "expect"),
    [
        ("a = 1\n[[b = 2\n]]c = 3\n", "return", ("a = 1\n", "b = 2", "\nc = 3\n"), "return"),
        (
            "def f(x):\n    y = x + 1\n[[    print(y)\n]]    return y\n",
            "show(y)",
            ("def f(x):\n    y = x + 1\n    ", "print(y)", "\n    return y\n"),
            "    show(y)",
        ),
        ("a = 1\r\n[[b = 2\r\n]]c = 3\r\n", "b = 3\n", None, "b = 3"),
        # The line ends of a document of which everything is selected.
        ("[[a = 1\r\nb = 2\r\n]]", "a = 1\nb = 3\n", None, "a = 1\r\nb = 3"),
        (
            "def add(a, b):\n[[\ttotal = a + b\n\treturn total\n]]\n\nprint(add(1, 2))\n",
            "total = b + a\n    return total",
            None,
            "\ttotal = b + a\n\treturn total",
        ),
    ],
)
async def test_the_edges_stay_and_the_model_writes_what_is_between(
    make, marked, text, seen, expect
):
    rewrite = make(marked, [text])
    await rewrite.begin()
    result = await rewrite.run()

    [job] = rewrite.editor.engine.jobs
    if seen is not None:
        assert (job.prefix, job.replaced, job.suffix) == seen
    newline = "\r\n" if "\r\n" in marked else "\n"
    assert result["text"] == expect + newline
    assert rewrite.after().endswith(newline + marked.rsplit("]]")[1])


async def test_drafts_are_of_the_whole_selection(make):
    rewrite = make("a = 1\n[[b = 2\n]]c = 3\n", ["b = 333"])
    await rewrite.begin({"experimental": {"dgLsp": {"drafts": True}}})
    await rewrite.run(token="t")
    drafts = rewrite.editor.told("dgLsp/draft")
    assert drafts
    for draft in drafts:
        assert draft["range"] == rewrite.range
        assert draft["text"].endswith("\n")
        assert sum(length for _, length in draft["confidence"]) == len(draft["text"])


LOOP = """best = None
[[for number in numbers:
    if best is None or number > best:
        best = number
]]print(best)
"""


async def test_what_breaks_the_code_is_written_anew_from_another_seed(make):
    broken, whole = "best = None for number in numbers(num", "best = max(numbers)"
    rewrite = make(LOOP, [broken], [broken, whole])
    await rewrite.begin()
    result = await rewrite.run(seed=5)

    assert (result["text"], result["warning"]) == (whole + "\n", None)
    first, second = rewrite.editor.engine.jobs
    assert (first.seed, first.deadline_s) == (5, None)
    # The next seeds are for who asks for another text.
    assert second.seed not in range(100)
    assert 0 < second.deadline_s <= retrying.TRIES_S


SUM = "total = [[a + b]]\n"


async def test_another_attempt_gives_another_text(make):
    rewrite = make(SUM, ["sum(c)"], ["sum(c)", "a - b"])
    await rewrite.begin()
    first = await rewrite.run(seed=0)
    second = await rewrite.run(seed=1, shown=[first["text"]])
    assert [first["text"], second["text"]] == ["sum(c)", "a - b"]
    assert [job.shown for job in rewrite.editor.engine.jobs] == [(), ("sum(c)",)]


@pytest.mark.parametrize(
    ("tries", "expect"),
    [
        ([["sum(c)"], ["sum( c )"], ["a - b"]], "a - b"),
        ([["sum(c)"], ["a ("], ["sum(c)"]], "a ("),
        ([["sum(c)"], ["sum( c )"], ["sum(c)"]], "already-shown"),
    ],
)
async def test_what_was_shown_is_written_anew_from_another_seed(make, tries, expect):
    rewrite = make(SUM, *tries)
    await rewrite.begin()
    result = await rewrite.run(seed=1, shown=["sum(c)"])
    assert (result["text"] or result["code"]) == expect
    assert len({job.seed for job in rewrite.editor.engine.jobs}) == len(tries)


async def test_nothing_of_another_attempt_has_settled(make_editor):
    broken, whole = "best = None for number in numbers(num", "best = max(numbers)"
    editor = make_editor(Pace(2), Settings(debounce_ms=0, draft_interval_ms=0))
    rewrite = Rewriting(editor, LOOP, [broken], [broken, whole])
    await rewrite.begin({"experimental": {"dgLsp": {"drafts": True}}})
    await rewrite.run(token="t")
    drafts = rewrite.editor.told("dgLsp/draft")

    firsts = [draft["settled"] for draft in drafts if draft["step"] == 1]
    assert len(firsts) > 1
    assert not any(firsts)
    assert any(draft["settled"] for draft in drafts)


@pytest.mark.parametrize(
    ("marked", "text", "warning", "language"),
    [
        (LOOP, "best = None for number in numbers(num", "not valid", "python"),
        (LOOP, "for number in numbers:", "without its body", "python"),
        (
            "[[def f(x):\n    return x\n]]\ny = f(1)\n",
            "def f(x):",
            "without its body",
            "python",
        ),
        (
            "[[def f(x):\n    return x\n]]\n",
            "def f(x):\n    pass",
            "without its body",
            "python",
        ),
        ("[[foo(a, b);\n]]bar();\n", "foo(a, (b);", "not valid", "javascript"),
        ("[[foo('a');\n]]bar();\n", "foo('a);", "not valid", "typescript"),
        (
            "[[function f() {\n  return 1;\n}\n]]",
            "function f() {\n}",
            "without its body",
            "javascript",
        ),
        ("[[if (x) {\n  y();\n}\n]]", "if (x) {", "not valid", "c"),
        ("[[fn f() {\n    g();\n}\n]]", "fn f() {}", "without its body", "rust"),
        ("[[def f\n  1\nend\n]]", "def f\nend", "without its body", "ruby"),
        ('{\n[[  "a": 1\n]]}\n', '"a": 1,', "not valid", "json"),
    ],
)
async def test_where_no_try_does_better_the_first_one_carries_a_warning(
    make, marked, text, warning, language
):
    rewrite = make(marked, [text], [text + "\n"], [text], language=language)
    await rewrite.begin()
    result = await rewrite.run()

    assert len(rewrite.editor.engine.jobs) == retrying.MOST_TRIES
    assert warning in result["warning"]
    assert result["text"].strip() == text
    [shown] = rewrite.editor.told("window/showMessage")
    assert result["warning"] in shown["message"]


@pytest.mark.parametrize(
    ("marked", "text", "language"),
    [
        # Broken before, so nothing is broken by it.
        ("[[a = (1\n]]b = 2\n", "a = (2", "python"),
        ("[[foo(a;\n]]", "foo(b;", "javascript"),
        # Open on purpose: the rest follows.
        ("[[if (x) {\n]]  y();\n}\n", "if (z) {", "javascript"),
        ("[[if x:\n]]    y()\n", "if z:", "python"),
        ("[[f(() => { g(); })\n]]", "f(() => { h(); })", "typescript"),
        (
            "[[class A:\n    x = 1\n]]",
            "class E:\n    pass\n\n\nclass A:\n    x = 2",
            "python",
        ),
        ("[[a) + (b\n]]", "c", "markdown"),
    ],
)
async def test_what_breaks_nothing_is_taken_at_once(make, marked, text, language):
    rewrite = make(marked, [text], language=language)
    await rewrite.begin()
    assert (await rewrite.run())["warning"] is None


async def test_the_warning_stands_in_the_resolved_action_and_its_annotation(make):
    rewrite = make(LOOP, *[["numbers("]] * 3)
    await rewrite.begin(MODERN)
    action = {
        "title": "Simplify",
        "kind": "refactor.rewrite",
        "data": {"uri": URI, "range": rewrite.range},
    }
    resolved = await rewrite.editor.ask("codeAction/resolve", action)

    warning = resolved["data"]["warning"]
    assert "not valid" in warning
    [annotation] = resolved["edit"]["changeAnnotations"].values()
    assert warning in annotation["label"]
    assert annotation["description"] == warning
    # A client that takes drafts shows it itself.
    assert rewrite.editor.told("window/showMessage") == []


async def test_no_try_begins_that_would_end_too_late(make, monkeypatch):
    monkeypatch.setattr(retrying, "TRIES_S", 0.0)
    rewrite = make(LOOP, ["numbers("])
    await rewrite.begin()
    assert (await rewrite.run())["warning"] is not None
    assert len(rewrite.editor.engine.jobs) == 1


async def test_cancelling_stops_the_second_try_too(make):
    rewrite = make(LOOP, ["numbers("], ["numbers("])
    await rewrite.begin()
    rewrite.editor.engine.gate.clear()
    request = rewrite.editor.send(
        "workspace/executeCommand",
        {"command": "dg-lsp.rewrite", "arguments": [{"uri": URI, "range": rewrite.range}]},
    )
    states = rewrite.editor.engine
    await rewrite.editor.until(lambda: len(states.jobs) == 1)
    states.gate.set()
    await rewrite.editor.until(lambda: states.states[:1] == [JobState.DONE])
    states.gate.clear()
    await rewrite.editor.until(lambda: len(states.jobs) == 2)
    rewrite.editor.cancel(request)

    assert (await rewrite.editor.answer(request))["error"]["code"] == -32800
    await rewrite.editor.until(lambda: states.states == [JobState.DONE, JobState.CANCELLED])
    await asyncio.sleep(0)
    assert len(states.jobs) == 2


async def test_words_need_text_to_rewrite(make):
    rewrite = make("a = 1\n[[   \n]]b = 2\n")
    await rewrite.begin()
    error = await rewrite.editor.refused(
        "workspace/executeCommand",
        {
            "command": "dg-lsp.rewrite",
            "arguments": [{"uri": URI, "range": rewrite.range, "instruction": "shout"}],
        },
    )
    assert error["code"] == -32602
    assert "blanks" in error["message"]


async def test_a_selection_of_blanks_is_filled_like_a_cursor(make):
    rewrite = make("def f():\n[[    \n]]\nb = 2\n", ["pass"])
    await rewrite.begin()
    result = await rewrite.run()
    [job] = rewrite.editor.engine.jobs
    assert job.replaced is None
    assert result["text"] == "    pass\n"


@pytest.mark.parametrize("written", ["#" + "*" * 20, "x = 2  # ********\ny = 3"])
async def test_the_mask_of_a_secret_never_comes_into_the_document(make, written):
    rewrite = make('password = "hunter2hunter2"\n[[x = 1]]\n', [written])
    await rewrite.begin(MODERN)
    result = await rewrite.run(token="t")

    assert (result["applied"], result["code"]) == (False, "secret")
    assert rewrite.editor.told("workspace/applyEdit") == []
    # Nor is it shown in between.
    assert not any("****" in draft["text"] for draft in rewrite.editor.told("dgLsp/draft"))
