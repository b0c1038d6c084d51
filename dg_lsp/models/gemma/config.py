"""Reads what a DiffusionGemma checkpoint declares: the shape of its text model, and no more.

The vision part is never used, so the smallest one stands in for whatever is declared. Fields
that transformers would act on, such as `attn_implementation`, `quantization_config` and
`auto_map`, are not passed on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import DiffusionGemmaConfig, DiffusionGemmaTextConfig

from dg_lsp.models.checkpoint import read_json
from dg_lsp.models.config_fields import (
    ROPE,
    Rule,
    flag,
    list_of,
    number,
    one_of,
    read_fields,
    read_object,
    require,
    require_multiple,
    whole,
    wrong_field,
)
from dg_lsp.models.gemma.diffusion_gemma import NO_VISION

MOST_LAYERS, MOST_WIDTH, MOST_TOKENS = 256, 2**17, 2**24
KINDS = ("sliding_attention", "full_attention")
TOKEN = whole(0, 2**20)
TOP: dict[str, Rule] = {
    "canvas_length": whole(1, 8192),
    "initializer_range": number(0, 100),
    "tie_word_embeddings": flag,
}
LAYER: dict[str, Rule] = {
    "head_dim": whole(2, 1024),
    "num_key_value_heads": whole(1, 1024),
}
"""What may differ between layers."""
TEXT: dict[str, Rule] = {
    **LAYER,
    "vocab_size": whole(1, 2**20),
    "hidden_size": whole(1, MOST_WIDTH),
    "intermediate_size": whole(1, MOST_WIDTH),
    "num_hidden_layers": whole(1, MOST_LAYERS),
    "num_attention_heads": whole(1, 1024),
    "global_head_dim": whole(2, 1024),
    "num_global_key_value_heads": whole(1, 1024),
    "num_experts": whole(1, 4096),
    "top_k_experts": whole(1, 4096),
    "moe_intermediate_size": whole(1, MOST_WIDTH),
    "sliding_window": whole(1, MOST_TOKENS),
    "max_position_embeddings": whole(1, MOST_TOKENS),
    "hidden_activation": one_of("gelu_pytorch_tanh", "gelu", "silu", "relu"),
    "initializer_range": number(0, 100),
    "rms_norm_eps": number(0, 1),
    "final_logit_softcapping": number(1e-3, 1e6),
    "attention_bias": flag,
    "tie_word_embeddings": flag,
    "use_bidirectional_attention": one_of("all", "vision"),
    "layer_types": list_of(one_of(*KINDS), MOST_LAYERS),
    "pad_token_id": TOKEN,
    "bos_token_id": TOKEN,
}
NEEDED = ("vocab_size", "hidden_size", "num_hidden_layers")


def read_config(directory: Path) -> DiffusionGemmaConfig:
    """The configuration in a directory; raises `CheckpointError`."""
    path = directory / "config.json"
    raw = read_json(path)
    text = _read_text(path, read_object(path, raw, "text_config") or {})
    return DiffusionGemmaConfig(
        text_config=DiffusionGemmaTextConfig(**text),
        vision_config=dict(NO_VISION),
        **read_fields(path, raw, TOP),
    )


def _read_text(path: Path, raw: dict[str, Any]) -> dict[str, Any]:
    where = "text_config."
    found = read_fields(path, raw, TEXT, where)
    require(path, found, NEEDED, where)
    layers, experts = found["num_hidden_layers"], found.get("num_experts", 0)
    if len(found.get("layer_types", ())) not in (0, layers):
        raise wrong_field(path, f"{where}layer_types", found["layer_types"], f"{layers} long")
    if found.get("top_k_experts", 0) > experts:
        needed = f"at most num_experts, which is {experts}"
        raise wrong_field(path, f"{where}top_k_experts", found["top_k_experts"], needed)
    pad = found.get("pad_token_id", 0)
    if pad >= found["vocab_size"]:
        needed = f"below vocab_size, which is {found['vocab_size']}"
        raise wrong_field(path, f"{where}pad_token_id", pad, needed)
    rope = read_object(path, raw, "rope_parameters")
    if rope is not None:
        found["rope_parameters"] = {
            kind: read_fields(
                path,
                read_object(path, rope, kind) or {},
                ROPE,
                f"{where}rope_parameters.{kind}.",
            )
            for kind in KINDS
            if kind in rope
        }
    own = read_object(path, raw, "per_layer_config")
    if own is not None:
        found["per_layer_config"] = {
            _layer(path, number, layers): read_fields(
                path,
                read_object(path, own, number) or {},
                LAYER,
                f"{where}per_layer_config.{number}.",
            )
            for number in own
        }
    heads = found.get("num_attention_heads", DiffusionGemmaTextConfig.num_attention_heads)
    declared = [found, *found.get("per_layer_config", {}).values()]
    for each in declared:
        for name in ("num_key_value_heads", "num_global_key_value_heads"):
            if name in each:
                require_multiple(path, f"{where}num_attention_heads", heads, name, each[name])
    return found


def _layer(path: Path, number: str, layers: int) -> int:
    if not (number.isascii() and number.isdigit() and int(number[:9]) < layers):
        needed = f"numbers of layers below {layers}"
        raise wrong_field(path, "the names in text_config.per_layer_config", number, needed)
    return int(number)
