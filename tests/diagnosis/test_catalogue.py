"""The catalogue's numbers follow from the models' shapes and from the plan of the memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dg_lsp.diagnosis.catalogue import AVAILABLE, CONTEXT_TOKENS
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.gemma.family import FAMILY as GEMMA
from dg_lsp.models.gemma.shapes import real_shape
from dg_lsp.models.memory import budget_of, plan_memory
from dg_lsp.models.nf4.planning import packed_bytes
from dg_lsp.models.registry import Checkpoint, open_checkpoint
from dg_lsp.models.store import is_small
from dg_lsp.models.w4a16.format import stored_bytes

INT4, FULL, *MASKED = AVAILABLE
SHARD_BYTES = 5_000_000_000
"""Largest files in which weights are published."""
SEVEN = {
    "model_type": "Dream", "vocab_size": 152064, "hidden_size": 3584,
    "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "max_position_embeddings": 131072, "tie_word_embeddings": False,
    "mask_token_id": 151666, "eos_token_id": 151643,
}  # fmt: skip
SMALL = {
    "model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896,
    "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
    "num_key_value_heads": 2, "max_position_embeddings": 32768, "tie_word_embeddings": True,
    "mask_token_id": 151665, "eos_token_id": 151643,
}  # fmt: skip
"""Qwen2.5-7B and 0.5B, which the masked models were trained from."""


def checkpoint_of(model, directory: Path) -> Checkpoint:
    if model in (INT4, FULL):
        return Checkpoint(directory, GEMMA, real_shape())
    config = SMALL if is_small(model.parameters) else SEVEN
    # Its length tokens limit the context of DreamOn, and with it the working memory.
    more = {"expand_token_id": 151667} if model.short_name == "dreamon" else {}
    (directory / "config.json").write_text(json.dumps(config | more))
    return open_checkpoint(directory)


def weight_bytes(model, checkpoint: Checkpoint) -> int:
    """On a GPU."""
    if model is not INT4:
        return packed_bytes(checkpoint.tensors)
    # The dense products and the router are published in 16 bits.
    return sum(
        stored_bytes(shape, 32)
        if ".experts." in name or (".self_attn." in name and "proj" in name)
        else 2 * torch.Size(shape).numel()
        for name, shape in checkpoint.tensors.shapes.items()
    )


def fits(checkpoint: Checkpoint, weights: int, budget: int, *, on_gpu: bool) -> bool:
    try:
        plan = plan_memory("it", checkpoint, weights, budget, CONTEXT_TOKENS, on_gpu=on_gpu)
    except CheckpointError:
        return False
    return plan.context_tokens == CONTEXT_TOKENS


@pytest.mark.parametrize("model", AVAILABLE, ids=lambda model: model.short_name)
def test_the_memory_of_a_gpu_is_what_the_plan_needs(model, tmp_path):
    checkpoint = checkpoint_of(model, tmp_path)
    weights = weight_bytes(model, checkpoint)
    card = model.gpu.memory_bytes

    assert fits(checkpoint, weights, budget_of(card, is_gpu=True), on_gpu=True)
    tenth_less = budget_of(card * 9 // 10, is_gpu=True)
    assert not fits(checkpoint, weights, tenth_less, on_gpu=True)


@pytest.mark.parametrize("model", MASKED, ids=lambda model: model.short_name)
def test_the_memory_without_a_gpu_is_what_the_plan_needs(model, tmp_path):
    checkpoint = checkpoint_of(model, tmp_path)
    # A CPU computes in float32, a Mac's GPU in 16 bits.
    weights = model.parameters * (4 if is_small(model.parameters) else 2)

    assert fits(checkpoint, weights, model.plain.memory_bytes, on_gpu=False)
    tenth_less = model.plain.memory_bytes * 9 // 10
    assert not fits(checkpoint, weights, tenth_less, on_gpu=False)


@pytest.mark.parametrize("model", AVAILABLE, ids=lambda model: model.short_name)
def test_sizes_on_disk_follow_from_the_shapes(model, tmp_path):
    checkpoint = checkpoint_of(model, tmp_path)
    assert model.parameters == checkpoint.tensors.parameters
    gpu, plain = model.gpu, model.plain
    if model is INT4:
        assert gpu.kept_bytes == pytest.approx(weight_bytes(model, checkpoint), rel=0.1)
        assert gpu.disk_bytes == pytest.approx(model.download_bytes, rel=0.1)
        return
    packed = packed_bytes(checkpoint.tensors)
    shards = min(2 * SHARD_BYTES, model.download_bytes)
    assert model.download_bytes == pytest.approx(2 * model.parameters, rel=0.1)
    assert gpu.kept_bytes == pytest.approx(packed, rel=0.1)
    assert gpu.disk_bytes == pytest.approx(packed + shards, rel=0.1)
    if plain is not None:
        assert plain.kept_bytes == model.download_bytes
        assert plain.disk_bytes == pytest.approx(model.download_bytes, rel=0.1)
