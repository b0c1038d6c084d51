"""Ghost text as an editor gets it: items, ranges, and which requests ask the engine at all."""

from __future__ import annotations

import asyncio

import pytest

from dg_lsp.document.suggestions import MultiLine
from dg_lsp.job import JobState
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.link.scripted import Pace
from dg_lsp.server.settings import Settings

ADD = "def add(a, b):\n    return \n"


async def test_one_item_with_an_explicit_empty_range(editor):
    editor.open(ADD)

    at = {"line": 1, "character": 11}
    assert await editor.inline(1, 11) == [
        {"insertText": "a + b", "range": {"start": at, "end": at}}
    ]
    [job] = editor.engine.jobs
    assert (job.prefix, job.suffix) == (ADD[:-1], "\n")
    assert (job.path, job.language) == ("a.py", "python")
    assert (job.candidates, job.may_be_empty) == (1, True)


async def test_who_asks_gets_several_candidates_and_never_none_on_purpose(editor):
    editor.open(ADD)

    assert await editor.texts(1, 11, kind=1) == ["a + b", "a - b", "a * b"]
    [job] = editor.engine.jobs
    assert (job.candidates, job.may_be_empty) == (3, False)


async def test_what_would_break_the_code_comes_only_where_nothing_else_is_if_at_all(editor):
    editor.open("first = \nbroken = \n")

    assert await editor.texts(0, 8) == ["2"]
    assert await editor.texts(0, 8, kind=1) == ["2"]
    assert await editor.texts(1, 9) == []
    assert await editor.texts(1, 9, kind=1) == ["(1,"]


async def test_who_cannot_ask_may_have_several_candidates_while_typing(make_editor):
    editor = make_editor(settings=Settings(debounce_ms=0, candidates_while_typing=2))
    await editor.begin()
    editor.open(ADD)

    assert await editor.texts(1, 11) == ["a + b", "a - b"]


@pytest.mark.parametrize(
    ("encodings", "character"),
    [(None, 8), (["utf-8"], 10), (["utf-32", "utf-16"], 7), (["utf-16"], 8), (["x"], 8)],
)
async def test_positions_are_in_the_units_of_the_client(make_editor, encodings, character):
    editor = make_editor()
    general = {} if encodings is None else {"positionEncodings": encodings}
    await editor.begin({"general": general})
    editor.open("🙂; x = \n")

    [item] = await editor.inline(0, character)
    assert item["insertText"] == "1"
    assert item["range"]["start"] == {"line": 0, "character": character}
    assert editor.engine.jobs[0].prefix == "🙂; x = "


@pytest.mark.parametrize(
    ("text", "line", "character", "expect"),
    [
        ("x = \r\ny\r\n", 0, 4, ["1"]),
        ("for i in \r\n", 0, 9, ["range(n):\r\n    print(i)"]),
        ("if x:\n\ty\nfor i in \n", 2, 9, ["range(n):\n\tprint(i)"]),
        ("x = ", 7, 99, ["1"]),
        ("x = ", 0, 99, ["1"]),
        ("\ud83d x = ", 0, 7, ["1"]),
        ("none = ", 0, 7, []),
        ("", 0, 0, ["infilled"]),
    ],
)
async def test_line_ends_tabs_surrogates_and_places_past_the_end(
    editor, text, line, character, expect
):
    editor.open(text)

    texts = await editor.texts(line, character)
    assert [one.rstrip() for one in texts] == expect


async def test_a_lone_surrogate_does_not_reach_the_engine(editor):
    editor.open("# \ud83d\nx = ")
    await editor.texts(1, 4)

    assert editor.engine.jobs[0].prefix == "# \ufffd\nx = "


@pytest.mark.parametrize(
    ("multi_line", "suffix", "expect"),
    [
        (MultiLine.AUTO, "", "range(n):\n    print(i)\n"),
        (MultiLine.AUTO, "some_name", "range(n):"),
        (MultiLine.NEVER, "", "range(n):"),
        (MultiLine.ALWAYS, "some_name", "range(n):\n    print(i)\n"),
    ],
)
async def test_several_lines_where_there_is_room(make_editor, multi_line, suffix, expect):
    editor = make_editor(settings=Settings(debounce_ms=0, multi_line=multi_line))
    await editor.begin()
    editor.open(f"for i in {suffix}")

    assert await editor.texts(0, 9) == [expect]


