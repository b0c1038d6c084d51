"""Weight files whose headers lie, and JSON that is too much to read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dg_lsp.models import loading
from dg_lsp.models.checkpoint import (
    MOST_HEADER_BYTES,
    MOST_JSON_BYTES,
    CheckpointError,
    read_headers,
    read_json,
    verify_sums,
)
from dg_lsp.models.store import BUNDLED_DIRECTORY
from dg_lsp.reason import ReasonCode

ONE = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


def write(path: Path, header: object, data: bytes, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    said = len(text) if length is None else length
    path.write_bytes(said.to_bytes(8, "little") + text + data)
    return path


def test_an_honest_header_is_read(tmp_path):
    path = write(tmp_path / "a.safetensors", {"a": ONE}, bytes(16))

    assert read_headers([path]) == {path: {"a": (2, 2)}}


@pytest.mark.parametrize(
    ("header", "data_bytes"),
    [
        # The data is shorter, or longer, than the shapes say.
        ({"a": ONE}, 8),
        ({"a": ONE}, 64),
        ({"a": {**ONE, "shape": [2, 3]}}, 16),
        ({"a": {**ONE, "shape": [2**40, 2**40]}}, 16),
        ({"a": {**ONE, "shape": [-2, -2]}}, 16),
        ({"a": {**ONE, "shape": ["2", "2"]}}, 16),
        ({"a": {**ONE, "dtype": "F99"}}, 16),
        ({"a": {**ONE, "data_offsets": [16, 0]}}, 16),
        ({"a": {**ONE, "data_offsets": [0, 2**63]}}, 16),
        # Two tensors in one place, and a gap between two.
        ({"a": ONE, "b": ONE}, 16),
        ({"a": ONE, "b": {**ONE, "data_offsets": [8, 24]}}, 24),
        ({"a": ONE, "b": {**ONE, "data_offsets": [32, 48]}}, 48),
        ({"a": []}, 16),
        ([], 16),
        (b"{" * 5000, 16),
        (b"\xff" * 5000, 16),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, header, data_bytes):
    path = write(tmp_path / "a.safetensors", header, bytes(data_bytes))
    with pytest.raises(CheckpointError) as raised:
        read_headers([path])

    assert str(path) in str(raised.value)
    assert "download it again" in str(raised.value)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_bundled_model_that_was_changed_is_not_loaded(tmp_path, monkeypatch, name):
    shipped = shutil.copytree(BUNDLED_DIRECTORY, tmp_path / "bundled")
    verify_sums(shipped)
    content = bytearray((shipped / name).read_bytes())
    content[-3] ^= 1
    (shipped / name).write_bytes(content)
    monkeypatch.setattr(loading, "BUNDLED_DIRECTORY", shipped)
    with pytest.raises(CheckpointError) as raised:
        loading.load("bundled", "cpu")

    assert str(shipped / name) in str(raised.value)


@pytest.mark.parametrize("length", [MOST_HEADER_BYTES + 1, 2**40, 2**63, 2**64 - 1])
def test_a_header_as_large_as_a_bomb_is_not_read(tmp_path, length):
    path = write(tmp_path / "a.safetensors", {"a": ONE}, bytes(16), length)
    with pytest.raises(CheckpointError) as raised:
        read_headers([path])

    assert str(length) in str(raised.value)
    assert str(MOST_HEADER_BYTES) in str(raised.value)


def test_values_of_a_type_that_needs_scales_are_refused(tmp_path):
    eight = {"dtype": "F8_E4M3", "shape": [4, 4], "data_offsets": [0, 16]}
    path = write(tmp_path / "a.safetensors", {"proj.weight": eight}, bytes(16))
    with pytest.raises(CheckpointError) as raised:
        read_headers([path])

    assert raised.value.code is ReasonCode.UNKNOWN_FORMAT
    for name in (str(path), "proj.weight", "F8_E4M3", "bfloat16"):
        assert name in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"a": ' + "1" * 10_000 + "}",
        '{"a": "' + "x" * MOST_JSON_BYTES + '"}',
        "",
        "null",
        "\ufeff{}",
    ],
)
def test_json_that_is_too_deep_or_too_long_is_refused(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError) as raised:
        read_json(path)

    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 1000
