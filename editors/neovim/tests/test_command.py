""":DgLsp, the statusline, pausing, and what a crash leaves behind."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

PLUGIN = str(Path(__file__).parents[1])

SUM = {"return ": ["alpha + beta"]}


def statusline(editor) -> str:
    return editor.lua("return require('dg_lsp').statusline()")


def server_pid(editor) -> int:
    """The process at the other end of the client's pipes."""
    return editor.lua(
        "local children = vim.api.nvim_get_proc_children(vim.fn.getpid())\n"
        "return children[#children]"
    )


def test_the_status_tells_which_model_is_in_use(plugged_with_model):
    editor = plugged_with_model
    editor.events("DgLspStatus")
    assert statusline(editor) == ""
    editor.open("x = 1\n")
    editor.until(lambda: statusline(editor) == "dg-lsp: bundled", patience_s=90)
    editor.command("DgLsp status")
    editor.until(lambda: "model bundled on cpu" in editor.messages())
    assert "the bundled model is in use" in editor.messages()
    # How much memory it takes is not known on a CPU.
    assert "0 MB" not in editor.messages()
    assert {name for name, _ in editor.noted()} == {"DgLspStatus"}

    editor.command("DgLsp unload")
    editor.until(lambda: "the model was unloaded" in editor.messages())


def test_paused_nothing_runs_and_nothing_is_left(plugged):
    editor = plugged(answers=SUM)
    editor.open("return\n")
    editor.keys("A ")
    editor.wait_for_ghost("alpha + beta")
    pid = server_pid(editor)
    editor.keys("<Esc>:DgLsp pause<CR>")
    editor.until(lambda: editor.lua("return #vim.lsp.get_clients() == 0"))
    editor.until(lambda: not os.path.exists(f"/proc/{pid}"))
    assert statusline(editor) == "dg-lsp: paused"
    for group in ("#dg_lsp", "#dg_lsp.buffer"):
        assert editor.lua("return vim.fn.exists(...)", group) == 0
    editor.keys("a <Tab>")
    editor.settle()
    assert (editor.ghost(), editor.draft()) == (None, None)

    editor.keys("<Esc>:DgLsp resume<CR>")
    editor.until(lambda: editor.lua("return #vim.lsp.get_clients() == 1"))
    editor.keys("ccreturn ")
    editor.wait_for_ghost("alpha + beta")


def test_restarting_asks_the_engine(plugged):
    editor = plugged(answers=SUM)
    editor.open("return\n")
    editor.command("DgLsp restart")
    editor.until(lambda: "the engine was restarted" in editor.messages())


def test_a_server_that_crashes_is_started_again_and_not_for_ever(plugged):
    editor = plugged({}, {"restarts": 1}, answers=SUM)
    editor.open("return\n")
    first = server_pid(editor)
    os.kill(first, signal.SIGKILL)
    editor.until(lambda: statusline(editor) == "dg-lsp: error")
    editor.wait_for_server()
    editor.keys("A ")
    editor.wait_for_ghost("alpha + beta")

    os.kill(server_pid(editor), signal.SIGKILL)
    editor.until(lambda: ":DgLsp restart starts it again" in editor.messages())
    editor.settle()
    assert editor.lua("return #vim.lsp.get_clients()") == 0
    editor.command("DgLsp restart")
    editor.until(lambda: editor.lua("return #vim.lsp.get_clients({ bufnr = 0 }) == 1"))


def test_the_trace_tells_what_happened_and_no_text(plugged):
    editor = plugged(answers=SUM)
    editor.open("return\n")
    editor.keys("A ")
    editor.wait_for_ghost("alpha + beta")
    editor.keys("<Tab>")
    editor.until(lambda: editor.text() == ["return alpha + beta"])
    editor.keys("<Esc>:DgLsp trace<CR>")
    editor.until(lambda: editor.lua("return vim.bo.buftype") == "nofile")
    trace = "\n".join(editor.text())
    assert "ghost-1: asked" in trace
    assert "1 shown of 1" in trace
    assert "accepted 12 of 12 characters" in trace
    assert trace.startswith("# Request at a.py:1:8")
    assert "## Where the time went" in trace
    assert "alpha" not in trace


