"""A Neovim from before 0.11: told what is missing, and what works all the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path

PLUGIN = str(Path(__file__).parents[1])
SERVER = str(Path(__file__).parents[3] / "tests/e2e/serve_scripted.py")


def test_setup_says_what_is_needed_and_what_works(old):
    old.lua("vim.opt.runtimepath:prepend(...)", PLUGIN)
    said = old.lua(
        "local said\n"
        "vim.notify = function(message) said = message end\n"
        "require('dg_lsp').setup()\n"
        "return said"
    )
    assert "Neovim 0.11 or newer is needed, and 0.12 for ghost text" in said
    assert "vim.lsp.start" in said


def test_so_does_checkhealth(old):
    old.lua("vim.opt.runtimepath:prepend(...)", PLUGIN)
    old.command("checkhealth dg_lsp")
    assert "Neovim is older than 0.11" in "\n".join(old.text())


def test_rewrites_work_without_the_plugin(old):
    (old.directory / "a.py").write_text("one\ntwo\n")
    old.command("edit a.py")
    cmd = [sys.executable, SERVER, json.dumps({"otherwise": ["a = 1\nb = 2"]})]
    old.lua("vim.lsp.start({ name = 'dg_lsp', cmd = ... })", cmd)
    old.wait_for_server()
    old.keys("VG")
    old.lua(
        "vim.lsp.buf.code_action({ apply = true,\n"
        "  filter = function(action) return action.title == 'Rewrite selection anew' end })"
    )
    old.until(lambda: old.text() == ["a = 1", "b = 2"])
