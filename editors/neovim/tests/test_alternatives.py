"""Alternatives of a word, and the underlined parts that the model is unsure of."""

from __future__ import annotations

CODE = "total = width * height\nrest = 1\n"
CHOOSE = """
vim.ui.select = function(items, options, choose)
  _G.prompt, _G.menu = options.prompt, vim.tbl_map(options.format_item, items)
  _G.choose = function(index) choose(items[index]) end
end
"""


def ask(editor) -> list[str]:
    """The list of alternatives of the word at the cursor."""
    editor.lua("_G.menu = nil")
    editor.command("DgLsp alternatives")
    return editor.until(lambda: editor.lua("return _G.menu"))


def test_another_word_is_chosen_from_a_list_and_one_undo_takes_it_back(plugged):
    editor = plugged(answers={"width * ": ["depth", "length"]}, confidences=[0.6, 0.3, 0.1])
    editor.open(CODE)
    editor.lua(CHOOSE)
    editor.keys("fh")
    editor.until(lambda: editor.cursor() == [1, 12])
    editor.keys("w")
    editor.keys("w")
    editor.until(lambda: editor.cursor() == [1, 16])

    assert ask(editor) == [" 60%  depth", " 30%  length"]
    assert editor.lua("return _G.prompt") == "Instead of height, itself 10%:"
    editor.lua("_G.choose(2)")
    assert editor.text()[0] == "total = width * length"
    editor.keys("u")
    editor.until(lambda: editor.text()[0] == "total = width * height")


def test_an_edit_while_the_list_is_open_replaces_nothing(plugged):
    editor = plugged(answers={"width * ": ["depth"]})
    editor.open(CODE)
    editor.lua(CHOOSE)
    editor.lua("vim.api.nvim_win_set_cursor(0, { 1, 18 })")
    ask(editor)
    editor.lua("vim.api.nvim_buf_set_text(0, 0, 0, 0, 5, { 'x' })")
    editor.lua("_G.choose(1)")

    assert editor.text()[0] == "x = width * height"
    assert "the text has changed" in editor.messages()


def test_what_has_no_alternatives_is_said(plugged):
    editor = plugged(answers={"width * ": []}, otherwise=[])
    editor.open(CODE + "\n\npassword = 'hunter2hunter2'\n")
    editor.lua("vim.api.nvim_win_set_cursor(0, { 1, 18 })")
    editor.command("DgLsp alternatives")
    editor.until(lambda: "knows no other word" in editor.messages())
    editor.lua("vim.api.nvim_win_set_cursor(0, { 3, 0 })")
    editor.command("DgLsp alternatives")
    editor.until(lambda: "there must be a word here" in editor.messages())
    editor.lua("vim.api.nvim_win_set_cursor(0, { 5, 14 })")
    editor.command("DgLsp alternatives")
    editor.until(lambda: "secret" in editor.messages())


def underlined(editor) -> list[str]:
    return [
        editor.lua(
            "local row, col, details = ...\n"
            "return table.concat(vim.api.nvim_buf_get_text("
            "0, row, col, details.end_row, details.end_col, {}), '\\n')",
            *mark[1:],
        )
        for mark in editor.marks("dg_lsp.unsure")
    ]


def accept(editor) -> None:
    editor.keys("A ")
    editor.wait_for_ghost("alpha + beta")
    editor.keys("<Tab>")
    editor.until(lambda: editor.text()[0] == "return alpha + beta")
    editor.keys("<Esc>")


def test_what_the_model_is_unsure_of_is_underlined_until_it_is_edited(plugged):
    editor = plugged(
        options={"doubt": True}, answers={"return ": ["alpha + beta"]}, confidences=[0.3]
    )
    editor.open("return\n")
    accept(editor)
    editor.until(lambda: underlined(editor) == ["alpha + beta"])
    group = editor.marks("dg_lsp.unsure")[0][3]["hl_group"]
    assert editor.lua("return vim.api.nvim_get_hl(0, { name = ... }).link", group)
    editor.keys("0wcwgamma<Esc>")
    editor.until(lambda: underlined(editor) == [])
    assert editor.text()[0] == "return gamma + beta"


def test_nothing_is_underlined_unless_it_is_switched_on(plugged):
    editor = plugged(answers={"return ": ["alpha + beta"]}, confidences=[0.3])
    editor.open("return\n")
    accept(editor)
    editor.settle()
    assert underlined(editor) == []


def test_what_the_model_is_sure_of_is_not_underlined(plugged):
    editor = plugged(options={"doubt": True}, answers={"return ": ["alpha + beta"]})
    editor.open("return\n")
    accept(editor)
    editor.settle()
    assert underlined(editor) == []
