"""Reads what a checkpoint of this family says about itself, as data only.

A foreign `config.json` may name code of its own (`auto_map`) and how to run it
(`attn_implementation`). Only the shape of the network and the ids of its control tokens are
taken from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import Qwen2Config

from dg_lsp.engine.codec import TurnTokens
from dg_lsp.engine.masked import MaskTokens
from dg_lsp.models.checkpoint import GENERATION, CheckpointError, read_json
from dg_lsp.models.family import Instructions
from dg_lsp.models.qwen2 import conversation
from dg_lsp.models.tokenizer import ControlIds
from dg_lsp.reason import ReasonCode

TOKENIZER_CONFIG = "tokenizer_config.json"
ADDED_TOKENS = "added_tokens.json"
SHAPE = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "rms_norm_eps",
    "initializer_range",
    "tie_word_embeddings",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
)
"""What of a `config.json` makes up the network."""
NAMES = {
    "mask": ("<|mask|>", "<mask>", "[MASK]", "<M>"),
    "expand": ("<|expand|>", "<expand>"),
    "delete": ("<|delete|>", "<delete>"),
}
"""What these tokens are called where no file gives their ids."""
CANVAS_TOKENS = 256
"""Longest canvas, if the context allows it; no checkpoint of this family names one."""
LENGTH_TRAINED_CONTEXT = 2048
"""Context in which DreamOn was trained. Its `config.json` has the limit of its base model."""


@dataclass(frozen=True, slots=True)
class MaskedQwen2Config:
    """A network and its control tokens."""

    network: Qwen2Config
    tokens: MaskTokens
    opening: tuple[int, ...]
    """What every document begins with."""
    closing: tuple[int, ...]
    """What follows the end of a document."""
    control: ControlIds
    context_tokens: int
    canvas_tokens: int
    turns: TurnTokens | None
    """Of the model's conversations; `None` if none can be written."""
    instructions: Instructions


def read_config(directory: Path) -> MaskedQwen2Config:
    """The configuration in a directory. Raises `CheckpointError` for a language model."""
    raw = read_json(directory / "config.json")
    network = Qwen2Config(
        **{name: raw[name] for name in SHAPE if raw.get(name) is not None},
        use_sliding_window=False,
        use_cache=False,
    )
    ids = ControlTokenIds(directory, raw)
    mask = ids.find("mask")
    if mask is None:
        raise CheckpointError(
            f"{directory} holds an ordinary Qwen2 language model: its files name no mask "
            "token, so it can't infill; use a diffusion model, such as "
            "Dream-org/DreamOn-v0-7B or fredzzp/open-dcoder-0.5B",
            ReasonCode.UNKNOWN_FAMILY,
        )
    expand, eos = ids.find("expand"), ids.find("eos")
    # DreamOn deletes with the token that ends a document.
    delete = ids.find("delete", eos if expand is not None else None)
    tokens = MaskTokens(mask, delete, expand)
    outside = [
        f"{name} {one}"
        for name, one in (("mask", mask), ("expand", expand), ("delete", delete))
        if one is not None and one >= network.vocab_size
    ]
    if outside:
        raise CheckpointError(
            f"{directory}: the id of {' and '.join(outside)} is beyond the vocabulary of "
            f"{network.vocab_size}; download the checkpoint again"
        )
    bos = ids.bos(eos)
    pad = ids.find("pad", eos if eos is not None else mask)
    assert pad is not None
    turns = ids.turns()
    fault = conversation.fault_of(conversation.read_template(directory), turns)
    context = int(network.max_position_embeddings)
    if expand is not None:
        context = min(context, LENGTH_TRAINED_CONTEXT)
    return MaskedQwen2Config(
        network,
        tokens,
        opening=() if bos is None else (bos,),
        closing=() if eos is None else (eos,),
        control=ControlIds(
            bos=pad if bos is None else bos,
            pad=pad,
            others=tuple(i for i in (mask, expand, delete, eos) if i is not None),
        ),
        context_tokens=context,
        canvas_tokens=min(CANVAS_TOKENS, max(1, context // 4)),
        turns=turns if fault is None else None,
        instructions=Instructions(
            conversation.is_tuned(directory, raw.get("_name_or_path")), fault
        ),
    )


class ControlTokenIds:
    """The ids of a checkpoint's control tokens, from whichever of its files has them."""

    def __init__(self, directory: Path, config: Mapping[str, Any]) -> None:
        self._config = config
        self._generation = _optional(directory / GENERATION)
        self._tokenizer = _optional(directory / TOKENIZER_CONFIG)
        self._ids = added_tokens(directory)

    def find(self, role: str, default: int | None = None) -> int | None:
        """The id of "mask", "expand", "delete", "eos" or "pad"."""
        for raw in (self._config, self._generation):
            found = raw.get(f"{role}_token_id")
            # A list of several ends of a text begins with the usual one.
            found = found[0] if isinstance(found, list) and found else found
            if isinstance(found, int) and not isinstance(found, bool):
                return found
        named = self._named(role)
        if named is not None:
            return named
        known = (self._ids[name] for name in NAMES.get(role, ()) if name in self._ids)
        return next(known, default)

    def bos(self, eos: int | None) -> int | None:
        """The id of what a document begins with.

        The tokenizer knows better than `config.json`, which may name the end for it.
        """
        named = self._named("bos")
        if named is not None or "bos_token" in self._tokenizer:
            return named
        found = self.find("bos")
        return None if found == eos else found

    def turns(self) -> TurnTokens | None:
        """The tokens around a turn of a conversation in ChatML."""
        start, end = self._ids.get(conversation.START), self._ids.get(conversation.END)
        return None if start is None or end is None else TurnTokens(start, end)

    def _named(self, role: str) -> int | None:
        """The id of the token that the tokenizer's configuration names for a role."""
        token = self._tokenizer.get(f"{role}_token")
        content = token.get("content") if isinstance(token, dict) else token
        return self._ids.get(content) if isinstance(content, str) else None


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def added_tokens(directory: Path) -> dict[str, int]:
    """The ids of added tokens, by content, from all files that list any."""
    found: dict[str, int] = {}
    path = directory / "tokenizer.json"
    if path.is_file():
        for token in _entries(read_json(path).get("added_tokens")):
            found[token["content"]] = token["id"]
    for name, number in _optional(directory / ADDED_TOKENS).items():
        if isinstance(number, int):
            found.setdefault(name, number)
    decoder = _optional(directory / TOKENIZER_CONFIG).get("added_tokens_decoder")
    for number, token in (decoder if isinstance(decoder, dict) else {}).items():
        if str(number).isdigit() and isinstance(token, dict) and "content" in token:
            found.setdefault(str(token["content"]), int(number))
    return found


def _entries(listed: object) -> list[dict[str, Any]]:
    entries = listed if isinstance(listed, list) else []
    return [
        each
        for each in entries
        if isinstance(each, dict)
        and isinstance(each.get("content"), str)
        and isinstance(each.get("id"), int)
    ]
