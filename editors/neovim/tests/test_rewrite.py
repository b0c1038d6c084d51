"""A rewrite is shown in place, and the buffer changes when it is accepted."""

from __future__ import annotations

import pytest

CODE = "a = 1\nb = 2\nc = 3\n"
HINT = "<CR> accept, <Esc> discard, R retry, - 60% +"
CHOOSE = """
vim.ui.select = function(items, options, choose)
  _G.menu = vim.tbl_map(options.format_item, items)
  for index, title in ipairs(_G.menu) do
    if title == TITLE then choose(items[index]) end
  end
end
"""


def choose(editor, title: str) -> None:
    """From now on this entry is chosen from the menu of code actions."""
    editor.lua(f"local TITLE = ...\n{CHOOSE}", title)


def watch_progress(editor) -> None:
    editor.lua(
        "_G.told = {}\n"
        "vim.api.nvim_create_autocmd('LspProgress', { callback = function(event)\n"
        "  table.insert(_G.told, event.data.params.value)\n"
        "end })"
    )


@pytest.fixture
def shown(plugged):
    """The first two lines rewritten as `# in capitals`, not yet accepted."""
    editor = plugged()
    editor.open(CODE)
    editor.keys("Vj:DgLsp rewrite in capitals<CR>")
    editor.until(lambda: (editor.preview() or "").startswith("\n# in capitals\n<CR> accept"))
    return editor


def test_the_bundled_model_rewrites_and_one_undo_takes_it_back(plugged_with_model):
    editor = plugged_with_model
    editor.events("DgLspDraft", "DgLspRewrite")
    before = ["def area(width, height):", "    result = width + height", "    return result"]
    editor.open("\n".join(before) + "\n")
    editor.keys("jV:DgLsp rewrite<CR>")
    editor.until(
        lambda: any(data.get("state") == "written" for _, data in editor.noted()), patience_s=90
    )
    # The last line has the keys, and a warning may stand above it.
    preview = [line for line in editor.preview().split("\n")[1:-1] if "Warning: " not in line]
    assert any(name == "DgLspDraft" for name, _ in editor.noted())
    assert editor.text() == before
    editor.keys("<CR>")
    editor.until(lambda: editor.text() != before)
    written = editor.text()[1:-1]
    assert preview == written
    editor.keys("u")
    editor.until(lambda: editor.text() == before)


def test_with_words_the_bundled_model_says_that_it_cannot(plugged_with_model):
    editor = plugged_with_model
    editor.open(CODE)
    editor.keys("V:DgLsp rewrite in capitals<CR>")
    editor.until(lambda: "cannot follow instructions" in editor.messages(), patience_s=90)
    assert editor.preview() is None
    assert editor.text() == CODE.split("\n")[:-1]


def test_what_is_written_stands_below_the_selection(shown):
    *lines, hint = shown.screen()[:4]
    assert lines == ["a = 1", "b = 2", "# in capitals"]
    assert hint.startswith(HINT)


def test_below_a_long_selection_it_is_scrolled_into_view(plugged):
    editor = plugged()
    lines = [f"a{number} = {number}" for number in range(60)]
    editor.open("\n".join(lines) + "\n")
    editor.keys("ggV39j:DgLsp rewrite shout<CR>")
    editor.until(lambda: f"# shout\n{HINT}" in (editor.preview() or ""))
    screen = editor.screen()
    text, hint = screen[screen.index("a39 = 39") + 1 :][:2]
    assert (text, hint[: len(HINT)]) == ("# shout", HINT)
    editor.keys("<CR>")
    editor.until(lambda: editor.text() == ["# shout", *lines[40:]])


def test_elsewhere_the_keys_do_what_they_did(shown):
    shown.keys("G<CR>R!<Esc>")
    shown.until(lambda: shown.text() == ["a = 1", "b = 2", "! = 3"])
    shown.keys("<Esc>")
    shown.settle()
    assert "# in capitals" in shown.preview()
    shown.keys("gg<CR>")
    shown.until(lambda: shown.text() == ["# in capitals", "! = 3"])


def test_elsewhere_mappings_of_the_user_go_on(plugged):
    editor = plugged()
    editor.open(CODE)
    editor.command("nnoremap <CR> ix<Esc>")
    editor.lua("vim.keymap.set('n', 'R', function() vim.b.pressed = true end)")
    editor.keys("V:DgLsp rewrite shout<CR>")
    editor.until(lambda: "# shout" in (editor.preview() or ""))
    editor.keys("G<CR>R")
    editor.until(lambda: editor.text() == ["a = 1", "b = 2", "xc = 3"])
    assert editor.lua("return vim.b.pressed") is True


