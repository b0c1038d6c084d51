"""Trains a small Qwen2 model by masked diffusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import Qwen2ForCausalLM

from dg_lsp.engine.codec import Codec
from dg_lsp.training.corpus import SourceFile
from dg_lsp.training.masked.examples import ExampleMaker, Shape
from dg_lsp.training.masked.export import METADATA, export
from dg_lsp.training.masked.loss import shifted_losses
from dg_lsp.training.masked.shape import masked_config
from dg_lsp.training.run import Description, Recipe, Trainer, Training, device_and_dtype


class MaskedTrainer(Trainer):
    """The masked objective; its first loss is that of causal examples."""

    metadata = METADATA
    description = Description(
        title="A small masked model",
        model="checkpoint of `Qwen2ForCausalLM` that infills by masked diffusion",
        options=" --objective masked",
        losses=(
            "Two losses on the same weights, both with outputs shifted by one: cross entropy "
            "of the masked tokens of spans between their context, read in both directions, "
            "and next-token cross entropy of causal examples.\n"
            "Masks beyond the end of a span have the target *delete*, and a mask that stands "
            "for several tokens has the target *expand*."
        ),
        encoder="causal",
        decoder="masked",
    )

    def __init__(
        self, files: Sequence[SourceFile], codec: Codec, recipe: Recipe, state_dir: Path
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.shape = Shape()
        device, dtype = device_and_dtype()
        self.model = Qwen2ForCausalLM(masked_config(codec.vocab_size)).to(device, dtype)
        super().__init__(self.model, recipe, state_dir, dtype)
        self._codec = codec
        self._maker = ExampleMaker(files, codec, self.shape, recipe.seed, recipe.causal_share)

    @property
    def tokens_per_step(self) -> int:
        return self.recipe.batch * self.shape.sequence

    def step_losses(self) -> tuple[Tensor, Tensor]:
        batch = self._maker.batch(self.step, self.recipe.batch)
        return shifted_losses(self.model, batch, self.device)

    @torch.no_grad()
    def held_out_losses(self, files: Sequence[SourceFile], batches: int) -> tuple[float, float]:
        examples = ExampleMaker(
            files, self._codec, self.shape, seed=0, causal_share=self.recipe.causal_share
        )
        losses = [
            shifted_losses(self.model, examples.batch(n, self.recipe.batch), self.device)
            for n in range(batches)
        ]
        causal, masked = zip(*losses, strict=True)
        return float(torch.stack(causal).mean()), float(torch.stack(masked).mean())

    def read_weights(self, directory: Path) -> dict[str, Tensor]:
        stored = load_file(directory / "model.safetensors")
        return {name: tensor.float() for name, tensor in stored.items()}

    def export(
        self, tokenizer: Path, training: Training, out: Path, metadata: Mapping[str, Any]
    ) -> None:
        export(self.optimizer.masters, self.model.config, tokenizer, training, out, metadata)
