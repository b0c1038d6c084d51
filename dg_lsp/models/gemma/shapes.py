"""The shape of the real model, and a small one that a CPU can run."""

from __future__ import annotations

from transformers import DiffusionGemmaConfig, DiffusionGemmaTextConfig

from dg_lsp.models.gemma.diffusion_gemma import NO_VISION


def real_shape(
    *, layers: int = 30, experts: int = 128, vocabulary: int = 262_144
) -> DiffusionGemmaConfig:
    """DiffusionGemma 26B-A4B: 25.25 billion parameters of text, 22.84 of them in experts.

    With other numbers, the layers keep their widths.
    """
    text = DiffusionGemmaTextConfig(
        vocab_size=vocabulary,
        hidden_size=2816,
        intermediate_size=2112,
        num_hidden_layers=layers,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=256,
        global_head_dim=512,
        num_global_key_value_heads=2,
        num_experts=experts,
        top_k_experts=min(8, experts),
        moe_intermediate_size=704,
        sliding_window=1024,
        layer_types=[
            "full_attention" if number % 6 == 0 or number == layers else "sliding_attention"
            for number in range(1, layers + 1)
        ],
    )
    return DiffusionGemmaConfig(
        text_config=text, vision_config=dict(NO_VISION), canvas_length=256
    )


def tiny_shape(layers: int = 4, hidden: int = 128) -> DiffusionGemmaConfig:
    """The same architecture at four layers of 128, the last with full attention."""
    text = DiffusionGemmaTextConfig(
        vocab_size=512,
        hidden_size=hidden,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        global_head_dim=64,
        num_global_key_value_heads=1,
        num_experts=8,
        top_k_experts=2,
        moe_intermediate_size=64,
        sliding_window=64,
        layer_types=[*["sliding_attention"] * (layers - 1), "full_attention"],
    )
    return DiffusionGemmaConfig(
        text_config=text, vision_config=dict(NO_VISION), canvas_length=32
    )