def test_a_rewrite_that_breaks_the_code_carries_a_warning(plugged):
    editor = plugged(rewrites={"break": "a = (\n"})
    editor.open(CODE)
    editor.keys("V:DgLsp rewrite break it<CR>")
    editor.until(lambda: "a = (\nWarning: " in (editor.preview() or ""))
    assert editor.text() == CODE.split("\n")[:-1]


def test_a_rewrite_that_takes_long_shows_progress(plugged):
    editor = plugged({"draftIntervalMs": 0}, num_drafts=12, step_s=0.2)
    watch_progress(editor)
    editor.open(CODE)
    editor.keys("V:DgLsp rewrite shout<CR>")
    editor.until(lambda: "step " in editor.lua("return vim.lsp.status()"))
    editor.until(lambda: "# shout\n<CR>" in (editor.preview() or ""))
    told = editor.lua("return _G.told")
    assert [one["kind"] for one in told[:1] + told[-1:]] == ["begin", "end"]
    assert {one["title"] for one in told} == {"dg-lsp: rewriting"}
    shares = [one["percentage"] for one in told[1:-1]]
    assert shares == sorted(set(shares))
    assert 0 < shares[0] < shares[-1] <= 100


def test_a_rewrite_that_is_quick_shows_none(plugged):
    editor = plugged()
    watch_progress(editor)
    editor.open(CODE)
    editor.keys("V:DgLsp rewrite shout<CR>")
    editor.until(lambda: "# shout" in (editor.preview() or ""))
    editor.settle()
    editor.settle()
    assert editor.lua("return _G.told") == []


def test_accepting_replaces_the_selection_in_one_step(shown):
    assert shown.text() == ["a = 1", "b = 2", "c = 3"]
    shown.keys("<CR>")
    shown.until(lambda: shown.text() == ["# in capitals", "c = 3"])
    assert shown.preview() is None
    shown.keys("u")
    shown.until(lambda: shown.text() == ["a = 1", "b = 2", "c = 3"])


def test_discarding_leaves_it_and_gives_the_keys_back(shown):
    shown.keys("<Esc>")
    shown.until(lambda: shown.preview() is None)
    shown.keys("<CR>")
    shown.until(lambda: shown.cursor()[0] == 2)
    assert shown.text() == ["a = 1", "b = 2", "c = 3"]


def test_retrying_writes_another_text(plugged):
    editor = plugged(rewrites={"count": "# attempt {seed}"})
    editor.open(CODE)
    editor.keys("Vj:DgLsp rewrite count<CR>")
    editor.until(lambda: "# attempt 0" in (editor.preview() or ""))
    editor.keys("R")
    editor.until(lambda: "# attempt 1" in (editor.preview() or ""))
    editor.keys("<CR>")
    editor.until(lambda: editor.text() == ["# attempt 1", "c = 3"])


def test_where_there_is_no_other_text_the_last_one_stays(shown):
    shown.events("DgLspRewrite")
    shown.keys("R")
    shown.until(lambda: any(data.get("state") == "written" for _, data in shown.noted()))
    assert len(shown.jobs()) > 1
    assert shown.messages()
    shown.keys("<CR>")
    shown.until(lambda: shown.text() == ["# in capitals", "c = 3"])


def test_drafts_are_shown_meanwhile(plugged):
    editor = plugged({"draftIntervalMs": 0}, num_drafts=10, step_s=0.1, held=True)
    editor.events("DgLspDraft")
    editor.open(CODE)
    editor.keys("V:DgLsp rewrite shout<CR>")
    editor.until(lambda: "step " in (editor.preview() or ""))
    editor.keys("<CR>")
    assert editor.text() == ["a = 1", "b = 2", "c = 3"]
    editor.release()
    editor.until(lambda: "\n# shout\n" in (editor.preview() or ""))
    steps = [data["step"] for _, data in editor.noted()]
    assert steps == sorted(set(steps))


def test_a_part_of_a_line_is_shown_with_what_stands_around_it(plugged):
    editor = plugged(otherwise=["two + 2"])
    editor.open("变量 = f(one, 圆) + 1\n")
    editor.keys("fovt):DgLsp rewrite<CR>")
    editor.until(lambda: "two + 2" in (editor.preview() or ""))
    assert editor.preview().split("\n")[1] == "变量 = f(two + 2) + 1"
    editor.keys("<CR>")
    editor.until(lambda: editor.text() == ["变量 = f(two + 2) + 1"])