@pytest.mark.parametrize(
    ("text", "expect", "to"),
    [
        # The first line would stand before the rest of the line, the others below it.
        ("for i in )]", "range(n):\n    print(i)\n)]", 11),
        ("for i in )]\r\n", "range(n):\n    print(i)\n)]", 11),
        ("for i in ", "range(n):\n    print(i)\n", 9),
        ("for i in \r\n", "range(n):\n    print(i)", 9),
        ("for i in }}}}}}}}}}", "range(n):", 9),
    ],
)
async def test_neovim_gets_what_it_draws_as_it_will_be(make_editor, text, expect, to):
    editor = make_editor()
    await editor.begin(client="Neovim")
    editor.open(text)

    [item] = await editor.inline(0, 9)
    assert item["insertText"] == expect
    assert item["range"]["start"] == {"line": 0, "character": 9}
    assert item["range"]["end"] == {"line": 0, "character": to}


async def test_neovim_gets_nothing_where_all_it_could_draw_is_an_empty_line(make_editor):
    editor = make_editor()
    await editor.begin(client="Neovim")
    editor.open("for i in )]\n")
    await editor.inline(0, 9)
    editor.replace("for i in range(n):)]\n")

    assert await editor.inline(0, 18) == []


async def test_a_selected_completion_is_extended_in_its_own_range(editor):
    editor.open("retu\n")
    span = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 4}}
    selected = {"selectedCompletionInfo": {"range": span, "text": "return "}}

    [item] = await editor.inline(0, 4, context=selected)
    assert item == {"insertText": "return a + b", "range": span}


async def test_what_is_typed_in_agreement_asks_no_engine(editor):
    editor.open(ADD)
    await editor.texts(1, 11)
    for typed, rest in (("a", " + b"), ("a + ", "b"), ("a +", " b")):
        editor.replace(ADD[:-1] + typed + "\n")
        assert await editor.texts(1, 11 + len(typed)) == [rest]

    assert len(editor.engine.jobs) == 1


async def test_the_same_question_asks_no_engine(editor):
    editor.open("none = ")
    assert await editor.texts(0, 7) == await editor.texts(0, 7) == []
    assert len(editor.engine.jobs) == 1

    assert await editor.texts(0, 7, kind=1) == []
    assert len(editor.engine.jobs) == 2


async def test_what_is_typed_otherwise_asks_anew(editor):
    editor.open(ADD)
    await editor.texts(1, 11)
    editor.replace(ADD[:-1] + "q\n")

    assert await editor.texts(1, 12) == ["infilled"]
    assert len(editor.engine.jobs) == 2


async def test_the_newest_wins_and_the_older_is_answered_with_nothing(editor):
    editor.open(ADD)
    editor.engine.gate.clear()
    older = editor.send_inline(1, 11)
    await editor.until(lambda: len(editor.engine.jobs) == 1)
    editor.replace("x = ")
    newer = editor.send_inline(0, 4)

    assert (await editor.answer(older))["result"] == {"items": []}
    editor.engine.gate.set()
    [item] = (await editor.answer(newer))["result"]["items"]
    assert item["insertText"] == "1"
    assert editor.engine.states == [JobState.SUPERSEDED, JobState.DONE]


async def test_a_newer_request_at_the_same_place_takes_the_job_over(editor):
    editor.open(ADD)
    editor.engine.gate.clear()
    older = editor.send_inline(1, 11)
    await editor.until(lambda: len(editor.engine.jobs) == 1)
    newer = editor.send_inline(1, 11)
    # VS Code cancels the older one, which must not take the newer one's job along.
    editor.cancel(older)
    editor.engine.gate.set()

    [item] = (await editor.answer(newer))["result"]["items"]
    assert item["insertText"] == "a + b"
    assert (await editor.answer(older)).get("result") in ({"items": []}, None)
    assert editor.engine.states == [JobState.DONE]


async def test_cancelling_stops_the_job(editor):
    editor.open(ADD)
    editor.engine.gate.clear()
    request = editor.send_inline(1, 11)
    await editor.until(lambda: editor.engine.states == [JobState.RUNNING])
    editor.cancel(request)

    answer = await editor.answer(request)
    assert answer["error"]["code"] == -32800
    await editor.until(lambda: editor.engine.states == [JobState.CANCELLED])


async def test_an_answer_for_an_older_version_is_not_given(editor):
    editor.open(ADD)
    editor.engine.gate.clear()
    request = editor.send_inline(1, 11)
    await editor.until(lambda: len(editor.engine.jobs) == 1)
    editor.replace(ADD[:-1] + "a\n")
    editor.engine.gate.set()

    assert (await editor.answer(request))["result"] == {"items": []}
    # But it is kept for the next request, which it fits.
    assert await editor.texts(1, 12) == [" + b"]
    assert len(editor.engine.jobs) == 1


