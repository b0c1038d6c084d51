"""What goes wrong, or comes at a bad time."""

from __future__ import annotations

import pytest

SUM = {"return ": ["alpha + beta"]}
HELD = {"num_drafts": 12, "step_s": 0.15, "held": True}


def test_undo_in_mid_draft(plugged):
    editor = plugged({"draftIntervalMs": 0}, answers=SUM, **HELD)
    editor.open("return\n")
    editor.keys("A ")
    editor.until(editor.draft)
    editor.keys("<Esc>u")
    editor.until(lambda: editor.text() == ["return"])
    editor.settle()
    assert (editor.ghost(), editor.draft()) == (None, None)


def test_while_a_macro_is_recorded_and_run_nothing_is_asked(plugged):
    editor = plugged(answers=SUM)
    editor.open("return\nreturn\n")
    editor.keys("qqA ")
    editor.settle()
    editor.keys("x<Tab>y<Esc>qj@q")
    editor.until(lambda: editor.text()[1].startswith("return x"))
    first, second = editor.text()
    assert first == second
    assert editor.jobs() == []


def test_an_open_menu_hides_ghost_text(plugged):
    editor = plugged(answers={"return ": ["alpha"], "return al": ["pha"]})
    editor.open("return\nalpine\nalbum\n")
    editor.keys("A ")
    editor.wait_for_ghost("alpha")
    editor.keys("al<C-n>")
    editor.until(lambda: editor.lua("return vim.fn.pumvisible()") == 1)
    editor.settle()
    assert editor.ghost() is None
    editor.keys("<C-e>")
    editor.until(lambda: editor.lua("return vim.fn.pumvisible()") == 0)
    editor.keys("p")
    editor.until(editor.ghost)


def test_text_that_is_pasted_is_followed(plugged):
    editor = plugged(answers={"b = ": ["1"]})
    editor.open("\n")
    editor.keys("i")
    editor.lua("vim.paste({ 'a = 0', 'b = ' }, -1)")
    editor.wait_for_ghost("1")
    editor.keys("<Tab>")
    editor.until(lambda: editor.text() == ["a = 0", "b = 1"])


def test_a_buffer_that_cannot_be_changed(plugged):
    editor = plugged(answers=SUM)
    editor.open("return \n")
    editor.command("set nomodifiable")
    editor.keys("A")
    editor.settle()
    assert (editor.ghost(), editor.jobs()) == (None, [])


def test_a_very_long_line(plugged):
    editor = plugged(answers={"= ": ["1"]})
    editor.open("x" * 200_000 + " =\n")
    editor.keys("A ")
    editor.wait_for_ghost("1")
    editor.keys("<Tab>")
    editor.until(lambda: editor.text()[0].endswith("x = 1"))


def test_a_closed_fold_opens_for_ghost_text(plugged):
    editor = plugged(answers=SUM)
    editor.open("return\ntwo\nthree\n")
    editor.command("1,3fold")
    editor.keys("A ")
    editor.wait_for_ghost("alpha + beta")
    assert editor.screen() == ["return alpha + beta", "two", "three"]


@pytest.mark.parametrize("with_plugin", [True, False])
def test_line_ends_of_dos(plugged, plain, with_plugin):
    answers = {"for i in ": ["range(n):\n    print(i)\n"]}
    editor = plugged(answers=answers) if with_plugin else plain(answers=answers)
    editor.open("for i in\r\nprint()\r\n")
    editor.keys("A ")
    editor.wait_for_ghost()
    editor.keys("<Tab>")
    editor.until(lambda: editor.text() == ["for i in range(n):", "    print(i)", "print()"])
    editor.keys("<Esc>:write<CR>")
    editor.until(lambda: (editor.directory / "a.py").read_bytes().count(b"\r\n") == 3)
    assert b"\r\r" not in (editor.directory / "a.py").read_bytes()


def test_drafts_in_a_document_with_line_ends_of_dos(plugged):
    answers = {"for i in ": ["range(n):\n    print(i)"]}
    editor = plugged({"draftIntervalMs": 0}, answers=answers, **HELD)
    editor.open("for i in\r\nprint()\r\n")
    editor.keys("A ")
    editor.until(lambda: "\n" in (editor.draft() or ""))
    assert "\r" not in editor.draft()


def test_a_second_window_of_the_buffer(plugged):
    editor = plugged(answers=SUM)
    editor.open("return\nother\n")
    editor.command("split")
    editor.keys("A ")
    editor.wait_for_ghost("alpha + beta")
    editor.keys("<Tab>")
    editor.until(lambda: editor.text() == ["return alpha + beta", "other"])


def test_editing_elsewhere_while_it_is_shown(plugged):
    editor = plugged(answers=SUM)
    editor.open("return\n")
    editor.keys("A ")
    editor.wait_for_ghost("alpha + beta")
    editor.lua("vim.api.nvim_buf_set_lines(0, 0, 0, false, { '# new' })")
    editor.keys("<Tab>")
    editor.settle()
    assert "alpha" not in editor.text()[0]
