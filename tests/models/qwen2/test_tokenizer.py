"""The tokenizer of a checkpoint, from either kind of files."""

from __future__ import annotations

import json

import pytest

from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.registry import open_checkpoint

TEXTS = (
    "def area(self, radius):\n    return 3.14 * radius ** 2\n",
    "naïve 圆 🙂\tx\r\n\r\n  y",
    "it's 12345 <|mask|> <|endoftext|>",
)


def split_files(directory, merges: bool = True) -> None:
    """Replace `tokenizer.json` by the files that older tokenizers consist of."""
    path = directory / "tokenizer.json"
    raw = json.loads(path.read_text())
    added = {token["content"]: token["id"] for token in raw["added_tokens"]}
    vocabulary = raw["model"]["vocab"]
    pairs = [
        pair if isinstance(pair, str) else " ".join(pair) for pair in raw["model"]["merges"]
    ]
    (directory / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (directory / "added_tokens.json").write_text(json.dumps(added))
    if merges:
        text = "\n".join(["#version: 0.2", *pairs])
        (directory / "merges.txt").write_text(text + "\n", encoding="utf-8")
    path.unlink()


@pytest.fixture
def checkpoint(save_masked_checkpoint, tmp_path):
    return save_masked_checkpoint(tmp_path / "model")


def text_of(codec, text: str) -> str:
    return b"".join(map(codec.token_bytes, codec.encode(text))).decode()


@pytest.mark.parametrize("text", TEXTS)
def test_reads_either_kind_of_files(checkpoint, text):
    whole = open_checkpoint(checkpoint).read_codec()
    split_files(checkpoint)
    parts = open_checkpoint(checkpoint).read_codec()

    assert text_of(whole, text) == text_of(parts, text) == text
    assert parts.control == whole.control
    assert parts.vocab_size == whole.vocab_size
    # Control tokens in a text stay text.
    assert not {*parts.encode(text)} & {*parts.control.disallowed}


def test_control_tokens_are_those_of_the_files(checkpoint):
    control = open_checkpoint(checkpoint).read_codec().control

    assert (control.bos, control.pad, control.turns) == (2, 0, None)
    assert {0, 1, 2, 3, 4} <= {*control.disallowed}
    with pytest.raises(ValueError, match="turns"):
        _ = control.turn_start


def test_texts_are_composed(checkpoint):
    split_files(checkpoint)
    codec = open_checkpoint(checkpoint).read_codec()

    assert codec.encode("nai\u0308ve") == codec.encode("na\u00efve")


def test_digits_and_contractions_are_split_as_in_qwen2(checkpoint):
    split_files(checkpoint)
    codec = open_checkpoint(checkpoint).read_codec()

    assert [codec.token_bytes(i) for i in codec.encode("3.14")] == [b"3", b".", b"1", b"4"]


def test_missing_merges_are_named(checkpoint):
    split_files(checkpoint, merges=False)

    with pytest.raises(CheckpointError) as raised:
        open_checkpoint(checkpoint).read_codec()

    assert "merges.txt" in str(raised.value)


@pytest.mark.parametrize("damage", ["none at all", "vocabulary", "merges", "added"])
def test_files_that_cannot_be_read_are_refused(checkpoint, damage):
    split_files(checkpoint)
    if damage == "none at all":
        (checkpoint / "vocab.json").unlink()
    elif damage == "vocabulary":
        (checkpoint / "vocab.json").write_text("{")
    elif damage == "merges":
        (checkpoint / "merges.txt").write_text("#version: 0.2\nqq zz\n")
    else:
        (checkpoint / "added_tokens.json").write_text('{"<|mask|>": 3, "<|new|>": 9000}')

    with pytest.raises(CheckpointError):
        open_checkpoint(checkpoint).read_codec()
