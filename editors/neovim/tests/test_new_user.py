"""The first minutes: no server, then one, a suggestion, and the way to a better model."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[1]

INIT = """
vim.opt.runtimepath:prepend('{plugin}')
require('dg_lsp').setup({{ settings = {settings} }})
"""
MISSING = "there is no model 'no-such-model'"
HINT = "a demonstration model; :DgLsp models"


@pytest.fixture
def home(tmp_path):
    """A home with a copy of the plugin that is in no clone."""
    shutil.copytree(PLUGIN, tmp_path / "plugin", ignore=shutil.ignore_patterns("tests"))
    return tmp_path


@pytest.fixture
def begin(start, engine, home):
    """Start Neovim as a user does, with a configuration of his own."""

    def begin(settings: str = "{}"):
        init = INIT.format(plugin=home / "plugin", settings=settings)
        path = "/usr/bin:/bin"
        state = str(home / "state")
        return start(init=init, HOME=str(home), PATH=path, XDG_STATE_HOME=state, **engine)

    return begin


def install(home) -> None:
    """What pipx and uv leave behind, in a folder that is not in $PATH."""
    program = home / ".local/bin/dg-lsp"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dg_lsp "$@"\n')
    program.chmod(0o755)


def test_from_nothing_to_the_first_suggestion_and_to_a_better_model(begin, home):
    editor = begin()
    assert "'dg-lsp' is not installed; see :checkhealth dg_lsp" in editor.messages()
    start = "{ vim.v.progpath, '--headless', '+qa' }"
    told = editor.lua(f"return vim.system({start}, {{ text = true }}):wait().stderr")
    assert "is not installed" in told
    assert "Error" not in told, "the user's init.lua is in order"
    editor.command("checkhealth dg_lsp")
    assert "pipx install ." in "\n".join(editor.text())

    install(home)
    editor.command("DgLsp restart")
    editor.lua(
        "_G.told = {}\n"
        "vim.api.nvim_create_autocmd('LspProgress', { callback = function(event)\n"
        "  table.insert(_G.told, event.data.params.value.kind)\n"
        "end })"
    )
    editor.keys(":DgLsp sample<CR>")
    editor.wait_for_ghost(" self.reserved.get(name, 0) + count", patience_s=90)
    editor.keys("<Tab>")
    written = "        self.reserved[name] = self.reserved.get(name, 0) + count"
    editor.until(lambda: written in editor.text())
    editor.until(lambda: editor.messages().count(HINT) == 1)

    editor.lua("vim.ui.select = function(items) _G.offered = items end")
    editor.keys("<Esc>:DgLsp models<CR>")
    offered = editor.until(lambda: editor.lua("return _G.offered"), patience_s=90)
    labels = [one["label"] for one in offered]
    assert any(label.startswith("Get DreamOn 7B: ") for label in labels)
    assert labels[-1] == "Use bundled; 13 MB; used by default; only a demonstration"

    again = begin()
    again.open("x = 1\n")
    again.until(lambda: again.lua("return require('dg_lsp').statusline()") == "dg-lsp: bundled")
    assert HINT not in again.messages()


def test_a_model_that_is_not_there_is_said_once(begin, home):
    install(home)
    editor = begin("{ engine = { model = 'no-such-model' } }")
    editor.open("x = 1\n")
    editor.until(lambda: MISSING in editor.messages(), patience_s=60)
    editor.keys("A ")
    editor.settle()
    editor.keys("<Esc>A ")
    editor.settle()
    assert editor.messages().count(MISSING) == 1
    statusline = "return require('dg_lsp').statusline()"
    editor.until(lambda: editor.lua(statusline) == "dg-lsp: error")
