"""Tokenizer files that would take memory or time without end, or change a text."""

from __future__ import annotations

import json

import pytest

from dg_lsp.models import tokenizer_file
from dg_lsp.models.tokenizer import read_codec
from dg_lsp.models.tokenizer_file import TokenizerError


def replace(pattern: object, content: str) -> dict[str, object]:
    return {"type": "Replace", "pattern": pattern, "content": content}


BOMB = {
    "type": "Sequence",
    "normalizers": [replace({"String": "a"}, "a" * 100) for _ in range(6)],
}
SPLIT = {"type": "Split", "behavior": "Isolated", "invert": False}
LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}

WRONG = {
    "replacements that multiply": {"normalizer": BOMB},
    "a replacement of nothing": {"normalizer": replace({"String": ""}, "x")},
    "a replacement by an expression": {"normalizer": replace({"Regex": "(a+)+$"}, "")},
    "a space becomes many": {"normalizer": replace({"String": " "}, "\u2581" * 1000)},
    "a nested replacement": {
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, BOMB]}
    },
    "lower case": {"normalizer": {"type": "Lowercase"}},
    "a prefix": {"normalizer": {"type": "Prepend", "prepend": "x" * 10**6}},
    "a compiled table": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
    "a normalizer that is a word": {"normalizer": "NFC"},
    "an expression without end": {
        "pre_tokenizer": {**SPLIT, "pattern": {"Regex": r"(\w+\s?)+$"}}
    },
    "levels upon levels": {
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [LEVEL] * 20}
    },
    "a sequence in a sequence": {
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Sequence", "pretokenizers": [LEVEL]}],
        }
    },
    "a space in front of each text": {
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}
    },
    "a splitter of another kind": {"pre_tokenizer": {"type": "Whitespace"}},
    "a long added token": {
        "added_tokens": [{"id": 0, "content": "x" * 10**6, "special": True}]
    },
    "no model": {"model": None},
    "a model that is a list": {"model": []},
}


@pytest.fixture
def raw(tiny_tokenizer) -> dict[str, object]:
    return json.loads(tiny_tokenizer.to_str())


@pytest.mark.parametrize("what", WRONG)
def test_what_no_supported_tokenizer_does_is_refused_by_name(tmp_path, raw, what):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(raw | WRONG[what]))
    with pytest.raises(TokenizerError) as raised:
        tokenizer_file.read_tokenizer_file(path)

    [field] = WRONG[what]
    assert str(path) in str(raised.value)
    assert field in str(raised.value)
    assert len(str(raised.value)) < 700


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dropout": 0.5}, "dropout"),
        ({"vocab": {"a": 0, "x" * 10_000: 1}}, "10000 characters"),
        ({"vocab": {"a": 0, "b": 4_000_000_000}}, "4000000000"),
        ({"vocab": {"a": -1}}, "-1"),
        ({"vocab": {"a": "0"}}, "'0'"),
        ({"vocab": {"a": True}}, "True"),
    ],
)
def test_vocabularies_that_need_memory_without_end_are_refused(tmp_path, raw, change, named):
    raw["model"] |= change
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(raw))
    with pytest.raises(TokenizerError) as raised:
        read_codec(tmp_path)

    assert str(path) in str(raised.value)
    assert named in str(raised.value)


def test_a_field_that_is_there_twice_is_refused(tmp_path, raw):
    """Two readers of one file might each take another of the two."""
    text = json.dumps(raw)
    path = tmp_path / "tokenizer.json"
    path.write_text('{"normalizer": ' + json.dumps(BOMB) + ", " + text[1:])
    with pytest.raises(TokenizerError) as raised:
        read_codec(tmp_path)

    assert "normalizer" in str(raised.value)


def test_a_file_that_is_too_large_is_not_read(tmp_path, raw, monkeypatch):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(raw))
    monkeypatch.setattr(tokenizer_file, "MOST_BYTES", 100)
    with pytest.raises(TokenizerError) as raised:
        read_codec(tmp_path)

    assert "100" in str(raised.value)


def test_gaps_between_ids_are_no_tokens(tmp_path, raw, tiny_codec):
    vocabulary = raw["model"]["vocab"]
    last = max(vocabulary, key=vocabulary.get)
    vocabulary[last] += 10
    (tmp_path / "tokenizer.json").write_text(json.dumps(raw))
    codec = read_codec(tmp_path)

    assert codec.vocab_size == tiny_codec.vocab_size + 10
    assert codec.token_bytes(vocabulary[last])
    assert vocabulary[last] - 1 in codec.control.disallowed
