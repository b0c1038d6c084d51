"""The command `dg-lsp.alternatives`: its word, its answer, and what it refuses."""

from __future__ import annotations

import pytest

from dg_lsp.server.link.scripted import Pace

URI = "file:///work/a.py"


def at(line: int, character: int, **more):
    return {"uri": URI, "position": {"line": line, "character": character}, **more}


def span(line: int, start: int, end: int, **more):
    ends = [{"line": line, "character": character} for character in (start, end)]
    return {"uri": URI, "range": {"start": ends[0], "end": ends[1]}, **more}


def command(argument):
    return {"command": "dg-lsp.alternatives", "arguments": [argument]}


async def ask(editor, argument):
    return await editor.ask("workspace/executeCommand", command(argument))


@pytest.fixture
async def asking(make_editor):
    editor = make_editor(Pace(confidences=(0.6, 0.3, 0.1)))
    await editor.begin()
    editor.open("total = width * height\n")
    editor.engine.script = lambda job: ["depth", "length"]
    return editor


async def test_the_word_at_the_cursor_with_probabilities(asking):
    answer = await ask(asking, at(0, 18))

    assert answer == {
        "range": {
            "start": {"line": 0, "character": 16},
            "end": {"line": 0, "character": 22},
        },
        "version": 1,
        "word": "height",
        "probability": 0.1,
        "alternatives": [
            {"text": "depth", "probability": 0.6},
            {"text": "length", "probability": 0.3},
        ],
        "reason": None,
        "code": None,
    }
    [job] = asking.engine.jobs
    assert (job.prefix, job.replaced, job.suffix) == ("total = width * ", "height", "\n")
    assert job.alternatives == 8
    assert job.seeds == ()
    assert asking.told("workspace/applyEdit") == []


async def test_what_is_unlikely_or_breaks_the_code_is_not_listed(make_editor):
    editor = make_editor(Pace(confidences=(0.5, 0.3, 0.004, 0.196)))
    await editor.begin()
    editor.open("total = area(width)\n")
    editor.engine.script = lambda job: ["height", "depth)", "length"]
    answer = await ask(editor, at(0, 15))

    assert [one["text"] for one in answer["alternatives"]] == ["height"]
    assert answer["probability"] == 0.196


async def test_a_range_is_taken_as_it_is(asking):
    answer = await ask(asking, span(0, 16, 19))

    assert answer["word"] == "hei"
    assert asking.engine.jobs[0].suffix == "ght\n"


async def test_positions_are_in_the_clients_units(asking):
    asking.replace("🙂 = naïve\n")
    answer = await ask(asking, at(0, 6))

    assert answer["word"] == "naïve"
    assert answer["range"]["start"] == {"line": 0, "character": 5}


@pytest.mark.parametrize(
    "argument",
    [
        at(0, 5, uri="file:///work/other.py"),
        {"uri": URI},
        at(0, 0) | {"position": 3},
        at(0, 18, version="x"),
    ],
)
async def test_a_wrong_argument_is_an_error(asking, argument):
    error = await asking.refused("workspace/executeCommand", command(argument))

    assert error["code"] == -32602
    assert asking.engine.jobs == []


async def test_where_there_is_no_word(asking):
    asking.replace("a    b\n" + "x" * 65 + "\ncd\nef\n")
    two_lines = span(0, 0, 0)
    two_lines["range"]["start"]["line"], two_lines["range"]["end"]["line"] = 2, 3
    two_lines["range"]["end"]["character"] = 1
    for argument in (at(0, 3), span(1, 0, 65), span(0, 1, 4), two_lines):
        error = await asking.refused("workspace/executeCommand", command(argument))
        assert error["data"]["code"] == "blank"
    assert asking.engine.jobs == []


async def test_a_secret_is_refused(asking):
    asking.replace('password = "hunter2hunter2"\nx = 1\n')
    answer = await ask(asking, at(0, 16))

    assert (answer["code"], answer["alternatives"]) == ("secret", [])
    assert asking.engine.jobs == []


async def test_an_excluded_file_is_refused(asking):
    asking.open("KEY=1\n", "file:///work/.env")
    answer = await ask(asking, at(0, 1, uri="file:///work/.env"))

    assert (answer["code"], answer["alternatives"]) == ("excluded", [])
    assert asking.engine.jobs == []


async def test_texts_that_write_a_mask_or_a_line_break_are_left_out(asking):
    asking.replace('password = "hunter2hunter2"\ntotal = width\n')
    asking.engine.script = lambda job: ['"**************"', "a\nb", " ", "depth"]
    answer = await ask(asking, at(1, 10))

    assert [one["text"] for one in answer["alternatives"]] == ["depth"]


async def test_a_model_that_knows_no_other_word(asking):
    asking.engine.script = lambda job: []
    answer = await ask(asking, at(0, 18))

    assert (answer["code"], answer["alternatives"]) == ("blank", [])


async def test_an_edit_elsewhere_moves_the_word_and_one_in_it_discards_the_answer(asking):
    asking.engine.gate.clear()
    for line, character, code in ((0, 0, None), (0, 20, "changed")):
        request = asking.send("workspace/executeCommand", command(at(0, 18)))
        await asking.until(lambda: len(asking.engine.handles) and asking.engine._tasks)
        place = {"line": line, "character": character}
        text = {"range": {"start": place, "end": place}, "text": "yy"}
        asking.change(URI, text)
        asking.engine.gate.set()
        answer = (await asking.answer(request))["result"]
        assert answer["code"] == code
        assert (answer["range"] is None) == (code is not None)
        if code is None:
            assert answer["range"]["start"]["character"] == 18
            assert answer["version"] == 2
        asking.engine.gate.clear()


async def test_an_engine_that_fails_is_said(asking):
    asking.engine.script = lambda job: 1 / 0
    answer = await ask(asking, at(0, 18))

    assert answer["code"] == "job-failed"
    assert (await asking.trace())["method"] == "dg-lsp.alternatives"
