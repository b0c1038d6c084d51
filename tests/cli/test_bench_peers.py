"""`dg-lsp bench peers`."""

from __future__ import annotations

import json
import sys

import pytest

from dg_lsp.cli import run

SMALL = ["--layers", "1", "--hidden", "64", "--vocabulary", "1024", "--threads", "1"]


def test_without_llama_it_measures_the_diffusion_model(capsys):
    assert run(["bench", "peers", *SMALL, "--no-llama", "--rounds", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {row["method"] for row in report["rows"]} == {
        *("official way", "exact loop", "cached loop"),
    }
    assert {(row["context"], row["span"]) for row in report["rows"]} == {(512, 32)}
    assert report["machine"]["threads"] == 1


@pytest.mark.parametrize("missing", ["llama_cpp", "gguf"])
def test_without_the_extra_it_says_what_to_install(missing, capsys, monkeypatch):
    for name in ("llama_cpp", "gguf"):
        monkeypatch.setitem(sys.modules, name, None if name == missing else sys)
    assert run(["bench", "peers", *SMALL]) == 2
    told = capsys.readouterr().err
    assert "dg-lsp[bench]" in told
    assert missing.replace("_", "-") in told


@pytest.mark.parametrize(
    "options", [["--hidden", "100"], ["--rounds", "0"], ["--threads", "0"], ["--layers", "0"]]
)
def test_impossible_numbers_are_refused(options, capsys):
    assert run(["bench", "peers", "--no-llama", *options]) == 2
    assert options[0] in capsys.readouterr().err
