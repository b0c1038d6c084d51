"""What a DiffusionGemma takes besides its weights. Arithmetic on its configuration."""

from __future__ import annotations

from transformers import DiffusionGemmaConfig

PIECE_TOKENS = 1024
"""Tokens of a prompt whose hidden states are granted room at once."""


def cache_bytes(config: DiffusionGemmaConfig, tokens: int) -> int:
    """Keys and values of one document; sliding layers keep a window and as much again, so that
    an edit within it need not read the document anew."""
    text = config.text_config
    total = 0
    for index, kind in enumerate(text.layer_types):
        layer = text.per_layer_config[index]
        kept = tokens if kind == "full_attention" else min(tokens, 2 * text.sliding_window)
        total += 2 * 2 * layer.num_key_value_heads * layer.head_dim * kept
    return total


def working_bytes(config: DiffusionGemmaConfig) -> int:
    """Activations of one step, and hidden states of a prompt that is read in pieces.

    A step is granted what two float32 rows of logits per canvas position would take: selection
    works in chunks and holds less, but masks, captured graphs and what allocators waste come
    out of it too.
    """
    text = config.text_config
    logits = 2 * 4 * config.canvas_length * text.vocab_size
    experts = (text.num_experts and text.top_k_experts) or 1
    widths = 8 * text.hidden_size + experts * (text.hidden_size + text.moe_intermediate_size)
    return int(logits + 2 * 2 * PIECE_TOKENS * widths)
