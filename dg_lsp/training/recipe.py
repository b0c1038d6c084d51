"""Trains the bundled model with the encoder's language-model and the decoder's denoising loss.

A run has a warm-up, a constant phase of any length, and a linear cool-down that produces the
model that ships. The state is saved regularly. Every batch depends only on the seed and the
step, so an interrupted run continues to the same result.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from dg_lsp.engine.codec import Codec
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.experts import ALL_EXPERTS
from dg_lsp.training.corpus import SourceFile
from dg_lsp.training.examples import IGNORED, Batch, ExampleMaker, Shape
from dg_lsp.training.optimizer import Optimizer
from dg_lsp.training.shape import bundled_config

PINNED_LOGIT = 1e4
"""Logit of a pinned token for self-conditioning: a softmax over it is exactly one-hot."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers of a run."""

    steps: int = 6000
    """Steps before the cool-down."""
    cooldown: int = 1200
    warmup: int = 100
    batch: int = 16
    matrix_lr: float = 0.02
    other_lr: float = 0.003
    peak: float = 1.0
    """Maximum share of both learning rates; below 1 when continuing from a finished model."""
    self_conditioning: float = 0.5
    """Share of steps whose canvases see their own first prediction."""
    seeded_share: float = 0.0
    """Share of the examples whose first canvas starts from a text found elsewhere."""
    encoder_weight: float = 0.7
    seed: int = 20261124
    save_every: int = 100


@dataclass(frozen=True, slots=True)
class Progress:
    """Reported after each step."""

    step: int
    encoder_loss: float
    decoder_loss: float
    tokens_per_s: float


class Trainer:
    """A model with its optimizer and its position in the run."""

    def __init__(
        self,
        files: Sequence[SourceFile],
        codec: Codec,
        recipe: Recipe,
        state_dir: Path,
        compile_layers: bool | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else faster_dtype()
        self.recipe, self.shape = recipe, Shape()
        self._maker = ExampleMaker(files, codec, self.shape, recipe.seed, recipe.seeded_share)
        self._pad = codec.control.pad
        config = bundled_config(codec.vocab_size, self.shape.canvas)
        self.model = TextDiffusionGemma(config).to(self.device, self.dtype)
        self.model.set_experts_implementation(ALL_EXPERTS)
        names = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self.optimizer = Optimizer(names, recipe.matrix_lr, recipe.other_lr)
        self.step = 0
        self.seconds = 0.0
        self._state_path = state_dir / "state.pt"
        self._cooldown_path = state_dir / "cooldown.pt"
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

    def resume(self) -> None:
        """Load the newest saved state, if there is one."""
        total = self.recipe.steps
        for path in (self._cooldown_path, self._state_path):
            if not path.is_file():
                continue
            state = torch.load(path, map_location=self.device, weights_only=True)
            cooling = path == self._cooldown_path
            if cooling and (state["from"], state["of"]) != (total, self.recipe.cooldown):
                continue
            if state["step"] > total and not cooling:
                raise ValueError(
                    f"{path} is at step {state['step']}, past the {total} requested; "
                    f"ask for at least as many"
                )
            # `faster_dtype` depends on timing; a run keeps the type it began with.
            self.dtype = getattr(torch, state["dtype"])
            self.model.to(self.dtype)
            self.optimizer.load(state["optimizer"])
            self.step, self.seconds = int(state["step"]), float(state["seconds"])
            return

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Begin with a finished model's weights, by parameter name, instead of random ones."""
        self.optimizer.start_from(weights)

    def save(self) -> None:
        """Save the state; the constant phase and the cool-down have separate files."""
        cooling = self.step > self.recipe.steps
        path = self._cooldown_path if cooling else self._state_path
        path.parent.mkdir(parents=True, exist_ok=True)
        state: dict[str, Any] = {
            "optimizer": self.optimizer.state(),
            "step": self.step,
            "seconds": self.seconds,
            "from": self.recipe.steps,
            "of": self.recipe.cooldown,
            "dtype": str(self.dtype).removeprefix("torch."),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def run(self, report: Callable[[Progress], None], stop: Callable[[], bool]) -> None:
        """Train to the end of the cool-down, or until `stop()`."""
        end = self.recipe.steps + self.recipe.cooldown
        while not self.finished and not stop():
            start = time.perf_counter()
            encoder_loss, decoder_loss = self._one_step()
            elapsed = time.perf_counter() - start
            self.seconds += elapsed
            speed = self.tokens_per_step / elapsed
            report(Progress(self.step, encoder_loss, decoder_loss, speed))
            if self.step % self.recipe.save_every == 0 or self.step in (self.recipe.steps, end):
                self.save()
        self.save()

    @property
    def finished(self) -> bool:
        """Whether the cool-down is complete."""
        return self.step >= self.recipe.steps + self.recipe.cooldown

    @property
    def tokens_per_step(self) -> int:
        """Encoder and canvas positions of one batch."""
        shape = self.shape
        return self.recipe.batch * (shape.sequence + shape.canvas * shape.canvases)

    @torch.no_grad()
    def held_out_losses(self, examples: ExampleMaker, batches: int) -> tuple[float, float]:
        """Mean encoder and decoder loss over other files, half of them self-conditioned."""
        losses = [
            self.losses(examples.batch(n, self.recipe.batch), n % 2 == 1, temperature=0.6)
            for n in range(batches)
        ]
        encoder, decoder = zip(*losses, strict=True)
        return float(torch.stack(encoder).mean()), float(torch.stack(decoder).mean())

    def _one_step(self) -> tuple[float, float]:
        recipe = self.recipe
        batch = self._maker.batch(self.step, recipe.batch)
        rng = np.random.default_rng([recipe.seed, self.step, 1])
        conditioned = bool(rng.random() < recipe.self_conditioning)
        temperature = float(rng.uniform(0.4, 0.8))
        encoder_loss, decoder_loss = self.losses(batch, conditioned, temperature)
        (recipe.encoder_weight * encoder_loss + decoder_loss).backward()
        self.optimizer.step(self._schedule())
        self.step += 1
        return float(encoder_loss.detach()), float(decoder_loss.detach())

    def _schedule(self) -> float:
        recipe = self.recipe
        if self.step >= recipe.steps:
            return recipe.peak * (1.0 - (self.step - recipe.steps) / recipe.cooldown)
        return recipe.peak * min(1.0, (self.step + 1) / recipe.warmup)

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


def faster_dtype() -> torch.dtype:
    """float32 or bfloat16, whichever multiplies faster on this CPU; ties go to float32."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = torch.randn(2048, 256).to(dtype), torch.randn(256, 512).to(dtype)
        for _ in range(3):
            a @ b
        start = time.perf_counter()
        for _ in range(20):
            a @ b
        seconds[dtype] = time.perf_counter() - start
    faster = seconds[torch.bfloat16] < 0.9 * seconds[torch.float32]
    return torch.bfloat16 if faster else torch.float32
