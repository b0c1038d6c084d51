"""The strength of a rewrite is turned while it is shown, and its steps are walked through."""

from __future__ import annotations

import pytest

CODE = "a = 1\nb = 2\nc = 3\n"
LINES = ["a = 1", "b = 2", "c = 3"]
QUICK = {"rewrites": {"which": "# seed {seed}, strength {strength}"}}
SLOW = {**QUICK, "num_drafts": 6, "step_s": 0.1}


@pytest.fixture
def begin(plugged):
    """Open the file and rewrite its first two lines, with this script and these options."""

    def start(script=QUICK, settings=None, options=None):
        editor = plugged({"draftIntervalMs": 0, **(settings or {})}, options, **script)
        editor.open(CODE)
        editor.keys("Vj:DgLsp rewrite which<CR>")
        shows(editor, 0.6)
        return editor

    return start


def shows(editor, strength: float, seed: int = 0) -> None:
    """Wait until this is written."""
    written = f"\n# seed {seed}, strength {strength}\n<CR> accept"
    editor.until(lambda: (editor.preview() or "").startswith(written))
    assert f" {round(100 * strength)}% " in editor.preview()


def drawn(editor) -> str:
    return editor.preview().split("\n")[1]


def test_keys_turn_the_strength_the_seed_stays_and_one_undo_reverts(begin):
    editor = begin()
    editor.keys("+")
    shows(editor, 0.7)
    editor.keys("--")
    shows(editor, 0.5)
    editor.keys("<M-ScrollWheelUp>")
    shows(editor, 0.6)
    assert editor.text() == LINES
    editor.keys("<CR>")
    editor.until(lambda: editor.text() == ["# seed 0, strength 0.6", "c = 3"])
    assert editor.preview() is None
    editor.keys("u")
    editor.until(lambda: editor.text() == LINES)


def test_a_strength_that_was_there_is_written_by_no_job(begin):
    editor = begin()
    editor.keys("+")
    shows(editor, 0.7)
    editor.keys("-")
    shows(editor, 0.6)
    editor.keys("+")
    shows(editor, 0.7)
    assert editor.jobs() == ["done", "done"]


def test_it_can_be_turned_while_it_is_written_and_the_newest_counts(begin):
    editor = begin(SLOW)
    before = drawn(editor)
    editor.keys("+")
    editor.until(lambda: "writing" in editor.preview() or "step " in editor.preview())
    assert drawn(editor) == before or "?" in drawn(editor)
    editor.keys("+++++++")
    shows(editor, 1.0)
    editor.until(lambda: editor.jobs()[-1] == "done")
    assert set(editor.jobs()[1:-1]) <= {"cancelled", "superseded"}


def test_another_attempt_keeps_the_strength_and_knows_what_was_shown(begin):
    editor = begin()
    editor.keys("-")
    shows(editor, 0.5)
    editor.keys("R")
    shows(editor, 0.5, seed=1)
    editor.keys("+")
    shows(editor, 0.6, seed=1)


def test_the_steps_are_walked_and_what_is_shown_is_accepted(begin):
    editor = begin(SLOW)
    last = drawn(editor)
    seen = []
    count = int(editor.preview().split("( ")[1].split("/")[0])
    for _ in range(count + 1):
        seen.append(drawn(editor))
        editor.keys("(")
        editor.settle()
    assert "( 1/" in editor.preview()
    assert len(set(seen)) > 2
    assert seen[-1] == seen[-2]
    editor.keys("))")
    editor.until(lambda: f"( 3/{count} )" in editor.preview())
    assert editor.text() == LINES
    step = drawn(editor)
    assert step != last
    editor.keys("<CR>")
    editor.until(lambda: editor.text() == [step, "c = 3"])
    editor.keys("u")
    editor.until(lambda: editor.text() == LINES)


def test_the_steps_are_there_again_where_the_strength_is_turned_back(begin):
    editor = begin(SLOW)
    hint = editor.preview().split("\n")[-1]
    assert "( " in hint
    editor.keys("+")
    shows(editor, 0.7)
    editor.keys("-")
    shows(editor, 0.6)
    assert editor.preview().split("\n")[-1] == hint
    assert editor.jobs() == ["done", "done"]


def test_the_command_does_the_same(begin):
    editor = begin(
        SLOW, options={"rewrite_keys": {"freer": False, "earlier": ["<F5>", "<F6>"]}}
    )
    assert ":DgLsp freer" in editor.preview()
    assert "<F5> " in editor.preview()
    editor.command("DgLsp freer")
    shows_without_key = "\n# seed 0, strength 0.7\n<CR>"
    editor.until(lambda: editor.preview().startswith(shows_without_key))
    editor.command("DgLsp closer")
    editor.until(lambda: "strength 0.6\n<CR>" in editor.preview())
    last = drawn(editor)
    editor.command("DgLsp earlier")
    editor.until(lambda: drawn(editor) != last)
    editor.command("DgLsp later")
    editor.until(lambda: drawn(editor) == last)
    editor.keys("<F6>")
    editor.until(lambda: drawn(editor) != last)
    # Without a mapping, the key moves the cursor as ever, here out of the selection.
    editor.keys("++")
    editor.until(lambda: editor.cursor()[0] == 4 or editor.cursor()[0] == 3)
    assert "60%" in editor.preview()


def test_elsewhere_the_keys_do_what_they_did(begin):
    editor = begin()
    editor.keys("G-")
    editor.until(lambda: editor.cursor()[0] == 2)
    editor.keys("G(")
    editor.settle()
    assert "60%" in editor.preview()
    editor.keys("gg<Esc>")
    editor.until(lambda: editor.preview() is None)
    editor.keys("+")
    editor.until(lambda: editor.cursor()[0] == 2)


def test_a_selection_that_was_edited_is_not_asked_for_again(begin):
    editor = begin()
    editor.lua("vim.api.nvim_buf_set_text(0, 0, 0, 0, 1, { 'x' })")
    editor.keys("gg+")
    editor.until(lambda: "has changed in the meantime" in editor.messages())
    assert editor.preview() is None
    assert editor.jobs() == ["done"]
    assert editor.text() == ["x = 1", "b = 2", "c = 3"]


def test_a_buffer_that_is_closed_takes_its_rewrite_along(begin):
    editor = begin(SLOW)
    editor.keys("+")
    editor.command("bwipeout!")
    editor.until(lambda: editor.jobs()[-1] in ("cancelled", "done"))
    editor.command("DgLsp freer")
    assert "nothing is being rewritten here" in editor.messages()


def test_what_is_filled_has_no_strength(plugged):
    editor = plugged()
    editor.open("a = 1\nb = …\n")
    editor.command("DgLsp holes")
    editor.until(
        lambda: "R retry" in (editor.preview() or "") and "% +" not in editor.preview()
    )
    editor.until(lambda: editor.jobs()[-1:] == ["done"])
    editor.command("DgLsp freer")
    assert len(editor.jobs()) == 1


@pytest.mark.parametrize("word", ["freer", "closer", "earlier", "later"])
def test_without_a_rewrite_the_user_is_told(plugged, word):
    editor = plugged()
    editor.open(CODE)
    editor.command(f"DgLsp {word}")
    assert "nothing is being rewritten here" in editor.messages()
