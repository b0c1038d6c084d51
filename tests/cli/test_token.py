"""`dg-lsp token`: made, listed and revoked."""

from __future__ import annotations

import json

import pytest

from dg_lsp.cli import run
from dg_lsp.cli.commands import run_command
from dg_lsp.reason import CodedError, ReasonCode
from dg_lsp.service.access.tokens import TokenBook, tokens_file


@pytest.fixture(autouse=True)
def access_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("DG_LSP_ACCESS_DIR", str(tmp_path / "access"))


def test_a_token_is_shown_once_listed_by_name_and_revoked(capsys):
    assert run(["token", "list"]) == 0
    assert "dg-lsp token new" in capsys.readouterr().out
    assert run(["token", "new", "ada"]) == 0
    token = capsys.readouterr().out.strip()
    assert run(["token", "new", "ops", "--admin"]) == 0
    assert TokenBook(tokens_file()).find(token).name == "ada"
    capsys.readouterr()

    assert run(["token", "list"]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[1:] for line in listed.splitlines()] == [["ada"], ["ops", "(admin)"]]
    assert token not in listed
    assert run(["token", "list", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["name"], one["admin"]) for one in told] == [("ada", False), ("ops", True)]

    assert run(["token", "revoke", "ada"]) == 0
    assert TokenBook(tokens_file()).find(token) is None
    for arguments, code in (
        (["revoke", "ada"], ReasonCode.BAD_TOKEN),
        (["new", "ops"], ReasonCode.NAME_TAKEN),
    ):
        with pytest.raises(CodedError) as raised:
            run_command(["token", *arguments])
        assert raised.value.code is code


def test_a_file_of_ones_own(tmp_path, capsys):
    path = tmp_path / "team.json"
    assert run(["token", "new", "ada", "--tokens", str(path)]) == 0
    assert TokenBook(path).find(capsys.readouterr().out.strip()).name == "ada"
    assert not tokens_file().exists()
