"""A rewrite is shown in place, and the buffer changes when it is accepted."""

from __future__ import annotations

import pytest

CODE = "a = 1\nb = 2\nc = 3\n"


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
    preview = editor.preview()
    assert any(name == "DgLspDraft" for name, _ in editor.noted())
    assert editor.text() == before
    editor.keys("<CR>")
    editor.until(lambda: editor.text() != before)
    written = editor.text()[1:-1]
    assert preview.split("\n")[1:-1] == written
    editor.keys("u")
    editor.until(lambda: editor.text() == before)


def test_with_words_the_bundled_model_says_that_it_cannot(plugged_with_model):
    editor = plugged_with_model
    editor.open(CODE)
    editor.keys("V:DgLsp rewrite in capitals<CR>")
    editor.until(lambda: "follows no instructions" in editor.messages(), patience_s=90)
    assert editor.preview() is None
    assert editor.text() == CODE.split("\n")[:-1]


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


def test_retrying_asks_with_another_seed(shown):
    shown.keys("R")
    shown.until(lambda: len(shown.jobs()) == 2)
    shown.until(lambda: "# in capitals" in (shown.preview() or ""))
    shown.keys("<CR>")
    shown.until(lambda: shown.text() == ["# in capitals", "c = 3"])


def test_drafts_are_shown_meanwhile(plugged):
    editor = plugged({"draftIntervalMs": 0}, num_drafts=10, step_s=0.2)
    editor.events("DgLspDraft")
    editor.open(CODE)
    editor.keys("V:DgLsp rewrite shout<CR>")
    editor.until(lambda: "step " in (editor.preview() or ""))
    editor.keys("<CR>")
    assert editor.text() == ["a = 1", "b = 2", "c = 3"]
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
    editor = plugged(num_drafts=50, step_s=0.2)
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
        ("DgLsp frobnicate", "'frobnicate' is not known"),
    ],
)
def test_what_cannot_be_done_is_said(plugged, command, said):
    editor = plugged()
    editor.open(CODE + "  \n")
    editor.command(command)
    assert said in editor.messages()
    assert editor.preview() is None


def test_the_code_action_asks_for_words(plugged):
    editor = plugged()
    editor.open(CODE)
    editor.lua("vim.ui.input = function(_, done) done('shout') end")
    editor.keys("V")
    editor.lua(
        "vim.lsp.buf.code_action({ apply = true,\n"
        "  filter = function(action) return action.title == 'Rewrite selection…' end })"
    )
    editor.until(lambda: "# shout" in (editor.preview() or ""))
