"""The same weights as a GGUF file for llama.cpp, which reads them as an ordinary Qwen2.

Needs the package `gguf` of the extra `bench`. The file has no tokenizer: the benchmark passes
token ids.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

from safetensors import safe_open
from transformers import Qwen2Config

_PARTS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    """llama.cpp's name of a tensor of `Qwen2ForCausalLM`."""
    outer = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
    }
    if name in outer:
        return outer[name]
    found = re.fullmatch(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)", name)
    if found is None:
        raise ValueError(f"{name!r} is not a tensor of a Qwen2 model")
    layer, part, kind = found.groups()
    return f"blk.{layer}.{_PARTS[part]}.{kind}"


def write_gguf(
    gguf: ModuleType, checkpoint: Path, config: Qwen2Config, kind: str, path: Path
) -> None:
    """Write the weights of a checkpoint in `F16` or `Q8_0`; vectors stay in float32."""
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("none")
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind}"])
    target = gguf.GGMLQuantizationType[kind]
    with safe_open(checkpoint / "model.safetensors", "pt") as file:
        for name in file.keys():  # noqa: SIM118 - it is not a dictionary.
            values = file.get_tensor(name).float().numpy()
            if values.ndim == 1:
                writer.add_tensor(gguf_name(name), values)
            else:
                packed = gguf.quantize(values, target)
                writer.add_tensor(gguf_name(name), packed, raw_dtype=target)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
