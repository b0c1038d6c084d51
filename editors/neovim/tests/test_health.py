""":checkhealth dg_lsp, in Neovims that are new enough and one that is not."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

PLUGIN = str(Path(__file__).parents[1])


def report(editor) -> str:
    editor.command("checkhealth dg_lsp")
    # Signs stand before the words.
    return re.sub(r"[✅⚠️❌] ?", "", "\n".join(editor.text()))


def program(directory, script: str) -> str:
    """A `dg-lsp` of a few lines of shell."""
    path = directory / "dg-lsp"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_all_is_well(plugged_with_model):
    editor = plugged_with_model
    editor.open("x = 1\n")
    editor.until(lambda: editor.lua("return require('dg_lsp.status').now() ~= nil"))
    said = report(editor)
    assert "OK dg-lsp 0.1" in said
    assert "ghost text, drafts and rewrites" in said
    assert "The server runs for" in said
    assert "<Tab>: accept" in said
    assert "ERROR" not in said


def test_the_doctor_has_its_say(start, tmp_path):
    editor = start()
    findings = [
        {"area": "gpu", "level": "warning", "said": "no GPU", "advice": "buy one"},
        {"area": "model", "level": "problem", "said": "cut short", "advice": "fetch it again"},
        {"area": "python", "level": "ok", "said": "3.11", "advice": ""},
    ]
    report_json = json.dumps({"level": "problem", "findings": findings})
    script = (
        f'case "$*" in --version) echo dg-lsp 9;; '
        f"'doctor --json --no-self-test') echo '{report_json}'; exit 1;; esac"
    )
    editor.lua("vim.opt.runtimepath:prepend(...)", PLUGIN)
    command = program(tmp_path, script)
    editor.lua("require('dg_lsp').setup({ cmd = { ..., 'serve' } })", command)
    said = report(editor)
    assert "dg-lsp 9" in said
    assert "WARNING gpu: no GPU" in said
    assert "buy one" in said
    assert "ERROR model: cut short" in said
    assert "OK python: 3.11" in said


def test_a_missing_server_is_an_error(start):
    editor = start()
    editor.lua("vim.opt.runtimepath:prepend(...)", PLUGIN)
    editor.lua("pcall(require('dg_lsp').setup, { cmd = { 'not-there' } })")
    said = report(editor)
    assert "ERROR 'not-there' cannot be run" in said
    assert "uv tool install ." in said


def test_a_server_without_a_doctor_is_no_trouble(start, tmp_path):
    editor = start()
    editor.lua("vim.opt.runtimepath:prepend(...)", PLUGIN)
    command = program(tmp_path, "echo dg-lsp 9; exit 2")
    editor.lua("require('dg_lsp').setup({ cmd = { ..., 'serve' } })", command)
    assert "this dg-lsp has no doctor" in report(editor)
