"""Neovim's own client, and nothing of ours but the server."""

from __future__ import annotations

LOOP = "for i in "
BODY = "range(n):\n    print(i)\n"


def test_the_bundled_model_writes_and_tab_accepts(plain_with_model, two_alike):
    editor = plain_with_model
    editor.open(two_alike)
    editor.keys("10GA ")

    editor.wait_for_ghost("reserved.get(name, 0) + count", patience_s=90)
    editor.keys("<Tab>")
    written = "    reserved[name] = reserved.get(name, 0) + count"
    editor.until(lambda: editor.text()[9] == written)
    editor.keys("<Esc>u")
    editor.until(lambda: editor.text()[9] == "    reserved[name] =")


def test_stale_ghost_text_goes_and_is_not_accepted(plain):
    editor = plain(answers={"x = ": ["1"], "q": []})
    editor.open("x =\n")
    editor.keys("A ")
    editor.wait_for_ghost("1")
    editor.keys("q")
    editor.wait_for_no_ghost()
    editor.keys("<Tab>")
    editor.until(lambda: editor.text() == ["x = q   "])


def test_of_nine_keystrokes_one_job_is_finished(plain):
    editor = plain(otherwise=["infilled"], num_drafts=30, step_s=0.1)
    editor.open("x\n")
    editor.keys("A ")
    for number in range(2, 10):
        editor.until(lambda: len(editor.jobs()) == number - 1)  # noqa: B023
        editor.keys("q")

    editor.wait_for_ghost("infilled")
    *older, newest = editor.jobs()
    assert newest == "done"
    # Neovim withdraws a request before it sends the next one, and the server starts no job
    # beside an older one: which of the two ends a job depends on what is read first.
    assert len(older) == 8
    assert set(older) <= {"cancelled", "superseded"}


def test_several_lines_in_the_middle_of_a_line_are_shown_as_they_will_be(plain):
    editor = plain(answers={LOOP: [BODY]})
    editor.open(f"x = [\n{LOOP})]\n]\n")
    editor.keys("jf)i")
    editor.wait_for_ghost()
    shown = editor.screen()
    editor.keys("<Tab>")
    editor.until(lambda: len(editor.text()) > 3)

    assert editor.screen() == shown
    assert editor.text() == ["x = [", "for i in range(n):", "    print(i)", ")]", "]"]


def test_where_a_line_would_be_torn_only_its_first_line_is_offered(plain):
    editor = plain(answers={LOOP: [BODY]})
    editor.open(f"{LOOP}))))))))))\n")
    editor.keys("f)i")
    assert editor.wait_for_ghost() == "range(n):"


def test_candidates_can_be_cycled(plain):
    editor = plain({"candidatesWhileTyping": 3}, answers={"x = ": ["1", "2", "3"]})
    editor.open("x =\n")
    editor.keys("A ")
    editor.wait_for_ghost("1")
    editor.lua("vim.lsp.inline_completion.select()")
    editor.wait_for_ghost("2 (2/3)")
    editor.keys("<Tab>")
    editor.until(lambda: editor.text() == ["x = 2"])


def test_line_ends_of_dos_are_not_doubled(plain):
    editor = plain(answers={LOOP: [BODY]})
    editor.open("for i in\r\nprint()\r\n")
    assert editor.lua("return vim.bo.fileformat") == "dos"
    editor.keys("A ")
    editor.wait_for_ghost()
    editor.keys("<Tab>")
    editor.until(lambda: editor.text()[0] == "for i in range(n):")
    editor.command("write")
    assert editor.text()[1] == "    print(i)"
    saved = (editor.directory / "a.py").read_bytes()
    assert b"\r\r" not in saved
    assert saved.count(b"\n") == saved.count(b"\r\n")


def test_a_rewrite_is_a_code_action_and_one_step_of_undo(plain):
    editor = plain(answers={"": ["a = 1\nb = 2"]})
    editor.open("one\ntwo\n")
    editor.keys("VG")
    editor.lua(
        "vim.lsp.buf.code_action({ apply = true, context = { only = { 'refactor.rewrite' } },\n"
        "  filter = function(action) return action.title == 'Rewrite selection anew' end })"
    )
    editor.until(lambda: editor.text() == ["a = 1", "b = 2"])
    editor.keys("<Esc>u")
    editor.until(lambda: editor.text() == ["one", "two"])
