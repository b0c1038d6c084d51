"""Writes a trained state as a checkpoint directory of the transformers class, in float16."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import DiffusionGemmaConfig
from transformers.models.diffusion_gemma.generation_diffusion_gemma import (
    DiffusionGemmaGenerationConfig,
    EntropyBoundSamplerConfig,
)

from dg_lsp.config import SamplerSettings
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.training.run import Training

# Chosen by `dg-lsp eval tune` and `dg-lsp eval lengths`; docs/quality.md has the tables.
SAMPLER = SamplerSettings(
    max_denoising_steps=24,
    entropy_bound=0.2,
    t_max=0.8,
    t_min=0.1,
    stability_threshold=1,
    confidence_threshold=0.2,
)
METADATA: dict[str, Any] = {
    "follows_instructions": False,
    "prompt": {
        "style": "bare",
        "prefix_tokens": 200,
        "suffix_tokens": 72,
        "snippet_tokens": 0,
        "right_anchor_tokens": 8,
    },
    "length": {"token_reward_nats": 1.5},
    "engine": {"block_tokens": 32},
}


def read_metadata(directory: Path) -> dict[str, Any]:
    """The settings of an exported model and the training behind it."""
    metadata: dict[str, Any] = json.loads(
        (directory / "dg_lsp.json").read_text(encoding="utf-8")
    )
    return metadata


def training_of(metadata: Mapping[str, Any]) -> Training:
    """The training behind a model; empty if it does not say."""
    return Training(**metadata.get("training", {}))


def export(
    masters: dict[str, Tensor],
    config: DiffusionGemmaConfig,
    tokenizer: Path,
    training: Training,
    out: Path,
    metadata: Mapping[str, Any] = METADATA,
) -> None:
    """Write model, tokenizer and metadata of the state's float32 `masters` to `out`.

    `metadata` is that of the model whose weights the run began with, if there is one.
    """
    model = TextDiffusionGemma(config)
    model.load_state_dict(masters, strict=False)
    model.tie_weights()
    out.mkdir(parents=True, exist_ok=True)
    model.generation_config = DiffusionGemmaGenerationConfig(
        max_new_tokens=config.canvas_length,
        max_denoising_steps=SAMPLER.max_denoising_steps,
        sampler_config=EntropyBoundSamplerConfig(entropy_bound=SAMPLER.entropy_bound),
        t_min=SAMPLER.t_min,
        t_max=SAMPLER.t_max,
        stability_threshold=SAMPLER.stability_threshold,
        confidence_threshold=SAMPLER.confidence_threshold,
        bos_token_id=config.text_config.bos_token_id,
        eos_token_id=config.text_config.eos_token_id,
        pad_token_id=config.text_config.pad_token_id,
    )
    model.to(torch.float16).save_pretrained(out)
    path = out / "config.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    written["architectures"] = ["DiffusionGemmaForBlockDiffusion"]
    path.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    write_beside(tokenizer, training, out, metadata)


def write_beside(
    tokenizer: Path, training: Training, out: Path, metadata: Mapping[str, Any]
) -> None:
    """Write what belongs to the weights in `out`: settings, tokenizer and checksums."""
    written = {**metadata, "training": asdict(training)}
    # Of the weights that the run began with.
    written.pop("nats_per_token", None)
    (out / "dg_lsp.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(tokenizer, out / "tokenizer.json")
    write_checksums(out)


def write_checksums(directory: Path) -> None:
    """The checksums with which `dg-lsp doctor` and `sha256sum --check` verify large files."""
    sums = ""
    for name in ("model.safetensors", "tokenizer.json"):
        with (directory / name).open("rb") as file:
            sums += f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n"
    (directory / "SHA256SUMS").write_text(sums, encoding="utf-8")
