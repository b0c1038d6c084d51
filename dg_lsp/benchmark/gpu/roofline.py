"""Computes the least time that a denoising step can take on a device.

The bytes to read and the operations follow from the model's shape; of the device, only its
memory bandwidth and its rate of matrix multiplication matter.
"""

from __future__ import annotations

from dataclasses import dataclass

from transformers import DiffusionGemmaConfig

from dg_lsp.models.gemma.footprint import cache_bytes
from dg_lsp.models.gemma.quantization import expected_shapes, is_packed, skeleton

NF4_BITS, INT4_BITS, BF16_BITS = 4.127, 4.5, 16.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of parameters, by how a step uses them."""

    experts: int
    """In fused stacks; a step reads only the experts that its rows are routed to."""
    dense: int
    """Attention, dense products and self-conditioning: read once, packed in NF4."""
    embedding: int
    """Read once as the output layer and once for the soft embeddings, in bfloat16."""
    num_experts: int
    top_k: int


def sizes_of(config: DiffusionGemmaConfig) -> Sizes:
    experts = dense = 0
    for name, shape in expected_shapes(skeleton(config)).items():
        count = 1
        for extent in shape:
            count *= extent
        if "experts." in name:
            experts += count
        elif is_packed(name, shape):
            dense += count
    text = config.text_config
    return Sizes(
        experts,
        dense,
        text.vocab_size * text.hidden_size,
        text.num_experts,
        text.top_k_experts,
    )


def experts_touched(sizes: Sizes, rows: int) -> float:
    """Expected number of distinct experts of a layer that this many rows are routed to, if all
    are equally likely."""
    return sizes.num_experts * (1 - (1 - sizes.top_k / sizes.num_experts) ** rows)


def step_bytes(
    config: DiffusionGemmaConfig, sizes: Sizes, rows: int, context: int, bits: float
) -> float:
    """Bytes that one step reads: weights of `bits` each, the embedding twice, and the cache."""
    share = experts_touched(sizes, rows) / sizes.num_experts
    weights = (sizes.experts * share + sizes.dense) * bits / 8
    # A sliding layer reads only one window, although the cache keeps more.
    window = config.text_config.sliding_window
    cache = cache_bytes(config, context) - _beyond_window(config, context, window)
    return weights + 2 * sizes.embedding * 2 + cache


def step_flops(sizes: Sizes, rows: int) -> float:
    """Multiplications and additions in the matrix products of one step."""
    active = sizes.experts * sizes.top_k / sizes.num_experts
    return 2.0 * rows * (active + sizes.dense + 2 * sizes.embedding)


def floor_ms(bytes_: float, flops: float, bandwidth: float, rate: float) -> float:
    """The roofline in milliseconds: reading or computing, whichever takes longer."""
    return max(bytes_ / bandwidth, flops / rate) * 1e3


def _beyond_window(config: DiffusionGemmaConfig, context: int, window: int) -> int:
    kept = min(context, 2 * window) - min(context, window)
    text = config.text_config
    total = 0
    for index, kind in enumerate(text.layer_types):
        if kind != "full_attention":
            layer = text.per_layer_config[index]
            total += 4 * layer.num_key_value_heads * layer.head_dim * kept
    return total