@pytest.mark.parametrize(("version", "expect"), [(1, ["1"]), (2, []), ("x", ["1"])])
async def test_the_version_that_copilot_clients_send_is_checked(editor, version, expect):
    editor.open("x = ")
    assert await editor.texts(0, 4, textDocument={"version": version}) == expect


@pytest.mark.parametrize(
    ("document", "size", "spaces", "unit"),
    [
        ("for i in ", 2, True, "  "),
        ("for i in ", 8, False, "\t"),
        ("for i in ", 2, False, "\t"),
        # The document's own indentation counts for more.
        ("if x:\n   y\nfor i in ", 2, False, "   "),
        ("if x:\n\ty\nfor i in ", 2, True, "\t"),
    ],
)
async def test_the_indentation_that_copilot_clients_send_counts_in_a_new_file(
    editor, document, size, spaces, unit
):
    editor.open(document)
    line = document.count("\n")
    for _ in range(2):
        options = {"tabSize": size, "insertSpaces": spaces}
        found = await editor.texts(line, 9, formattingOptions=options)
        assert found == [f"range(n):\n{unit}print(i)\n"]
        # Another setting is another question at the same place.
        assert await editor.texts(line, 9) != []


async def test_at_the_deadline_what_is_settled_is_answered_and_the_job_runs_on(make_editor):
    # Long enough for all drafts to come before it, also on a busy machine.
    settings = Settings(debounce_ms=0, deadline_ms=1500)
    editor = make_editor(Pace(num_drafts=30), settings)
    await editor.begin()
    editor.open("for i in ")
    editor.engine.gate.clear()

    assert await editor.texts(0, 9) == ["range(n):\n"]
    assert editor.engine.states == [JobState.RUNNING]
    editor.engine.gate.set()
    assert await editor.texts(0, 9) == ["range(n):\n    print(i)\n"]
    assert editor.engine.states == [JobState.DONE]


async def test_with_nothing_settled_at_the_deadline_the_end_is_the_answer(make_editor):
    editor = make_editor(settings=Settings(debounce_ms=0, deadline_ms=50))
    await editor.begin()
    editor.open("x = ")
    editor.engine.gate.clear()
    request = editor.send_inline(0, 4)
    assert await editor.goes_unanswered(request, for_s=0.1)
    editor.engine.gate.set()
    [item] = (await editor.answer(request))["result"]["items"]
    assert item["insertText"] == "1"


async def test_while_the_model_loads_the_first_request_waits(make_editor):
    """Neovim asks once and not again until the cursor moves."""
    editor = make_editor(settings=Settings(debounce_ms=0, deadline_ms=50))
    editor.link.ready = asyncio.Event()
    await editor.begin()
    editor.open("x = ")
    request = editor.send_inline(0, 4)
    assert await editor.goes_unanswered(request, for_s=0.1)
    editor.link.ready.set()
    [item] = (await editor.answer(request))["result"]["items"]
    assert item["insertText"] == "1"


@pytest.mark.parametrize(
    ("uri", "language", "settings", "code", "names"),
    [
        ("file:///work/.env", "python", Settings(), "excluded", ".env*"),
        ("file:///work/a.py", "python", Settings(enable=False), "switched-off", "`enable`"),
        ("file:///work/a.py", "sql", Settings(languages={"sql": False}), "switched-off", "sql"),
        ("file:///work/b/a.py", "python", Settings(exclude=("b/",)), "excluded", "b/"),
        (
            "file:///work/a.py",
            "python",
            Settings(include=("*.c",)),
            "not-included",
            "`include`",
        ),
    ],
)
async def test_excluded_documents_get_nothing_and_the_status_says_why(
    make_editor, uri, language, settings, code, names
):
    editor = make_editor(settings=settings)
    await editor.begin()
    editor.open("x = ", uri, language)

    assert await editor.texts(0, 4, textDocument={"uri": uri}) == []
    status = await editor.ask("workspace/executeCommand", {"command": "dg-lsp.status"})
    assert (status["kind"], status["code"]) == ("Inactive", code)
    assert names in status["message"]
    assert editor.engine.jobs == []


