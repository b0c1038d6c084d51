"""A model's name is never taken for a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from dg_lsp.config import model_directory


@pytest.mark.parametrize(
    "name",
    ["packed1", "bundled", "a/b", "google/gemma", "...", ".hidden", "~you/x", "", "x/../y"],
)
def test_a_name_is_no_path_whatever_lies_in_the_working_directory(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name:
        (tmp_path / name).mkdir(parents=True, exist_ok=True)

    assert model_directory(name) is None


@pytest.mark.parametrize(
    ("path", "expect"),
    [
        ("/models/x", "/models/x"),
        ("./x", "here/x"),
        ("../x", "here/../x"),
        (".", "here"),
        ("~/x", "home/x"),
        ("~", "home"),
    ],
)
def test_a_path_is_said_to_be_one(path, expect, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))

    assert model_directory(path) == Path(tmp_path, expect)