def test_the_trace_is_of_this_file_and_q_closes_it(plugged):
    editor = plugged(answers=SUM)
    editor.open("return\n")
    editor.keys("A ")
    editor.wait_for_ghost("alpha + beta")
    editor.keys("<Esc>")
    editor.open("x = 1\n", "b.py")
    editor.keys(":DgLsp trace<CR>")
    editor.until(lambda: editor.lua("return vim.bo.filetype") == "markdown")
    assert editor.text()[0] == "# Nothing was asked for in this file yet"
    editor.keys("q")
    editor.until(lambda: editor.lua("return vim.fn.expand('%:t')") == "b.py")
    assert editor.lua("return #vim.api.nvim_list_wins()") == 1


@pytest.mark.parametrize(
    ("word", "heading"), [("doctor", "# dg-lsp doctor"), ("report", "### Environment")]
)
def test_the_doctor_writes_a_page(plugged_with_model, word, heading):
    editor = plugged_with_model
    editor.open("x = 1\n")
    editor.command(f"DgLsp {word}")
    editor.until(lambda: editor.lua("return vim.bo.filetype") == "markdown", patience_s=90)
    page = editor.text()
    assert page[0] == heading
    assert not [line for line in page if line.startswith(("{", "  area ="))]
    assert editor.lua("return vim.bo.modifiable") is False


def test_the_status_is_one_line_and_is_said_once(plugged):
    editor = plugged(answers=SUM)
    editor.open("return\n")
    editor.command("messages clear")
    editor.command("DgLsp status")
    editor.until(lambda: editor.messages())
    editor.settle()
    (line,) = editor.messages().splitlines()
    assert line.startswith("dg-lsp: ready")
    assert line.count("dg-lsp") == 1


def test_words_are_completed(plugged):
    editor = plugged()
    assert editor.lua("return vim.fn.getcompletion('DgLsp re', 'cmdline')") == [
        "report",
        "restart",
        "resume",
        "retry",
        "rewrite",
    ]


def test_nothing_is_loaded_before_it_is_needed(start):
    editor = start()
    editor.lua("vim.opt.runtimepath:prepend(...)", PLUGIN)
    editor.command("runtime plugin/dg_lsp.lua")
    assert editor.lua("return vim.fn.exists(':DgLsp')") == 2
    loaded = editor.lua("return vim.tbl_keys(package.loaded)")
    assert not [name for name in loaded if name.startswith("dg_lsp")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keys": {"acept": "x"}}, "keys.acept is not known"),
        ({"drafts": "yes"}, 'drafts is "yes"; a boolean is needed'),
        ({"menu": "both"}, "menu is 'both'; 'hide' or 'show' is needed"),
        ({"cmd": ["dg-lsp-that-is-not-there"]}, "'dg-lsp-that-is-not-there' is not installed"),
    ],
)
def test_a_wrong_setting_is_named(start, options, said):
    editor = start()
    editor.lua("vim.opt.runtimepath:prepend(...)", PLUGIN)
    told = editor.lua(
        "_G.told = {}\n"
        "vim.notify = function(message) table.insert(_G.told, message) end\n"
        "local _, wrong = pcall(require('dg_lsp').setup, ...)\n"
        "table.insert(_G.told, wrong)\n"
        "return table.concat(_G.told, ' ')",
        options,
    )
    assert said in told


def test_a_key_that_is_taken_is_left_alone(start):
    editor = start()
    editor.command("inoremap <M-]> right")
    editor.lua("vim.opt.runtimepath:prepend(...)", PLUGIN)
    editor.lua("require('dg_lsp').setup({ cmd = { ... } })", sys.executable)
    assert "<M-]> is mapped already" in editor.messages()
    assert editor.lua("return vim.fn.maparg('<M-]>', 'i')") == "right"


def test_the_help_knows_every_setting_and_every_word(start):
    editor = start()
    editor.lua("vim.opt.runtimepath:prepend(...)", PLUGIN)
    editor.command("runtime plugin/dg_lsp.lua")
    settings = editor.lua(
        "local now = require('dg_lsp.config').now\n"
        "local names = { 'filetypes' }\n"
        "for _, one in ipairs({ now, now.keys, now.rewrite_keys }) do\n"
        "  vim.list_extend(names, vim.tbl_keys(one))\n"
        "end\n"
        "return names"
    )
    words = editor.lua("return vim.fn.getcompletion('DgLsp ', 'cmdline')")
    text = (Path(PLUGIN) / "doc/dg_lsp.txt").read_text()
    assert [name for name in settings if f"{name} = " not in text] == []
    assert [word for word in words if f"DgLsp {word}" not in text] == []
    assert max(len(line.expandtabs(8)) for line in text.splitlines()) <= 80
