"""Trains the bundled model: its encoder on next tokens, its decoder on noised canvases."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from dg_lsp.engine.codec import Codec
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.experts import ALL_EXPERTS
from dg_lsp.models.gemma.weights import load_weights
from dg_lsp.models.registry import open_checkpoint
from dg_lsp.training.corpus import SourceFile
from dg_lsp.training.examples import IGNORED, Batch, ExampleMaker, Shape
from dg_lsp.training.export import METADATA, export
from dg_lsp.training.run import Description, Recipe, Trainer, Training, device_and_dtype
from dg_lsp.training.shape import bundled_config

PINNED_LOGIT = 1e4
"""Logit of a pinned token for self-conditioning: a softmax over it is exactly one-hot."""


class UniformTrainer(Trainer):
    """Trains DiffusionGemma's shape by uniform-state diffusion."""

    metadata = METADATA
    description = Description(
        title="The bundled model",
        model="checkpoint of `DiffusionGemmaForBlockDiffusion`, without the vision tower",
        options="",
        losses=(
            "Two losses on the same weights: next-token cross entropy of the causal encoder "
            "over prompt, span and suffix, and cross entropy of the decoder over uniformly "
            "noised canvases, laid out by the engine's own prompt code (contiguous spans "
            "before a right anchor, healed boundaries, open canvases, canvases noised all "
            "over, partly noised spans as in rewrites).\n"
            "Half of the steps are self-conditioned."
        ),
        encoder="encoder",
        decoder="decoder",
    )

    def __init__(
        self,
        files: Sequence[SourceFile],
        codec: Codec,
        recipe: Recipe,
        state_dir: Path,
        compile_layers: bool | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.shape = Shape()
        config = bundled_config(codec.vocab_size, self.shape.canvas)
        device, dtype = device_and_dtype()
        self.model = TextDiffusionGemma(config).to(device, dtype)
        self.model.set_experts_implementation(ALL_EXPERTS)
        super().__init__(self.model, recipe, state_dir, dtype)
        self._codec = codec
        self._maker = ExampleMaker(files, codec, self.shape, recipe.seed, recipe.seeded_share)
        self._loss: Callable[..., tuple[Tensor, Tensor]] = token_losses
        if compile_layers is None:
            compile_layers = shutil.which("g++") is not None
        if compile_layers:
            self._compile()

    def _compile(self) -> None:
        # Each layer compiles its own version of one code object, more than dynamo's limit.
        torch._dynamo.config.recompile_limit = 64
        inner = self.model.model
        for layer in (*inner.encoder.language_model.layers, *inner.decoder.layers):
            layer.compile()
        self._loss = torch.compile(token_losses)

    @property
    def tokens_per_step(self) -> int:
        """Encoder and canvas positions of one batch."""
        shape = self.shape
        return self.recipe.batch * (shape.sequence + shape.canvas * shape.canvases)

    @torch.no_grad()
    def held_out_losses(self, files: Sequence[SourceFile], batches: int) -> tuple[float, float]:
        """Mean encoder and decoder loss over other files, half of them self-conditioned."""
        examples = ExampleMaker(files, self._codec, self.shape, seed=0)
        losses = [
            self.losses(examples.batch(n, self.recipe.batch), n % 2 == 1, temperature=0.6)
            for n in range(batches)
        ]
        encoder, decoder = zip(*losses, strict=True)
        return float(torch.stack(encoder).mean()), float(torch.stack(decoder).mean())

    def read_weights(self, directory: Path) -> dict[str, Tensor]:
        config = open_checkpoint(directory).config
        model = load_weights(directory, config, torch.device("cpu"), torch.float32)
        return dict(model.named_parameters())

    def export(
        self, tokenizer: Path, training: Training, out: Path, metadata: Mapping[str, Any]
    ) -> None:
        export(self.optimizer.masters, self.model.config, tokenizer, training, out, metadata)

    def step_losses(self) -> tuple[Tensor, Tensor]:
        recipe = self.recipe
        batch = self._maker.batch(self.step, recipe.batch)
        rng = np.random.default_rng([recipe.seed, self.step, 1])
        conditioned = bool(rng.random() < recipe.self_conditioning)
        temperature = float(rng.uniform(0.4, 0.8))
        return self.losses(batch, conditioned, temperature)

    def losses(
        self, batch: Batch, conditioned: bool, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Mean encoder and weighted mean decoder cross entropy, in nats per token."""
        ids = torch.from_numpy(batch.ids).to(self.device)
        canvas = torch.from_numpy(batch.canvas).flatten(1).to(self.device)
        pinned = torch.from_numpy(batch.pinned).flatten(1).to(self.device)
        targets = torch.from_numpy(batch.targets).flatten(1).to(self.device)
        weights = torch.from_numpy(batch.weights).flatten(1).to(self.device)
        mask, positions = canvas_mask(batch, ids.shape[1])
        reading = {"full_attention": mask.to(self.device)}
        reading["sliding_attention"] = reading["full_attention"]
        positions = positions.to(self.device)

        inner = self.model.model
        cache = DynamicCache(config=self.model.config.text_config)
        encoded = inner.encoder(input_ids=ids, past_key_values=cache).last_hidden_state
        conditioning = None
        if conditioned:
            with torch.no_grad():
                hidden = inner.decoder(
                    decoder_input_ids=canvas,
                    past_key_values=cache,
                    decoder_attention_mask=reading,
                    decoder_position_ids=positions,
                ).last_hidden_state
                logits = softcapped(hidden, self.model.lm_head.weight) / temperature
                exact = torch.full_like(logits, -PINNED_LOGIT)
                exact.scatter_(2, canvas[..., None], PINNED_LOGIT)
                conditioning = torch.where(pinned[..., None], exact, logits).to(self.dtype)
        decoded = inner.decoder(
            decoder_input_ids=canvas,
            past_key_values=cache,
            self_conditioning_logits=conditioning,
            decoder_attention_mask=reading,
            decoder_position_ids=positions,
        ).last_hidden_state
        labels = torch.from_numpy(batch.labels).to(self.device)
        return self._loss(encoded, decoded, self.model.lm_head.weight, labels, targets, weights)


def token_losses(
    encoded: Tensor,
    decoded: Tensor,
    embedding: Tensor,
    labels: Tensor,
    targets: Tensor,
    weights: Tensor,
) -> tuple[Tensor, Tensor]:
    """Cross entropies over (b, sequence, hidden) and (b, canvas, hidden) hidden states."""
    causal = nn.functional.cross_entropy(
        softcapped(encoded, embedding).flatten(0, 1), labels.flatten(), ignore_index=IGNORED
    )
    each = nn.functional.cross_entropy(
        softcapped(decoded, embedding).flatten(0, 1),
        targets.flatten(),
        ignore_index=IGNORED,
        reduction="none",
    )
    flat = weights.flatten()
    return causal, (each * flat).sum() / flat.sum()


def softcapped(hidden: Tensor, embedding: Tensor, cap: float = 30.0) -> Tensor:
    """float32 logits of the class: `cap * tanh(z / cap)`."""
    logits = nn.functional.linear(hidden, embedding).float()
    return torch.tanh(logits / cap) * cap


def canvas_mask(batch: Batch, sequence: int) -> tuple[Tensor, Tensor]:
    """Which keys each canvas position reads, and its position in the document.

    A canvas reads the encoder positions before its cut, and itself without its padding.
    Returns a boolean mask (b, 1, queries, sequence + queries), true where read, and positions
    (b, queries), with queries = canvases * canvas.
    """
    size, canvases, length = batch.canvas.shape
    queries = canvases * length
    cuts = torch.from_numpy(batch.cuts)
    owner = torch.arange(queries) // length
    prefix = torch.arange(sequence)[None, None, :] < cuts[:, owner, None]
    present = torch.from_numpy(batch.targets).flatten(1) != IGNORED
    own = (owner[:, None] == owner[None, :])[None] & present[:, None, :]
    positions = cuts[:, owner] + torch.arange(queries) % length
    return torch.cat([prefix, own.expand(size, -1, -1)], dim=2)[:, None], positions
