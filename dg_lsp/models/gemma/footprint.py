"""Computes from the configuration how much memory DiffusionGemma needs besides its weights."""

from __future__ import annotations

from transformers import DiffusionGemmaConfig

PIECE_TOKENS = 1024
"""Tokens of a prompt whose hidden states must fit at the same time."""


def cache_bytes(config: DiffusionGemmaConfig, tokens: int) -> int:
    """Keys and values of one document. Sliding layers keep twice their window, so that the
    document need not be read again after an edit within it."""
    text = config.text_config
    total = 0
    for index, kind in enumerate(text.layer_types):
        layer = text.per_layer_config[index]
        kept = tokens if kind == "full_attention" else min(tokens, 2 * text.sliding_window)
        total += 2 * 2 * layer.num_key_value_heads * layer.head_dim * kept
    return total


def working_bytes(config: DiffusionGemmaConfig) -> int:
    """Activations of one step, and hidden states of a prompt that is read in pieces.

    A step gets the memory of two float32 rows of logits per canvas position. Sampling works in
    chunks and needs less, but masks, captured graphs and the allocators' overhead need memory
    too.
    """
    text = config.text_config
    logits = 2 * 4 * config.canvas_length * text.vocab_size
    experts = (text.num_experts and text.top_k_experts) or 1
    widths = 8 * text.hidden_size + experts * (text.hidden_size + text.moe_intermediate_size)
    return int(logits + 2 * 2 * PIECE_TOKENS * widths)
