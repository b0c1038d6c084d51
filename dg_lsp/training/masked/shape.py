"""The masked model's shape: transformers' Qwen2, about as large as the bundled model."""

from __future__ import annotations

from transformers import Qwen2Config

from dg_lsp.engine.masked import MaskTokens
from dg_lsp.training.tokenizer import CONTROL

PAD, EOS, BOS, MASK, EXPAND = range(len(CONTROL))
"""The bundled tokenizer's control ids. This family has no turns, so the ids of their start and
end are free for the mask and for expand."""
TOKENS = MaskTokens(mask=MASK, delete=EOS, expand=EXPAND)
"""As in DreamOn, the token that ends a document also deletes a position."""
NAMES = {
    "<bos>": "<|beginoftext|>",
    "<eos>": "<|endoftext|>",
    "<pad>": "<|pad|>",
    "<|turn>": "<|mask|>",
    "<turn|>": "<|expand|>",
}
"""What the control tokens of the bundled tokenizer are called in a masked checkpoint."""


def masked_config(vocab_size: int) -> Qwen2Config:
    """Six layers of 256: 6.36 M parameters, 1 % more than the bundled model.

    All widths are multiples of 64, so a 4-bit block of 64 never straddles a row.
    """
    return Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=256,
        intermediate_size=896,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        use_cache=False,
        pad_token_id=PAD,
        eos_token_id=EOS,
        bos_token_id=BOS,
    )
