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
from dg_lsp.models.config_fields import (
    ROPE,
    Rule,
    flag,
    number,
    one_of,
    read_fields,
    read_object,
    require_multiple,
    whole,
)
from dg_lsp.models.family import Instructions
from dg_lsp.models.qwen2 import conversation
from dg_lsp.models.tokenizer import ControlIds
from dg_lsp.models.tokenizer_file import MOST_BYTES
from dg_lsp.reason import ReasonCode

TOKENIZER_CONFIG = "tokenizer_config.json"
ADDED_TOKENS = "added_tokens.json"
SHAPE: dict[str, Rule] = {
    "vocab_size": whole(1, 2**20),
    "hidden_size": whole(2, 2**17),
    "intermediate_size": whole(1, 2**17),
    "num_hidden_layers": whole(1, 256),
    "num_attention_heads": whole(1, 1024),
    "num_key_value_heads": whole(1, 1024),
    "hidden_act": one_of("silu", "gelu", "gelu_pytorch_tanh", "relu"),
    "max_position_embeddings": whole(1, 2**24),
    "rms_norm_eps": number(0, 1),
    "initializer_range": number(0, 100),
    "tie_word_embeddings": flag,
    "rope_theta": number(1, 1e12),
}
"""What of a `config.json` makes up the network, besides `ROPE_FIELDS`."""
ROPE_FIELDS = ("rope_scaling", "rope_parameters")
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
    network = _read_network(directory / "config.json", raw)
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
    bos = ids.bos(eos)
    pad = ids.find("pad", eos if eos is not None else mask)
    assert pad is not None
    roles = {
        "mask": mask,
        "expand": expand,
        "delete": delete,
        "eos": eos,
        "bos": bos,
        "pad": pad,
    }
    outside = [
        f"{name} {one}"
        for name, one in roles.items()
        if one is not None and not 0 <= one < network.vocab_size
    ]
    if outside:
        raise CheckpointError(
            f"{directory}: the id of {' and '.join(outside)} is not in the vocabulary of "
            f"{network.vocab_size}; download the checkpoint again"
        )
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


def _read_network(path: Path, raw: Mapping[str, Any]) -> Qwen2Config:
    found = read_fields(path, raw, SHAPE)
    for name in ROPE_FIELDS:
        rope = read_object(path, raw, name)
        if rope is not None:
            found[name] = read_fields(path, rope, ROPE, f"{name}.")
    network = Qwen2Config(**found, use_sliding_window=False, use_cache=False)
    heads = network.num_attention_heads
    require_multiple(
        path, "hidden_size", network.hidden_size, "2 * num_attention_heads", 2 * heads
    )
    groups = network.num_key_value_heads
    require_multiple(path, "num_attention_heads", heads, "num_key_value_heads", groups)
    return network


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
        for token in _entries(read_json(path, MOST_BYTES).get("added_tokens")):
            found[token["content"]] = token["id"]
    for name, token_id in _optional(directory / ADDED_TOKENS).items():
        if type(token_id) is int:
            found.setdefault(name, token_id)
    decoder = _optional(directory / TOKENIZER_CONFIG).get("added_tokens_decoder")
    for place, token in (decoder if isinstance(decoder, dict) else {}).items():
        if str(place).isdigit() and isinstance(token, dict) and "content" in token:
            found.setdefault(str(token["content"]), int(place[:18]))
    return found


def _entries(listed: object) -> list[dict[str, Any]]:
    entries = listed if isinstance(listed, list) else []
    return [
        each
        for each in entries
        if isinstance(each, dict)
        and isinstance(each.get("content"), str)
        and type(each.get("id")) is int
    ]