def test_edits_elsewhere_do_not_matter_and_edits_inside_do(shown):
    shown.lua("vim.api.nvim_buf_set_lines(0, 0, 0, false, { 'new' })")
    shown.keys("<CR>")
    shown.until(lambda: shown.text() == ["new", "# in capitals", "c = 3"])

    shown.keys("ggjV:DgLsp rewrite again<CR>")
    shown.until(lambda: "# again" in (shown.preview() or ""))
    shown.lua("vim.api.nvim_buf_set_text(0, 1, 0, 1, 1, { '' })")
    shown.keys("<CR>")
    shown.until(lambda: "has changed in the meantime" in shown.messages())
    assert shown.text() == ["new", " in capitals", "c = 3"]


def test_discarding_in_mid_job_stops_it(plugged):
    editor = plugged(held=True)
    editor.open(CODE)
    editor.keys("V:DgLsp rewrite shout<CR>")
    editor.until(lambda: editor.jobs() == ["running"])
    editor.keys("<Esc>")
    editor.until(lambda: editor.jobs() == ["cancelled"])


def test_in_folds_the_preview_can_be_seen(plugged):
    editor = plugged()
    editor.open(CODE)
    editor.command("1,2fold")
    editor.command("1,2DgLsp rewrite shout")
    editor.until(lambda: "# shout" in editor.screen())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("DgLsp rewrite", "select what is to be rewritten"),
        ("set nomodifiable | 1DgLsp rewrite", "cannot be changed"),
        ("4DgLsp rewrite", "nothing but blanks"),
        ("DgLsp accept", "nothing is being rewritten here"),
        ("DgLsp frobnicate", "'frobnicate'"),
    ],
)
def test_what_cannot_be_done_is_said(plugged, command, said):
    editor = plugged()
    editor.open(CODE + "  \n")
    editor.command(command)
    assert said in editor.messages()
    assert editor.preview() is None


@pytest.mark.parametrize(
    ("typed", "written"), [("shout", "# shout"), ("", "infilled"), (None, None)]
)
def test_the_code_action_asks_for_words(plugged, typed, written):
    editor = plugged()
    editor.open(CODE)
    editor.lua("local typed = ...\nvim.ui.input = function(_, done) done(typed) end", typed)
    choose(editor, "Rewrite selection…")
    editor.keys("Vgra")
    if written is None:
        editor.settle()
        assert editor.preview() is None
    else:
        editor.until(lambda: f"{written}\n<CR>" in (editor.preview() or ""))
    assert editor.text() == CODE.split("\n")[:-1]


@pytest.mark.parametrize(
    ("keys", "title", "preview"),
    [
        ("jVgra", "Rewrite selection anew", "\ninfilled\n"),
        ("jVgra", "Simplify", "\n# Simplify this code without changing what it does.\n"),
        ("jA + <Esc>gra", "Fill here", "\nb = 2 +infilled \n"),
    ],
)
def test_code_actions_are_previewed(plugged, keys, title, preview):
    editor = plugged()
    editor.open(CODE)
    choose(editor, title)
    editor.keys(keys)
    editor.until(lambda: (editor.preview() or "").startswith(preview))
    before = editor.text()
    editor.keys("<CR>")
    editor.until(lambda: editor.text() != before)
    assert editor.text() == [before[0], preview.strip("\n"), before[2]]


def test_a_problem_that_another_tool_found_is_fixed_in_a_preview(plugged):
    editor = plugged()
    editor.open(CODE)
    editor.lua(
        "local namespace = vim.api.nvim_create_namespace('test')\n"
        "vim.diagnostic.set(namespace, 0, {\n"
        "  { lnum = 1, col = 0, end_col = 5, message = 'wrong' } })"
    )
    choose(editor, "Fix this problem")
    editor.keys("jgra")
    editor.until(lambda: "# Fix these problems: wrong\n<CR>" in (editor.preview() or ""))
    assert editor.text() == CODE.split("\n")[:-1]


def test_the_menu_holds_nothing_that_cannot_be_chosen(plugged_with_model):
    editor = plugged_with_model
    editor.open(CODE)
    editor.until(
        lambda: editor.lua("return (require('dg_lsp.status').now() or {}).model == 'bundled'"),
        patience_s=90,
    )
    choose(editor, "none of them")
    editor.keys("Vgra")
    editor.until(lambda: editor.lua("return _G.menu"))
    assert editor.lua("return _G.menu") == ["Rewrite selection…", "Rewrite selection anew"]
