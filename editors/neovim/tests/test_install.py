"""Each way to install the plugin: its command is there, and so is its help."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[1]
ROOT = PLUGIN.parents[1]

SETUP = "require('dg_lsp').setup({ cmd = { 'true' } })"
RECIPES = {
    "from a clone": f"vim.opt.runtimepath:append('{PLUGIN}')\n{SETUP}",
    "as a package": f"vim.cmd.packadd('dg-lsp')\n{SETUP}",
    "with vim.pack": (
        f"vim.pack.add({{ 'file://RELEASE/dg-lsp.nvim' }}, {{ confirm = false }})\n{SETUP}"
    ),
}


def git(directory, *arguments: str) -> str:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    command = ["git", "-C", str(directory), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path):
    """A repository that holds what is in the working tree."""
    copy = tmp_path / "clone"
    (copy / "dg_lsp").mkdir(parents=True)
    for name in ("LICENSE", "dg_lsp/__init__.py"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(["cp", "-R", str(PLUGIN), str(copy / "neovim")], check=True)
    (copy / "editors").mkdir()
    (copy / "neovim").rename(copy / "editors/neovim")
    git(copy, "init", "--quiet")
    git(copy, "config", "user.name", "Test")
    git(copy, "config", "user.email", "test@example.org")
    git(copy, "add", ".")
    git(copy, "commit", "--quiet", "-m", "All")
    return copy


def release(clone, repository) -> str:
    command = [str(clone / "editors/neovim/release"), str(repository)]
    identity = {f"GIT_{who}_{what}": "test@example.org"
                for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    ended = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**identity, **path}
    )
    return ended.stdout


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_command_and_the_help_are_there(start, clone, tmp_path, recipe):
    release(clone, tmp_path / "dg-lsp.nvim")
    editor = start(
        init=RECIPES[recipe].replace("RELEASE", str(tmp_path)),
        packages={"dg-lsp": PLUGIN},
    )
    # vim.pack waits for git in the configuration, and calls are answered meanwhile.
    editor.until(lambda: editor.lua("return vim.fn.exists(':DgLsp')") == 2)
    for topic in ("dg-lsp", "dg_lsp", ":DgLsp", "dg_lsp-rewrite-keys"):
        editor.command(f"help {topic}")
        assert editor.lua("return vim.fn.expand('%:t')") == "dg_lsp.txt"
        assert f"*{topic}*" in editor.lua("return vim.api.nvim_get_current_line()")


def test_the_tags_are_those_that_neovim_makes(start, tmp_path):
    (tmp_path / "dg_lsp.txt").write_bytes((PLUGIN / "doc/dg_lsp.txt").read_bytes())
    start().command(f"helptags {tmp_path}")
    assert (tmp_path / "tags").read_text() == (PLUGIN / "doc/tags").read_text()


def test_a_release_holds_the_plugin_alone_and_follows_the_one_before(clone, tmp_path):
    repository = tmp_path / "dg-lsp.nvim"
    release(clone, repository)
    names = git(repository, "ls-tree", "--name-only", "main").split()
    assert {"LICENSE", "README.md", "doc", "lsp", "lua", "plugin"} <= set(names)
    assert not {"tests", "release"} & set(names)
    version = re.search(r'"(.+)"', (ROOT / "dg_lsp/__init__.py").read_text().splitlines()[-1])
    assert git(repository, "tag").split() == [f"v{version[1]}"]

    assert "up to date" in release(clone, repository)
    (clone / "editors/neovim/README.md").write_text("changed\n")
    git(clone, "commit", "--quiet", "--all", "-m", "Change")
    release(clone, repository)
    assert git(repository, "show", "main:README.md") == "changed\n"
    assert len(git(repository, "log", "--format=%h", "main").split()) == 2


def test_a_release_by_somebody_whom_git_does_not_know_ends_with_git_s_reason(clone, tmp_path):
    git(clone, "config", "--remove-section", "user")
    git(clone, "config", "user.useConfigOnly", "true")
    repository = tmp_path / "dg-lsp.nvim"
    ended = subprocess.run(
        [str(clone / "editors/neovim/release"), str(repository)],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert ended.returncode != 0
    assert "user.email" in ended.stderr
    assert "remote:" not in ended.stderr
    assert git(repository, "for-each-ref") == ""


def test_the_readme_leads_nowhere_outside_the_plugin():
    assert "](../" not in (PLUGIN / "README.md").read_text()
