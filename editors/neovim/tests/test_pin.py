"""A part of an accepted text stays, and the rest is rewritten around it."""

from __future__ import annotations

import pytest

TEXT = "return width * height + 1"


@pytest.fixture
def accepted(plugged):
    """A line of which all after `return ` was accepted; around a pinned word, the engine writes
    something else."""
    editor = plugged(
        answers={"return ": ["width * height + 1"]},
        pinned=["2 * ", " + depth"],
        otherwise=[" - 2"],
    )
    editor.open("x = 1\nreturn\ny = 2\n")
    editor.keys("jA ")
    editor.wait_for_ghost("width * height + 1")
    editor.keys("<Tab>")
    editor.until(lambda: editor.text()[1] == TEXT)
    editor.keys("<Esc>")
    editor.until(lambda: editor.mode() == "n")
    return editor


def wait_for_rest(editor) -> None:
    editor.until(lambda: "+ depth\n" in (editor.preview() or ""))


def keep(editor, command: str = "DgLsp keep") -> None:
    editor.command(command)
    wait_for_rest(editor)


def test_the_word_at_the_cursor_stays(accepted):
    accepted.lua("vim.api.nvim_win_set_cursor(0, { 2, 17 })")
    keep(accepted)
    assert accepted.text()[1] == TEXT
    accepted.keys("<CR>")
    after = ["x = 1", "return 2 * height + depth", "y = 2"]
    accepted.until(lambda: accepted.text() == after)
    accepted.keys("u")
    accepted.until(lambda: accepted.text() == ["x = 1", TEXT, "y = 2"])


def test_what_is_the_same_around_the_word_is_not_shown_as_new(accepted):
    accepted.lua("vim.api.nvim_win_set_cursor(0, { 2, 17 })")
    keep(accepted)
    assert accepted.replaced_and_written() == (["width", "1"], ["2", "depth"])


def test_what_was_edited_stays_wherever_the_cursor_is(accepted):
    accepted.lua("vim.api.nvim_win_set_cursor(0, { 2, 15 })")
    accepted.keys("cwlength<Esc>0")
    accepted.until(lambda: accepted.text()[1] == "return width * length + 1")
    keep(accepted)
    accepted.keys("<CR>")
    accepted.until(lambda: accepted.text()[1] == "return 2 * length + depth")


def test_the_first_word_can_be_another_one(accepted):
    accepted.lua("vim.api.nvim_win_set_cursor(0, { 2, 7 })")
    accepted.keys("cwdepth<Esc>")
    accepted.until(lambda: accepted.text()[1] == "return depth * height + 1")
    accepted.command("DgLsp keep")
    accepted.until(lambda: "return depth - 2" in (accepted.preview() or ""))


def test_a_selection_stays(accepted):
    accepted.lua("vim.api.nvim_win_set_cursor(0, { 2, 15 })")
    accepted.keys("viw:DgLsp keep<CR>")
    wait_for_rest(accepted)


def test_what_is_outside_of_the_accepted_text_cannot_stay(accepted):
    for row, col in ((1, 0), (2, 2)):
        accepted.command("messages clear")
        accepted.lua(f"vim.api.nvim_win_set_cursor(0, {{ {row}, {col} }})")
        accepted.command("DgLsp keep")
        accepted.until(lambda: "part of the text that was accepted" in accepted.messages())
    accepted.keys("uu")
    accepted.until(lambda: accepted.text()[1] != TEXT)
    accepted.command("DgLsp keep")
    accepted.until(lambda: "accept a suggestion first" in accepted.messages())
    # A longer one has to be dismissed with a key.
    assert all(len(line) < 70 for line in accepted.messages().splitlines())


def test_what_starts_as_it_is_has_no_strength(accepted):
    accepted.lua("vim.api.nvim_win_set_cursor(0, { 2, 17 })")
    keep(accepted)
    assert "%" not in accepted.preview()
    accepted.command("DgLsp freer")
    accepted.until(lambda: "no strength" in accepted.messages())


def test_an_edit_while_it_is_written_discards_it(accepted):
    accepted.lua("vim.api.nvim_win_set_cursor(0, { 2, 17 })")
    keep(accepted)
    accepted.lua("vim.api.nvim_buf_set_text(0, 1, 7, 1, 12, { 'z' })")
    accepted.command("DgLsp accept")
    accepted.until(lambda: "changed in the meantime" in accepted.messages())
    assert accepted.text()[1] == "return z * height + 1"
