"""Drafts of a masked model: dots for what it has not decided, which are never inserted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
REST = " 3.14 * radius ** 2"
DOT = "·"
WATCH = """
local drafts = require('dg_lsp.drafts')
local show = drafts.show
_G.frames, _G.inserted = {}, {}
function drafts.show(bufnr, place, lines)
  table.insert(_G.frames, lines)
  show(bufnr, place, lines)
end
vim.api.nvim_buf_attach(0, false, {
  on_lines = function()
    table.insert(_G.inserted, table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\\n'))
  end,
})
"""


@pytest.fixture(scope="module")
def reciting(tmp_path_factory) -> Path:
    """A small masked model that is sure of one line."""
    directory = tmp_path_factory.mktemp("reciting")
    command = [sys.executable, "-m", "tests.masked", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return directory


def test_code_condenses_from_dots_that_are_never_inserted(plugged_with, engine, reciting):
    server = [sys.executable, "-m", "dg_lsp", "serve", "--device", "cpu"]
    settings = {"minConfidence": 0, "draftIntervalMs": 0}
    editor = plugged_with([*server, "--model", str(reciting)], settings, **engine)
    editor.open("def area(self, radius):\n    retur\n")
    editor.lua(WATCH)
    editor.keys("jA")
    editor.keys("n")
    editor.wait_for_ghost(REST, patience_s=90)

    frames = editor.lua("return _G.frames")
    dotted = [line for [line, *_] in frames if any(DOT in text for text, _ in line)]
    assert len(dotted) > 1
    for line in dotted:
        groups = {group for text, group in line if DOT in text}
        assert groups == {"DgLspMasked"}
    texts = ["".join(text for text, _ in line) for line in dotted]
    decided = [text.replace(DOT, "") for text in texts]
    assert all(REST.startswith(text) for text in decided)
    assert decided == sorted(decided, key=len)
    counts = [text.count(DOT) for text in texts]
    assert counts == sorted(counts, reverse=True)
    editor.keys("<Tab>")
    editor.until(lambda: editor.text()[1] == f"    return{REST}")
    assert not any(DOT in text for text in editor.lua("return _G.inserted"))
