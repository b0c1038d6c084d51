"""Checks what a tokenizer does to a text before a library compiles and applies it.

A `tokenizer.json` is a small program: it may replace text, again and again, and search for any
regular expression. Only what the tokenizers of the supported families do is accepted, which
neither makes a text longer nor takes more time than its length allows. This also makes sure
that every text comes back from its tokens as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dg_lsp.models.checkpoint import CheckpointError, check_size, one_line, shown
from dg_lsp.reason import CodedError, ReasonCode

SPACE = "\u2581"
"""How a space is written in a vocabulary with byte fallback."""
MOST_BYTES = 64 * 2**20
"""Of a tokenizer's file; Gemma's has 33 MB."""
MOST_TOKEN_CHARS = 512
"""Of a token; the longest of Qwen2's are 128 spaces."""
QWEN2_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2 splits a text: contraction | word | digit | punctuation | line breaks | spaces."""
CODE_PIECES = r"(?:\r?\n)+[ \t]*| ?_*\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|[ \t]+|\s"
"""How the bundled model does: line breaks with indentation | word | up to three digits |
punctuation | spaces."""
PIECES = (
    QWEN2_PIECES,
    CODE_PIECES,
    QWEN2_PIECES.replace(r"|\p{N}|", r"|\p{N}{1,3}|"),
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
)
"""The expressions that are known to take time in proportion to the text: also those of Llama 3
and GPT-2."""


class TokenizerError(CodedError, ValueError):
    """A tokenizer file that cannot serve its checkpoint."""

    code = ReasonCode.BAD_CHECKPOINT


def read_tokenizer_file(path: Path) -> str:
    """The text of a `tokenizer.json`; raises `TokenizerError` if it does anything unknown."""
    try:
        check_size(path, MOST_BYTES)
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text, object_pairs_hook=_unique)
    except CheckpointError as error:
        raise TokenizerError(str(error)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise TokenizerError(f"{path} is not a tokenizer file: {one_line(error)}") from error
    if not isinstance(raw, dict):
        raise TokenizerError(f"{path} is not a tokenizer file: it holds {shown(raw)}")
    _check_normalizer(path, raw.get("normalizer"), "normalizer")
    _check_pre_tokenizer(path, raw.get("pre_tokenizer"), "pre_tokenizer")
    _check_model(path, raw.get("model"))
    for at, token in enumerate(_entries(raw.get("added_tokens"))):
        content = token.get("content") if isinstance(token, dict) else None
        if isinstance(content, str) and len(content) > MOST_TOKEN_CHARS:
            raise _too_long(path, f"added_tokens[{at}]", content)
    return text


def check_vocabulary(path: Path, vocabulary: Mapping[str, Any]) -> None:
    """Ids count from 0 without large gaps, and no token is a document of its own."""
    highest = 2 * len(vocabulary) + 1024
    for piece, number in vocabulary.items():
        if len(piece) > MOST_TOKEN_CHARS:
            raise _too_long(path, "vocab", piece)
        if type(number) is not int or not 0 <= number < highest:
            raise TokenizerError(
                f"{path}: the id of {shown(piece)} is {shown(number)}; it must be a whole "
                f"number below {highest}"
            )


def _check_normalizer(path: Path, part: object, where: str) -> None:
    match part:
        case None | {"type": "NFC"}:
            return
        case {"type": "Replace", "pattern": {"String": " "}, "content": content} if (
            content == SPACE
        ):
            return
        case {"type": "Sequence", "normalizers": list(parts)}:
            for at, each in enumerate(parts):
                _check_normalizer(path, each, f"{where}.normalizers[{at}]")
        case _:
            raise TokenizerError(
                f"{path}: {where} is {_named(part)}; only NFC and the replacement of spaces by "
                f"{SPACE!r} are accepted, because anything else changes a text or its length"
            )


def _check_pre_tokenizer(path: Path, part: object, where: str) -> None:
    match part:
        case None | {"type": "ByteLevel", "add_prefix_space": False}:
            return
        case {"type": "Split", "pattern": {"String": " "}}:
            return
        case {"type": "Split", "pattern": {"Regex": pattern}} if pattern in PIECES:
            return
        case {"type": "Sequence", "pretokenizers": list(parts)}:
            levels = [each for each in parts if _type(each) == "ByteLevel"]
            if len(levels) > 1:
                raise TokenizerError(
                    f"{path}: {where} has {len(levels)} of type ByteLevel; at most one is "
                    "accepted, because each makes the text longer"
                )
            for at, each in enumerate(parts):
                if _type(each) == "Sequence":
                    raise TokenizerError(f"{path}: {where} has a sequence within a sequence")
                _check_pre_tokenizer(path, each, f"{where}.pretokenizers[{at}]")
        case _:
            raise TokenizerError(
                f"{path}: {where} is {_named(part)}; only splits at spaces, ByteLevel without "
                "a space in front, and the regular expressions of Qwen2, Llama 3, GPT-2 and "
                "dg-lsp's own tokenizers are accepted, because others may take any time"
            )


def _check_model(path: Path, model: object) -> None:
    if not isinstance(model, dict):
        raise TokenizerError(f"{path} is not a tokenizer file: its model is {shown(model)}")
    if model.get("dropout"):
        raise TokenizerError(
            f"{path}: model.dropout is {shown(model['dropout'])}; it must be null, because the "
            "tokens of a text must not change"
        )
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        check_vocabulary(path, vocabulary)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of two fields of one name, other readers may take the other one."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise ValueError(f"{shown(twice)} is there more than once")
    return found


def _entries(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _type(part: object) -> object:
    return part.get("type") if isinstance(part, dict) else None


def _named(part: object) -> str:
    if not isinstance(part, dict):
        return shown(part)
    rest = {name: value for name, value in part.items() if name != "type"}
    return f"{shown(part.get('type'))} with {shown(str(rest))}"


def _too_long(path: Path, where: str, piece: str) -> TokenizerError:
    return TokenizerError(
        f"{path}: {where} has a token of {len(piece)} characters, which begins with "
        f"{shown(piece[:20])}; at most {MOST_TOKEN_CHARS} are accepted"
    )
