"""Random weights of the shape of Open-dCoder-0.5B, written once as safetensors."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

SPREAD = 0.02
MASK = 151_666
"""The id of the mask token in the published models."""


def shape(*, layers: int = 24, hidden: int = 896, vocabulary: int = 151_936) -> Qwen2Config:
    """Qwen2-0.5B, whose shape Open-dCoder-0.5B has; less in any direction for a trial."""
    heads = hidden // 64
    return Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=32 * (152 * hidden // 896),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=2 if heads % 2 == 0 else 1,
        max_position_embeddings=32_768,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
        mask_token_id=min(MASK, vocabulary - 1),
        bos_token_id=None,
        eos_token_id=0,
    )


def write_checkpoint(directory: Path, config: Qwen2Config) -> int:
    """Write `config.json` and `model.safetensors` in bfloat16; returns the parameters."""
    directory.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(directory)
    with torch.device("meta"):
        names = {
            name: tuple(one.shape) for name, one in Qwen2ForCausalLM(config).named_parameters()
        }
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.ones(shape, dtype=torch.bfloat16)
        if name.endswith("norm.weight")
        else torch.empty(shape, dtype=torch.bfloat16).normal_(0, SPREAD, generator=generator)
        for name, shape in names.items()
    }
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    return sum(one.numel() for one in tensors.values())