async def test_in_a_secret_nothing_is_offered_and_the_status_says_why(editor):
    editor.open("token = 'ghp_0123456789abcdefghij0123456789abcdef'\nx = ")
    for kind in (1, 2):
        assert await editor.texts(0, 20, kind) == []
    status = await editor.ask("workspace/executeCommand", {"command": "dg-lsp.status"})
    assert (status["kind"], status["code"]) == ("Inactive", "secret")
    assert editor.engine.jobs == []
    assert await editor.texts(1, 4) == ["1"]


async def test_on_demand_only(make_editor):
    editor = make_editor()
    await editor.begin(options={"trigger": "manual", "debounceMs": 0})
    editor.open("x = ")

    assert await editor.texts(0, 4) == []
    assert await editor.texts(0, 4, kind=1) == ["1"]


async def test_a_failed_job_is_an_empty_answer_with_the_reason_in_the_status(editor):
    editor.open("x = ")
    editor.engine.error = Reason(ReasonCode.OUT_OF_MEMORY, "out of memory")
    assert await editor.texts(0, 4) == []
    status = await editor.ask("workspace/executeCommand", {"command": "dg-lsp.status"})
    assert (status["kind"], status["code"]) == ("Warning", "out-of-memory")

    editor.engine.error = None
    assert await editor.texts(0, 4) == ["1"]
    status = await editor.ask("workspace/executeCommand", {"command": "dg-lsp.status"})
    assert (status["kind"], status["message"]) == ("Normal", "")


async def test_without_an_engine_the_answer_is_empty_and_the_status_says_why(editor):
    editor.link.refusal = Reason(ReasonCode.NO_DEVICE, "no GPU with 18 GB")
    editor.open("x = ")

    assert await editor.texts(0, 4) == []
    status = await editor.ask("workspace/executeCommand", {"command": "dg-lsp.status"})
    assert (status["kind"], status["code"], status["message"]) == (
        *("Error", "no-device"),
        "no GPU with 18 GB",
    )


async def test_a_document_that_is_not_open_gets_nothing(editor):
    assert await editor.texts(0, 0) == []


async def test_closing_a_document_stops_its_job(editor):
    editor.open("x = ")
    editor.engine.gate.clear()
    request = editor.send_inline(0, 4)
    await editor.until(lambda: len(editor.engine.jobs) == 1)
    editor.notify("textDocument/didClose", {"textDocument": {"uri": "file:///work/a.py"}})

    assert (await editor.answer(request))["result"] == {"items": []}
    await editor.until(lambda: editor.engine.states == [JobState.CANCELLED])


async def test_related_files_are_shown_and_secrets_are_not(editor):
    related = "def total_price(items, tax_rate):\n    return sum(items) * tax_rate\n" * 3
    editor.open(related, uri="file:///work/prices.py")
    editor.open(
        "API_KEY = 'ghp_0123456789abcdefghij0123456789abcdef'\n" + related,
        uri="file:///work/.env",
    )
    editor.open(
        "token = 'ghp_0123456789abcdefghij0123456789abcdef'\ntotal_price(items, tax_rate)\nx = "
    )
    await editor.texts(2, 4)

    [job] = editor.engine.jobs
    assert [snippet.path for snippet in job.snippets] == ["prices.py"]
    assert "ghp_" not in job.prefix
    assert job.prefix.startswith("token = '****")


async def test_files_that_were_edited_and_closed_are_still_related(editor):
    related = "def total_price(items, tax_rate):\n    return sum(items) * tax_rate\n" * 3
    for name in ("edited", "looked_at"):
        uri = f"file:///work/{name}.py"
        editor.open(related, uri=uri)
        if name == "edited":
            editor.replace(related + "# changed\n", uri)
        editor.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    editor.open("total_price(items, tax_rate)\nx = ")
    await editor.texts(1, 4)

    [job] = editor.engine.jobs
    assert [snippet.path for snippet in job.snippets] == ["edited.py"]


async def test_progress_for_a_request_with_a_token(editor):
    editor.open("x = ")
    await editor.texts(0, 4, workDoneToken="t")

    kinds = [one["value"]["kind"] for one in editor.told("$/progress")]
    assert kinds == ["begin", "end"]


async def test_related_files_stay_the_same_while_one_types_in_a_line(editor):
    related = "def total_price(items, tax_rate):\n    return sum(items) * tax_rate\n" * 3
    editor.open(related, uri="file:///work/prices.py")
    editor.open("total_price(items, tax_rate)\nx = ")
    for typed in ("", "q", "qq"):
        editor.replace(f"total_price(items, tax_rate)\nx = {typed}")
        await editor.texts(1, 4 + len(typed))

    first, *others = [job.snippets for job in editor.engine.jobs]
    assert first
    assert others == [first] * 2


