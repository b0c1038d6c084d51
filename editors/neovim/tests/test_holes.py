"""All holes of a buffer are filled together, with one preview, one accept and one undo."""

from __future__ import annotations

CODE = "def f(x):\n    y = …\n    return …\n"
LINES = CODE.split("\n")[:-1]
FILLED = ["def f(x):", "    y = x + 1", "    return y"]
ANSWERS = {"    y = ": ["x + 1|y"], "    return ": ["0"]}


def test_marks_are_filled_together_and_one_undo_takes_it_back(plugged):
    editor = plugged({"draftIntervalMs": 0}, answers=ANSWERS, num_drafts=3)
    editor.open(CODE)
    editor.keys(":DgLsp holes<CR>")
    editor.until(lambda: "x + 1\n    return y\n<CR> accept" in (editor.preview() or ""))
    assert editor.text() == LINES
    editor.keys("j<CR>")
    editor.until(lambda: editor.text() == FILLED)
    editor.keys("u")
    editor.until(lambda: editor.text() == LINES)


def test_only_what_is_written_into_the_marks_is_shown_as_new(plugged):
    editor = plugged({"draftIntervalMs": 0}, answers=ANSWERS, num_drafts=3)
    editor.open(CODE)
    editor.keys(":DgLsp holes<CR>")
    editor.until(lambda: "x + 1\n    return y\n<CR> accept" in (editor.preview() or ""))
    assert editor.replaced_and_written() == (["…", "…"], ["x + 1", "y"])
    # A step on the way, which has only a part of it.
    editor.keys("j(")
    editor.until(lambda: "return ?" in (editor.preview() or ""))
    replaced, written = editor.replaced_and_written()
    assert (replaced, "".join(written)) == (["…", "…"], "x + 1?")


def test_only_the_marks_are_shown_as_replaced_before_anything_is_written(plugged):
    editor = plugged(answers=ANSWERS, step_s=3600)
    editor.open(CODE)
    editor.keys(":DgLsp holes<CR>")
    editor.until(lambda: "writing" in (editor.preview() or ""))
    assert editor.replaced_and_written() == (["…", "…"], [])


def test_only_those_of_a_range(plugged):
    editor = plugged(answers=ANSWERS)
    editor.open(CODE)
    editor.keys(":3DgLsp holes<CR>")
    editor.until(lambda: "0\n<CR> accept" in (editor.preview() or ""))
    editor.keys("G<CR>")
    editor.until(lambda: editor.text() == [*LINES[:2], "    return 0"])


def test_the_menu_of_code_actions_offers_it_with_a_preview(plugged):
    editor = plugged(answers=ANSWERS)
    editor.open(CODE)
    editor.lua(
        "vim.ui.select = function(items, options, choose)\n"
        "  for _, item in ipairs(items) do\n"
        "    if options.format_item(item):find('Fill the holes') then choose(item) end\n"
        "  end\n"
        "end"
    )
    editor.lua("vim.lsp.buf.code_action()")
    editor.until(lambda: "x + 1\n    return y" in (editor.preview() or ""))
    assert editor.text() == LINES


def test_without_a_mark_it_says_how_to_make_one(plugged):
    editor = plugged({"holeMark": "???"})
    editor.open(CODE)
    editor.keys(":DgLsp holes<CR>")
    editor.until(lambda: "write ??? where something is missing" in editor.messages())


def test_the_bundled_model_fills_two_holes(plugged_with_model):
    editor = plugged_with_model
    before = [
        "class Stack:",
        "    def __init__(self):",
        "        self.items = …",
        "",
        "    def push(self, item):",
        "        self.items.…(item)",
    ]
    editor.open("\n".join(before) + "\n")
    editor.events("DgLspRewrite")
    editor.keys(":DgLsp holes<CR>")
    editor.until(
        lambda: any(data.get("state") == "written" for _, data in editor.noted()), patience_s=90
    )
    editor.keys("2j<CR>")
    editor.until(lambda: editor.text() != before)
    after = editor.text()
    assert not any("…" in line for line in after)
    assert [line for line in after if line in before] == [before[0], before[1], "", before[4]]
    editor.keys("u")
    editor.until(lambda: editor.text() == before)
