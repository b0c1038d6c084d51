"""Text that is shown while it is being denoised."""

from __future__ import annotations

import pytest

HELD = {"num_drafts": 12, "step_s": 0.15, "held": True}
"""Drafts, and no end of them before the test says so."""
LOOP = "for i in "
BODY = "range(n):\n    print(i)\n"


@pytest.fixture
def drafting(plugged):
    """Drafts of `alpha + beta` and of shorter texts at the end of the first line."""
    texts = ["alpha + beta", "alpha + bet", "alpha + be", "alpha", "alph"]
    editor = plugged(
        {"draftIntervalMs": 0}, answers={"= ": texts}, best_settles_last=True, **HELD
    )
    editor.events("DgLspDraft", "DgLspShown")
    editor.open("x =\nother\n")
    editor.keys("A ")
    editor.until(editor.draft)
    return editor


def test_drafts_come_in_order_and_hand_over_to_ghost_text(drafting):
    assert drafting.ghost() is None
    drafting.release()
    drafting.wait_for_ghost("alpha + beta")
    assert drafting.draft() is None
    *drafts, last = drafting.noted()
    steps = [data["step"] for _, data in drafts]
    assert len(steps) > 2
    assert steps == sorted(set(steps))
    assert last == ["DgLspShown", {"buf": 1, "candidates": 1}]


def test_what_is_sure_is_shaded_otherwise_than_what_is_not(drafting):
    def groups() -> list[str]:
        marks = drafting.marks("dg_lsp.draft")
        return [group for _, group in marks[0][3]["virt_text"]] if marks else []

    assert drafting.until(lambda: groups() if len(groups()) == 2 else None) == [
        "DgLspDraft4",
        "DgLspDraft2",
    ]
    colours = drafting.lua(
        "local names = { 'DgLspDraft1', 'DgLspDraft2', 'DgLspDraft3', 'DgLspDraft4' }\n"
        "local function colour(name) return vim.api.nvim_get_hl(0, { name = name }).fg end\n"
        "return vim.tbl_map(colour, names)"
    )
    assert len(set(colours)) == 4


@pytest.mark.parametrize("keys", ["q", "<Left>", "<Esc>", "<C-]>", "<C-o>u"])
def test_a_draft_goes_with_the_place_it_was_for(drafting, keys):
    with drafting.server_stopped():
        drafting.keys(keys)
        drafting.until(lambda: drafting.draft() is None)


def test_a_buffer_deleted_in_mid_job_is_no_trouble(drafting):
    drafting.command("bwipeout!")
    drafting.settle()
    drafting.command("edit a.py")
    drafting.keys("<Esc>A ")
    drafting.release()
    drafting.wait_for_ghost("alpha + beta")
    assert "Error" not in drafting.messages()


def test_dismissing_stops_the_job(drafting):
    drafting.keys("<C-]>")
    drafting.until(lambda: drafting.jobs() == ["cancelled"])


def test_several_lines_in_the_middle_of_a_line_are_drafted_as_they_will_be(plugged):
    editor = plugged({"draftIntervalMs": 0}, answers={LOOP: [BODY.rstrip()]}, **HELD)
    editor.open(f"{LOOP})]\nend\n")
    editor.keys("f)i")
    editor.until(lambda: "\n    pr" in (editor.draft() or ""))
    first, second, *others = editor.screen()
    # The rest of the line is where it will be, and is not in the first line any more.
    assert first == "for i in range(n):"
    assert second.startswith("    pr")
    assert second.endswith(")]")
    assert others == ["end"]


@pytest.mark.parametrize("keys", ["o", "o    ", "A "])
def test_tab_never_accepts_a_draft(plugged, keys):
    """On a blank line it indents until the suggestion is ready."""
    editor = plugged({"draftIntervalMs": 0}, otherwise=["alpha + beta"], **HELD)
    editor.open("if x:\n")
    editor.command("set expandtab shiftwidth=4 noautoindent indentexpr=")
    editor.keys(keys)
    editor.until(editor.draft)
    before = editor.text()[-1]
    editor.keys("<Tab>")
    editor.until(lambda: editor.text()[-1] != before)
    assert editor.text()[-1].rstrip() == before.rstrip()
    assert len(editor.text()[-1]) > len(before)
    editor.release()
    editor.wait_for_ghost("alpha + beta")
    editor.keys("<Tab>")
    editor.until(lambda: editor.text()[-1].endswith("alpha + beta"))


MENU = """
vim.o.completeopt = 'menuone,noselect'
vim.fn.complete(vim.fn.col('.'), { 'one', 'two' })
"""
OTHER_MENU = """
package.loaded['blink.cmp'] = { is_menu_visible = function() return _G.is_open end }
function _G.set_open(is_open)
  _G.is_open = is_open
  local event = is_open and 'BlinkCmpMenuOpen' or 'BlinkCmpMenuClose'
  vim.api.nvim_exec_autocmds('User', { pattern = event })
end
"""


def test_drafts_and_ghost_text_make_room_for_a_menu_and_come_back(drafting):
    drafting.lua(MENU)
    drafting.until(lambda: drafting.draft() is None)
    assert drafting.jobs() == ["running"]
    drafting.release()
    drafting.until(lambda: drafting.jobs() == ["done"])
    drafting.settle()
    assert (drafting.draft(), drafting.ghost()) == (None, None)
    drafting.keys("<C-e>")
    drafting.wait_for_ghost("alpha + beta")
    drafting.lua(MENU)
    drafting.wait_for_no_ghost()


def test_the_menu_of_another_plugin_counts(drafting):
    drafting.lua(OTHER_MENU)
    drafting.lua("set_open(true)")
    drafting.until(lambda: drafting.draft() is None)
    assert drafting.jobs() == ["running"]
    drafting.release()
    drafting.until(lambda: drafting.jobs() == ["done"])
    drafting.settle()
    assert drafting.ghost() is None
    drafting.lua("set_open(false)")
    drafting.wait_for_ghost("alpha + beta")


def test_without_drafts_there_are_none(plugged):
    slow = {"num_drafts": 12, "step_s": 0.15}
    editor = plugged({}, {"drafts": False}, answers={"= ": ["alpha"]}, **slow)
    editor.events("DgLspDraft")
    editor.open("x =\n")
    editor.keys("A ")
    editor.wait_for_ghost("alpha")
    assert editor.noted() == []
