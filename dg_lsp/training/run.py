"""A training run: the optimizer's schedule, the saved state, and how it continues.

A run has a warm-up, a constant phase of any length, and a linear cool-down that produces the
model that ships. The state is saved regularly. Every batch depends only on the seed and the
step, so an interrupted run continues to the same result.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dg_lsp.training.corpus import SourceFile
from dg_lsp.training.optimizer import Optimizer


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
    causal_share: float = 0.375
    """Share of the masked objective's examples that the model reads causally."""
    seed: int = 20261124
    save_every: int = 100


@dataclass(frozen=True, slots=True)
class Training:
    """The training behind a model, including the runs whose weights it began with."""

    steps: int = 0
    tokens: int = 0
    hours: float = 0.0


@dataclass(frozen=True, slots=True)
class Description:
    """What a model's card says of its objective."""

    title: str
    model: str
    """The first sentence: what kind of checkpoint this is, after its size."""
    options: str
    """Of the training command."""
    losses: str
    """How it is trained, a paragraph."""
    encoder: str
    decoder: str
    """What the two losses are called."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Reported after each step."""

    step: int
    encoder_loss: float
    decoder_loss: float
    tokens_per_s: float


class Trainer(ABC):
    """A model with its optimizer and its position in the run; a subclass is an objective."""

    metadata: ClassVar[Mapping[str, Any]]
    """What an export says in `dg_lsp.json` if the run began with random weights."""
    description: ClassVar[Description]

    def __init__(
        self, model: nn.Module, recipe: Recipe, state_dir: Path, dtype: torch.dtype
    ) -> None:
        self.device, self.dtype = next(model.parameters()).device, dtype
        self.recipe = recipe
        self._network = model
        names = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.optimizer = Optimizer(names, recipe.matrix_lr, recipe.other_lr)
        self.step = 0
        self.seconds = 0.0
        self._state_path = state_dir / "state.pt"
        self._cooldown_path = state_dir / "cooldown.pt"

    @property
    @abstractmethod
    def tokens_per_step(self) -> int:
        """Positions that the model reads in one step."""

    @abstractmethod
    def step_losses(self) -> tuple[Tensor, Tensor]:
        """The losses of the current step's batch: of next tokens, and of denoising."""

    @abstractmethod
    def held_out_losses(self, files: Sequence[SourceFile], batches: int) -> tuple[float, float]:
        """The mean of both losses over other files."""

    @abstractmethod
    def read_weights(self, directory: Path) -> dict[str, Tensor]:
        """The weights of a finished model of the same objective, by parameter name."""

    @abstractmethod
    def export(
        self, tokenizer: Path, training: Training, out: Path, metadata: Mapping[str, Any]
    ) -> None:
        """Write model, tokenizer and metadata of the current weights to `out`."""

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
            self._network.to(self.dtype)
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

    def _one_step(self) -> tuple[float, float]:
        encoder_loss, decoder_loss = self.step_losses()
        (self.recipe.encoder_weight * encoder_loss + decoder_loss).backward()
        self.optimizer.step(self._schedule())
        self.step += 1
        return float(encoder_loss.detach()), float(decoder_loss.detach())

    def _schedule(self) -> float:
        recipe = self.recipe
        if self.step >= recipe.steps:
            return recipe.peak * (1.0 - (self.step - recipe.steps) / recipe.cooldown)
        return recipe.peak * min(1.0, (self.step + 1) / recipe.warmup)


def device_and_dtype() -> tuple[torch.device, torch.dtype]:
    """Where to train, and in which type."""
    if torch.cuda.is_available():
        return torch.device("cuda"), torch.bfloat16
    return torch.device("cpu"), faster_dtype()


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
