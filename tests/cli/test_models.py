"""`dg-lsp models`: what is here and whether it is whole."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from dg_lsp import cli
from dg_lsp.diagnosis import available
from dg_lsp.diagnosis.catalogue import AVAILABLE
from dg_lsp.reason import ReasonCode


@pytest.fixture
def stored(packed_checkpoint, store):
    shutil.copytree(packed_checkpoint, store / "tiny")
    return store / "tiny"


def listed(capsys, *arguments: str) -> dict[str, dict]:
    status = cli.run(["models", "--json", *arguments])
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rows = [one for one in said if "error" not in one]
    assert status == (cli.EXIT_REFUSED if any(r["checksum"] == "wrong" for r in rows) else 0)
    return {row["name"]: row for row in rows}


@pytest.mark.parametrize("model", [AVAILABLE[2], None])
def test_without_any_the_bundled_one_is_listed_and_a_better_one_named(
    store, capsys, monkeypatch, model
):
    monkeypatch.setattr(available, "best", lambda machine: model)
    assert cli.run(["models"]) == 0

    said = capsys.readouterr()
    assert "bundled *" in said.out
    assert ("dg-lsp pull dreamon" if model else "no larger one fits") in said.err


def test_what_is_listed(stored, capsys):
    rows = listed(capsys)

    assert list(rows) == ["tiny", "bundled"]
    tiny = rows["tiny"]
    assert (tiny["precision"], tiny["checksum"], tiny["default"]) == ("nf4", "ok", True)
    assert tiny["path"] == str(stored)
    assert tiny["bytes"] == sum(f.stat().st_size for f in stored.glob("*.safetensors"))
    assert not rows["bundled"]["default"]
    assert rows["bundled"]["parameters"] > 6e6


def test_the_table_has_the_same(stored, capsys):
    size = sum(f.stat().st_size for f in stored.glob("*.safetensors")) / 1e6
    cli.run(["models"])

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["model", "parameters", "size", "precision", "checksum", "from"]
    assert lines[1].split() == [
        *("tiny", "*", "0.25", "million", f"{size:.1f}", "MB", "nf4", "ok", "tiny")
    ]


def test_damage_shows_without_reading_and_with(stored, capsys):
    file = stored / "layer-00.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    assert listed(capsys)["tiny"]["checksum"] == "not checked"
    assert listed(capsys, "--verify")["tiny"]["checksum"] == "wrong"

    file.write_bytes(raw[:-1])
    rows = listed(capsys)
    assert rows["tiny"]["checksum"] == "damaged"
    assert rows["bundled"]["default"]


def test_a_bit_that_flipped_in_silence_is_found_by_verify(stored, capsys, failure):
    file = stored / "layer-00.safetensors"
    stat = file.stat()
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert listed(capsys)["tiny"]["checksum"] == "ok"

    reason = failure("models", "--verify")
    assert reason.code is ReasonCode.BAD_CHECKPOINT
    assert str(file) in reason.message


def test_unfinished_and_foreign_directories_are_no_models(stored, store, capsys):
    (store / ".other.partial").mkdir()
    (store / "foreign").mkdir()
    (store / "broken").mkdir()
    (store / "broken" / "packed.json").write_text("{")
    assert cli.run(["models"]) == 0

    said = capsys.readouterr()
    assert "foreign" not in said.out
    assert "broken" not in said.out
    assert "other: not finished; run the same dg-lsp pull again to continue" in said.err
