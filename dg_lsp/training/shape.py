"""The bundled model's shape: the architecture of DiffusionGemma at 6 M parameters."""

from __future__ import annotations

from transformers import DiffusionGemmaConfig, DiffusionGemmaTextConfig

from dg_lsp.models.gemma.diffusion_gemma import NO_VISION
from dg_lsp.training.tokenizer import CONTROL

VOCABULARY = 4096


def bundled_config(
    vocab_size: int = VOCABULARY, canvas_length: int = 48
) -> DiffusionGemmaConfig:
    """Five layers of 256: few and wide, because small operations dominate on a CPU.

    All widths are multiples of 64, so a 4-bit block of 64 never straddles a row.
    """
    text = DiffusionGemmaTextConfig(
        vocab_size=vocab_size,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        global_head_dim=64,
        num_global_key_value_heads=1,
        num_experts=4,
        top_k_experts=2,
        moe_intermediate_size=128,
        sliding_window=512,
        max_position_embeddings=2048,
        layer_types=[
            "sliding_attention",
            "sliding_attention",
            "full_attention",
            "sliding_attention",
            "full_attention",
        ],
        pad_token_id=CONTROL.index("<pad>"),
        eos_token_id=CONTROL.index("<eos>"),
        bos_token_id=CONTROL.index("<bos>"),
    )
    return DiffusionGemmaConfig(
        text_config=text, vision_config=dict(NO_VISION), canvas_length=canvas_length
    )
