"""Makes int4 weights and checkpoints as compressed-tensors writes them, in plain torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dg_lsp.models.w4a16.format import Int4


def pack_int4(weight: Tensor, group: int) -> Int4:
    """Round to the nearest of 16 steps in each group, symmetrically.

    `weight` is ([stack,] outputs, inputs).
    """
    grouped = weight.float().unflatten(-1, (-1, group))
    scales = (grouped.abs().amax(-1) / 7).clamp(min=1e-8).to(torch.bfloat16)
    codes = (grouped / scales.float()[..., None]).round().clamp(-8, 7) + 8
    eights = codes.to(torch.int64).flatten(-2).unflatten(-1, (-1, 8))
    words = (eights << torch.arange(0, 32, 4)).sum(-1)
    # The upper half of 32 unsigned bits is negative as a signed number.
    words = torch.where(words >= 1 << 31, words - (1 << 32), words)
    return Int4(words.to(torch.int32), scales)


def declared(group: int = 32, **changes: object) -> dict[str, object]:
    """The `quantization_config` of such a checkpoint; `changes` are to its weights."""
    weights = {
        "num_bits": 4,
        "type": "int",
        "symmetric": True,
        "strategy": "group",
        "group_size": group,
        "actorder": None,
        "dynamic": False,
        "observer": "mse",
    }
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "ignore": ["lm_head", "re:.*router.*", "re:.*vision_tower.*"],
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": weights | changes,
                "input_activations": None,
                "output_activations": None,
            }
        },
    }


def write_int4(
    source: Path, target: Path, group: int = 32, *, stacked: bool = False, dense: bool = False
) -> Path:
    """A checkpoint in int4 from one in full precision, which is copied with its tokenizer.

    Experts become linears, or stacks if `stacked`; the attention's products become int4 only
    if `dense`.
    """
    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text())
    config["quantization_config"] = declared(group)
    (target / "config.json").write_text(json.dumps(config))
    tensors: dict[str, Tensor] = {}
    for name, tensor in load_file(source / "model.safetensors").items():
        for part, piece, separator in _split(name, tensor, stacked=stacked, dense=dense):
            if separator:
                packed = pack_int4(piece, group)
                tensors[f"{part}{separator}packed"] = packed.words
                tensors[f"{part}{separator}scale"] = packed.scales
                tensors[f"{part}{separator}shape"] = torch.tensor(piece.shape)
            else:
                tensors[part] = piece.to(torch.bfloat16).contiguous()
    save_file(tensors, target / "model.safetensors")
    return target


def _split(
    name: str, tensor: Tensor, *, stacked: bool, dense: bool
) -> Iterator[tuple[str, Tensor, str]]:
    """What is stored of a tensor, and what its name has before "packed"; "" if it is whole."""
    prefix, _, last = name.rpartition(".")
    if prefix.endswith("experts") and stacked:
        yield name, tensor, "_"
    elif prefix.endswith("experts"):
        for number, matrix in enumerate(tensor):
            halves = matrix.chunk(2) if last == "gate_up_proj" else [matrix]
            names = ("gate_proj", "up_proj") if last == "gate_up_proj" else ("down_proj",)
            for projection, half in zip(names, halves, strict=True):
                yield f"{prefix}.{number}.{projection}", half, ".weight_"
    elif dense and ".self_attn." in name and "proj" in name:
        yield prefix, tensor, ".weight_"
    else:
        yield name, tensor, ""
