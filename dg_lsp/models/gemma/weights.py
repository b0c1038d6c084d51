"""Loads the files of a DiffusionGemma checkpoint into the transformers class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from transformers import DiffusionGemmaConfig

from dg_lsp.models.checkpoint import CheckpointError, one_line
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.experts import ALL_EXPERTS, MOST_EXPERTS_AT_ONCE
from dg_lsp.models.gemma.quantization import EMBEDDING, assemble, skeleton, tensor_layout
from dg_lsp.models.int8_embedding import Int8Rows, to_int8
from dg_lsp.models.nf4.format import Nf4
from dg_lsp.models.nf4.packed import read_packed
from dg_lsp.models.quiet import quiet_loader
from dg_lsp.models.w4a16.format import Int4
from dg_lsp.models.w4a16.reading import read_int4


def load_packed(
    directory: Path,
    config: DiffusionGemmaConfig,
    device: torch.device,
    dtype: torch.dtype,
    report: Callable[[float], None] = lambda share: None,
    int8_embedding: bool = False,
) -> TextDiffusionGemma:
    """The model of a packed checkpoint; `dtype` is for weights that are not packed."""
    on_host = (EMBEDDING,) if int8_embedding else ()
    tensors = read_packed(directory, tensor_layout(config), device, report, on_host)
    return _assembled(config, tensors, on_host, device, dtype)


def load_int4(
    directory: Path,
    config: DiffusionGemmaConfig,
    groups: tuple[int, ...],
    device: torch.device,
    dtype: torch.dtype,
    report: Callable[[float], None] = lambda share: None,
    int8_embedding: bool = False,
) -> TextDiffusionGemma:
    """The model of a checkpoint in int4; `dtype` is for weights that are not packed."""
    on_host = (EMBEDDING,) if int8_embedding else ()
    tensors = read_int4(directory, tensor_layout(config), groups, device, report, on_host)
    return _assembled(config, tensors, on_host, device, dtype)


def _assembled(
    config: DiffusionGemmaConfig,
    tensors: Mapping[str, Tensor | Nf4 | Int4],
    on_host: tuple[str, ...],
    device: torch.device,
    dtype: torch.dtype,
) -> TextDiffusionGemma:
    """What was left on the host is quantized a few rows at a time, so that the device never
    holds all of it in two precisions."""

    def kept(name: str, weight: Tensor | Nf4 | Int4) -> Tensor | Nf4 | Int4 | Int8Rows:
        if name in on_host and isinstance(weight, Tensor):
            return to_int8(weight, device, dtype)
        return weight

    weights = ((name, kept(name, weight)) for name, weight in tensors.items())
    return assemble(skeleton(config), weights, device, dtype)


def load_weights(
    directory: Path,
    config: DiffusionGemmaConfig,
    device: torch.device,
    dtype: torch.dtype,
    report: Callable[[float], None] = lambda share: None,
) -> TextDiffusionGemma:
    """The model of a checkpoint that is not packed; raises `CheckpointError`."""
    with quiet_loader(report):
        try:
            model, found = TextDiffusionGemma.from_pretrained(
                directory,
                config=config,
                dtype=dtype,
                device_map={"": device},
                output_loading_info=True,
                # Nothing is fetched, and pickles, which can run code, are not read.
                local_files_only=True,
                use_safetensors=True,
                # Reported below in one line, with other faults of the tensors.
                ignore_mismatched_sizes=True,
            )
        except Exception as error:  # The loader may raise anything for a file it did not write.
            raise CheckpointError(
                f"{directory} could not be loaded: {one_line(error)}"
            ) from error
    problems = {
        kind: sorted(
            key if isinstance(key, str) else str(key[0])
            for key in found.get(f"{kind}_keys", ())
        )
        for kind in ("missing", "mismatched", "unexpected")
    }
    for kind, keys in problems.items():
        if keys:
            plural = "s" if len(keys) > 1 else ""
            raise CheckpointError(
                f"{directory} has {len(keys)} {kind} tensor{plural}, such as {keys[0]}; "
                "it is not a complete DiffusionGemma checkpoint"
            )
    if device.type == "cpu" and config.text_config.num_experts <= MOST_EXPERTS_AT_ONCE:
        model.set_experts_implementation(ALL_EXPERTS)
    loaded: TextDiffusionGemma = model
    return loaded
