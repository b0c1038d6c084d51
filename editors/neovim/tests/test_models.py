"""Choosing, downloading and using a model, with a program that follows a script."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODEL = {
    "name": "dreamon",
    "repository": "a/dreamon",
    "about": "DreamOn 7B: infills",
    "licence": "apache-2.0",
    "licence_url": "https://example.org/licence",
    "download_bytes": 15_200_000_000,
    "kept_bytes": 5_600_000_000,
    "is_here": False,
    "is_begun": False,
    "is_best": True,
    "obstacles": [],
    "published": [],
}
BUNDLED = {"name": "bundled", "bytes": 12_600_000, "default": True, "checksum": "ok"}
MINE = {"name": "dreamon", "bytes": 5_600_000_000, "default": False, "checksum": "ok"}
FOUND = {
    "event": "found",
    "licence": "apache-2.0",
    "needs_consent": False,
    "missing_bytes": 15_200_000_000,
}
PROGRESS = {
    "event": "progress",
    "what": "downloading",
    "done": 7_600_000_000,
    "total": 15_200_000_000,
}
DONE = {"event": "done", "name": "dreamon"}
PROGRAM = """\
#!/bin/sh
echo "$@" >> {log}
case "$*" in
  serve) exec {python} {scripted} '{{}}' ;;
  'models --available --json') cat {available} ;;
  'models --json') cat {installed} ;;
  *--look*) cat {look} ;;
  *) {pull} ;;
esac
"""


@pytest.fixture
def program(tmp_path):
    """Write a dg-lsp that prints the given lines; returns its path and what it was asked."""

    def write(pull: str, available: dict = MODEL, look: dict = FOUND) -> Path:
        files = {"available": [available], "installed": [MINE, BUNDLED], "look": [look]}
        for name, rows in files.items():
            (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        paths = {name: tmp_path / name for name in [*files, "log"]}
        scripted = ROOT / "tests/e2e/serve_scripted.py"
        made = tmp_path / "dg-lsp"
        made.write_text(
            PROGRAM.format(pull=pull, python=sys.executable, scripted=scripted, **paths)
        )
        made.chmod(0o755)
        return made

    return write


@pytest.fixture
def editor(plugged_with, program):
    """Neovim with that program; `vim.ui.select` notes what is offered and answers in turn."""

    def begin(pull: str, answers: list[str], **lines: dict):
        editor = plugged_with([str(program(pull, **lines)), "serve"])
        editor.lua(
            "local answers = ...\n"
            "_G.asked, _G.opened, _G.progress = {}, {}, {}\n"
            "vim.api.nvim_create_autocmd('Progress', { callback = function(event)\n"
            "  table.insert(_G.progress, event.data)\n"
            "end })\n"
            "vim.ui.open = function(url) table.insert(_G.opened, url) end\n"
            "vim.ui.select = function(items, opts, on_choice)\n"
            "  local answer = table.remove(answers, 1)\n"
            "  local function label(item)\n"
            "    return type(item) == 'table' and item.label or item\n"
            "  end\n"
            "  table.insert(_G.asked, { opts.prompt, vim.tbl_map(label, items) })\n"
            "  for _, item in ipairs(items) do\n"
            "    if answer and vim.startswith(label(item), answer) then\n"
            "      return on_choice(item)\n"
            "    end\n"
            "  end\n"
            "  on_choice(nil)\n"
            "end\n",
            answers,
        )
        editor.open("x = 1\n")
        editor.command("DgLsp models")
        return editor

    return begin


def printed(*events: dict) -> str:
    return "; ".join(f"echo {shlex.quote(json.dumps(event))}" for event in events)


def log(tmp_path: Path) -> list[str]:
    return (tmp_path / "log").read_text().splitlines()


def test_a_model_is_downloaded_with_progress_and_used(editor, tmp_path):
    nvim = editor(printed(PROGRESS, DONE), ["Get DreamOn", "Download"])
    nvim.until(lambda: "dreamon is used now" in nvim.messages())

    assert "pull a/dreamon --accept-licence --force --json" in log(tmp_path)
    steps = nvim.lua("return _G.progress")
    assert [step["status"] for step in steps] == ["running", "success"]
    assert (steps[0]["percent"], steps[0]["text"]) == (50, ["downloading: 7.6 GB of 15.2 GB"])
    assert nvim.lua("return require('dg_lsp.config').now.settings.engine.model") == "dreamon"
    [_, [prompt, _]] = nvim.lua("return _G.asked")
    assert "15.2 GB to download; licence: apache-2.0" in prompt


def test_a_licence_that_is_not_free_is_asked_for(editor, tmp_path):
    found = FOUND | {"licence": "apple-amlr", "needs_consent": True}
    answers = ["Get DreamOn", "Read the licence"]
    nvim = editor(printed(DONE), answers, look=found)
    nvim.until(lambda: len(nvim.lua("return _G.asked")) == 3)

    assert nvim.lua("return _G.opened") == ["https://example.org/licence"]
    assert nvim.lua("return _G.asked")[2][1][0] == "Agree to the licence and download"
    # It was not answered the second time.
    nvim.settle()
    assert not any("--accept-licence" in line for line in log(tmp_path))


def test_a_model_that_does_not_fit_says_why_first(editor, tmp_path):
    model = MODEL | {"is_best": False, "obstacles": ["No GPU."]}
    nvim = editor(printed(DONE), ["Get DreamOn", "no answer"], available=model)
    nvim.until(lambda: len(nvim.lua("return _G.asked")) == 2)

    assert "No GPU." in nvim.lua("return _G.asked")[1][0]
    assert not any(line.startswith("pull") for line in log(tmp_path))


def test_a_download_can_be_stopped(editor):
    nvim = editor(f"{printed(PROGRESS)}; exec sleep 60", ["Get DreamOn", "Download"])
    nvim.until(lambda: "DgLsp cancel stops it" in nvim.messages())
    nvim.command("DgLsp cancel")
    nvim.until(lambda: "the download was stopped" in nvim.messages())
    nvim.command("DgLsp cancel")
    nvim.until(lambda: "nothing is being downloaded" in nvim.messages())


def test_a_failed_download_says_why(editor):
    failing = "echo 'dg-lsp: the disk is full' >&2; exit 2"
    nvim = editor(failing, ["Get DreamOn", "Download"])
    nvim.until(lambda: "could not get dreamon: the disk is full" in nvim.messages())


def test_an_installed_model_is_used(editor):
    nvim = editor("exit 1", ["Use dreamon"])
    nvim.until(lambda: "dreamon is used now" in nvim.messages())
    assert nvim.lua("return require('dg_lsp.config').now.settings.engine.model") == "dreamon"
