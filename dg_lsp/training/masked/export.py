"""Writes a masked model as a checkpoint directory of transformers' Qwen2, in float16."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2Config, Qwen2ForCausalLM

from dg_lsp.training.export import write_beside, write_checksums
from dg_lsp.training.masked.shape import NAMES, TOKENS
from dg_lsp.training.run import Training

METADATA: dict[str, Any] = {
    "follows_instructions": False,
    "prompt": {
        "style": "bare",
        "prefix_tokens": 200,
        "suffix_tokens": 88,
        "snippet_tokens": 0,
    },
    # A model of this size does not know when to expand, but can delete: several canvases race.
    "masked": {"window": 32, "start_masks": [2, 4, 8, 16], "expand_budget": 0},
    # The text around a canvas, read once, gives texts as good as reading it at every step.
    "cache": {"refresh_steps": 0},
    "engine": {"block_tokens": 32},
}


def export(
    masters: Mapping[str, Tensor],
    config: Qwen2Config,
    tokenizer: Path,
    training: Training,
    out: Path,
    metadata: Mapping[str, Any] = METADATA,
) -> None:
    """Write model, tokenizer and metadata of the state's float32 `masters` to `out`.

    The ids of its mask and length tokens are in `config.json`.
    """
    model = Qwen2ForCausalLM(config)
    model.load_state_dict(masters, strict=False)
    model.tie_weights()
    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.float16).save_pretrained(out)
    path = out / "config.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    written["mask_token_id"] = TOKENS.mask
    written["delete_token_id"] = TOKENS.delete
    written["expand_token_id"] = TOKENS.expand
    path.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    write_beside(tokenizer, training, out, metadata)
    renamed = _renamed(json.loads(tokenizer.read_text(encoding="utf-8")))
    text = json.dumps(renamed, ensure_ascii=False, indent=2)
    (out / "tokenizer.json").write_text(text, encoding="utf-8")
    write_checksums(out)


def _renamed(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """A `tokenizer.json` whose control tokens have the names of this family."""
    for token in tokenizer["added_tokens"]:
        token["content"] = NAMES.get(token["content"], token["content"])
    vocabulary = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = {NAMES.get(name, name): at for name, at in vocabulary.items()}
    return tokenizer
