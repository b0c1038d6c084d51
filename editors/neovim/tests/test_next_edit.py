"""The edit that follows from the last one is shown at its place.

One key goes there, and then accepts it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

CODE = "def load(path):\n    return open(path)\n\n\nprint(load(1))\nprint(load(2))\n"
RENAMED = CODE.replace("def load", "def read").split("\n")[:-1]
SERVER = Path(__file__).parents[3] / "tests/e2e/serve_scripted.py"
NEXT = "dg_lsp.next_edit"
SIDEKICK = """
vim.lsp.config('copilot_dg', { cmd = CMD, init_options = SETTINGS })
vim.lsp.enable('copilot_dg')
vim.lsp.inline_completion.enable()
"""


def drawn(editor) -> list[tuple[int, str]]:
    """The lines that have virtual text, from 1, with that text."""
    return [
        (mark[1] + 1, "".join(chunk[0] for chunk in mark[3]["virt_text"]))
        for mark in editor.marks(NEXT)
        if "virt_text" in mark[3]
    ]


@pytest.fixture
def renamed(plugged):
    """The function was renamed where it is defined, and its first use is shown."""
    editor = plugged(options={"drafts": False})
    editor.open(CODE)
    editor.keys("wcwread<Esc>")
    editor.until(lambda: len(drawn(editor)) == 2)
    return editor


def test_it_stands_at_its_place_and_a_hint_names_the_line(renamed):
    assert sorted(drawn(renamed)) == [(1, "  <M-n>: line 5"), (5, "read")]
    assert renamed.text() == RENAMED


def test_one_key_goes_there_then_accepts_it_and_the_next_one_follows(renamed):
    renamed.keys("<M-n>")
    renamed.until(lambda: renamed.cursor() == [5, 6])
    assert renamed.text() == RENAMED
    renamed.keys("<M-n>")
    renamed.until(lambda: renamed.text()[4] == "print(read(1))")
    renamed.until(lambda: (6, "read") in drawn(renamed))
    renamed.keys("<M-n><M-n>")
    renamed.until(lambda: renamed.text() == CODE.replace("load", "read").split("\n")[:-1])
    renamed.settle()
    assert drawn(renamed) == []
    renamed.keys("u")
    renamed.until(lambda: renamed.text()[5] == "print(load(2))")


def test_it_is_there_while_inserting_too(plugged):
    editor = plugged(options={"drafts": False})
    editor.open(CODE)
    editor.keys("wcwread")
    editor.until(lambda: (5, "read") in drawn(editor))
    editor.keys("<M-n>")
    editor.until(lambda: editor.cursor() == [5, 6])
    editor.keys("<M-n>")
    editor.until(lambda: editor.text()[4] == "print(read(1))")
    assert editor.mode() == "i"
    assert editor.cursor() == [5, 10]


def test_an_edit_elsewhere_removes_it_and_is_not_lost(renamed):
    renamed.keys("Go# end<Esc>")
    renamed.until(lambda: renamed.text()[-1] == "# end")
    assert renamed.text()[:-1] == RENAMED
    # The rename still stands, so its uses are offered again, the nearest first.
    renamed.until(lambda: (6, "read") in drawn(renamed))


def test_a_file_that_has_changed_on_the_disk_has_none(renamed):
    other = "".join(f"x{number} = load({number})\n" for number in range(200))
    (renamed.directory / "a.py").write_text(other)
    renamed.command("edit!")
    renamed.until(lambda: len(renamed.text()) == 200)
    renamed.settle()
    assert drawn(renamed) == []
    renamed.keys("<M-n>")
    renamed.settle()
    assert "\n".join([*renamed.text(), ""]) == other


def test_what_is_skipped_is_not_offered_again(renamed):
    renamed.command("DgLsp skip")
    assert drawn(renamed) == []
    renamed.command("DgLsp next")
    assert "no next edit is shown here" in renamed.messages()


def test_it_can_be_switched_off_on_both_sides(plugged):
    for settings, options in (({"nextEdits": "off"}, {}), ({}, {"next_edits": False})):
        editor = plugged(settings, {"drafts": False, **options})
        editor.open(CODE)
        editor.keys("wcwread<Esc>")
        editor.until(lambda editor=editor: editor.text() == RENAMED)
        editor.settle()
        assert drawn(editor) == []


def test_a_client_with_copilot_in_its_name_gets_what_sidekick_asks_for(start):
    """The request and the answer of sidekick.nvim, which takes any such client."""
    editor = start()
    editor.configure(SIDEKICK, [sys.executable, str(SERVER), "{}"])
    editor.open(CODE)
    editor.keys("wcwread<Esc>")
    editor.until(lambda: editor.text() == RENAMED)
    found = editor.lua(
        "local client = vim.lsp.get_clients({ name = 'copilot_dg' })[1]\n"
        "local params = vim.lsp.util.make_position_params(0, client.offset_encoding)\n"
        "params.textDocument.version = vim.lsp.util.buf_versions[vim.fn.bufnr()]\n"
        "params.context = { triggerKind = 2 }\n"
        "local sent = client:request_sync('textDocument/copilotInlineEdit', params, 5000)\n"
        "local edit = sent.result.edits[1]\n"
        "local current = edit.textDocument.version == params.textDocument.version\n"
        "client:exec_cmd(edit.command, { bufnr = vim.fn.bufnr() })\n"
        "return { edit.text, edit.range.start.line, current }"
    )
    assert found == ["read", 4, True]