async def test_a_long_document_is_masked_near_the_cursor_and_keeps_its_length(editor):
    secret = "token = 'ghp_0123456789abcdefghij0123456789abcdef'\n"
    editor.open("# far\n" * 50_000 + secret + "x = \n" + secret + "# far\n" * 50_000)
    assert await editor.texts(50_001, 4) == ["1"]

    [job] = editor.engine.jobs
    assert job.prefix.endswith("'\nx = ")
    assert "ghp_" not in job.prefix + job.suffix


async def test_after_a_restart_of_the_engine_the_same_question_is_asked_again(editor):
    editor.open("x = ")
    await editor.texts(0, 4)
    await editor.ask("workspace/executeCommand", {"command": "dg-lsp.restartEngine"})
    assert await editor.texts(0, 4) == ["1"]
    assert len(editor.engine.jobs) == 2


async def test_typing_on_after_a_deadline_takes_what_is_there_and_then_the_rest(
    make_editor, monkeypatch
):
    editor = make_editor(Pace(num_drafts=30), Settings(debounce_ms=0, deadline_ms=50))
    await editor.begin()
    editor.open("for i in ")
    editor.engine.gate.clear()
    # The deadline passes after the last draft, however slow the machine is.
    with monkeypatch.context() as frozen:
        loop = asyncio.get_running_loop()
        now = loop.time()
        frozen.setattr(loop, "time", lambda: now)
        first = editor.send_inline(0, 9)
        for _ in range(1000):
            await asyncio.sleep(0)
    await editor.answer(first)
    editor.replace("for i in range")
    assert await editor.texts(0, 14) == ["(n):\n"]
    editor.replace("for i in range(n):\n")
    request = editor.send_inline(1, 0)
    editor.engine.gate.set()
    [item] = (await editor.answer(request))["result"]["items"]
    assert item["insertText"] == "    print(i)\n"
    assert len(editor.engine.jobs) == 1


@pytest.mark.parametrize(
    ("language", "document", "written", "expect"),
    [
        ("javascript", "import x from '¦'\n", ["./x';"], ["./x"]),
        ("javascript", 'd = {"¦"}', ['a": 1, "b": 2}'], []),
        ("javascript", "foo(a, ¦\nbar()\n", ["b));"], ["b);"]),
        ("javascript", "function f() {\n}\n¦\n", ["}"], []),
        ("python", "a = 1\n¦\nb = 2\nc = 3\n", ["b = 2"], []),
        ("javascript", "a = 1\n¦\nb = 2\nc = 3\n", ["b = 2"], []),
        ("python", "password = 's3cr3t-9x8y7z'\nx = ¦", ["'*****'"], []),
        (
            "javascript",
            "  if (x) {\n    ¦\n  }\n",
            ["    y();\n    z();\n"],
            ["y();\n    z();"],
        ),
        (
            "makefile",
            "SRC = a.c \\\n    b.c \\\n    c.c\n\nx:\n\techo\n\nall:¦\n",
            ["\n\tgcc -o a $(SRC)"],
            ["\n\tgcc -o a $(SRC)"],
        ),
        ("javascript", "foo(¦)", ["  "], []),
        ("python", "def f():\n    return 1¦", ["\n    "], []),
        ("python", "x = ¦\n", ["1   ", "1", "1 "], ["1"]),
    ],
)
@pytest.mark.parametrize("kind", [1, 2])
async def test_what_is_shown_has_the_form_of_the_place(
    make_editor, language, document, written, expect, kind
):
    editor = make_editor()
    editor.engine.script = lambda job: written
    await editor.begin({"experimental": {"dgLsp": {"drafts": True}}})
    before, after = document.split("¦")
    editor.open(before + after, language=language)
    line, character = before.count("\n"), len(before.rpartition("\n")[2])

    assert await editor.texts(line, character, kind=kind) == expect
    # Nor is a mask shown in between, or what is nothing in the end.
    shown = "".join(draft["text"] for draft in editor.told("dgLsp/draft"))
    assert "***" not in shown


async def test_a_client_that_asks_for_doubt_learns_how_sure_each_part_is(make_editor):
    editor = make_editor()
    await editor.begin({"experimental": {"dgLsp": {"doubt": True}}})
    editor.open("def f(a, b):\n    return \n")
    [item] = await editor.inline(1, 11)

    at = {"line": 1, "character": 11}
    assert item == {
        "insertText": "a + b",
        "range": {"start": at, "end": at},
        "confidence": [[0.9, 5]],
    }
