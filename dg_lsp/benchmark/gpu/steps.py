"""The calls that are timed: the class's decoder, our engine's steps, prompts, `generate()`."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from dg_lsp.benchmark.gpu.hardware import median_ms
from dg_lsp.config import SamplerSettings
from dg_lsp.engine.codec import ControlTokens, TurnTokens
from dg_lsp.engine.denoising import Denoising
from dg_lsp.engine.prompt import CanvasPlan
from dg_lsp.engine.uniform import UniformCorruption
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.sampling import select
from dg_lsp.models.gemma.step import head_of

READ_TOKENS = 1024
"""Tokens of a prompt that are read in one forward pass."""


DOCUMENT = "a document"
NEVER_SETTLED = 1e-12
"""A mean entropy that random weights never reach, so that no step is skipped."""


@dataclass(slots=True)
class Numbers:
    """A codec without text: the denoising loop only asks which ids are allowed."""

    vocab_size: int
    longest_token: int = 0
    control: ControlTokens = field(
        default_factory=lambda: ControlTokens(0, 3, (0, 1, 2, 3), TurnTokens(1, 2))
    )

    def encode(self, text: str) -> list[int]:
        raise NotImplementedError

    def token_bytes(self, token_id: int) -> bytes:
        raise NotImplementedError

    def starting_with(self, stem: bytes) -> NDArray[np.int64]:
        raise NotImplementedError

    def ending_with(self, stem: bytes) -> NDArray[np.int64]:
        raise NotImplementedError


@torch.inference_mode()
def read_prompt(model: TextDiffusionGemma, tokens: int) -> DynamicCache:
    """The class's own cache of a random prompt."""
    cache = DynamicCache(config=model.config.text_config)
    for start in range(0, tokens, READ_TOKENS):
        _read(model, cache, min(READ_TOKENS, tokens - start))
    return cache


@torch.inference_mode()
def class_step_ms(
    model: TextDiffusionGemma, cache: DynamicCache, rows: int, rounds: int
) -> float:
    """One forward pass of the class's decoder and output layer, with self-conditioning."""
    device = model.lm_head.weight.device
    canvas = torch.randint(4, model.config.text_config.vocab_size, (1, rows), device=device)
    positions = cache.get_seq_length() + torch.arange(rows, device=device)[None]
    logits = torch.zeros(
        1, rows, model.config.text_config.vocab_size, dtype=model.dtype, device=device
    )

    def step() -> None:
        hidden = model.model.decoder(
            decoder_input_ids=canvas,
            past_key_values=cache,
            self_conditioning_logits=logits,
            decoder_attention_mask={"full_attention": None, "sliding_attention": None},
            decoder_position_ids=positions,
        ).last_hidden_state
        model.lm_head(hidden)

    return median_ms(step, device, rounds)


class EngineSteps:
    """Our own loop on a canvas without pinned positions, after a prompt."""

    def __init__(self, denoiser: GemmaDenoiser, context: int) -> None:
        self._denoiser = denoiser
        self._ids = self._random_ids(context, seed=0)
        self._encoded = denoiser.encode(self._ids, DOCUMENT)
        self._codec = Numbers(denoiser.vocab_size)

    def prompt_ms(self, rounds: int) -> float:
        """Reading the prompt of another document from its start."""
        seeds = itertools.count(1)

        def read() -> None:
            ids = self._random_ids(len(self._ids), next(seeds))
            self._denoiser.encode(ids, "another document")

        return median_ms(read, self._denoiser.device, rounds)

    def tail_ms(self, tail: int, rounds: int) -> float:
        """Reading some new tokens after the prompt, as after a keystroke."""
        seeds = itertools.count(1)

        def read() -> None:
            new = self._random_ids(tail, next(seeds))
            self._denoiser.encode([*self._ids, *new], DOCUMENT)

        return median_ms(read, self._denoiser.device, rounds)

    def step_ms(self, rows: int, rounds: int) -> float:
        """One step of the loop: decoder, output layer, sampler, stopping."""
        denoising = self._start(rows, 10 * rounds + 100)
        return median_ms(denoising.step, self._denoiser.device, rounds)

    def canvas_ms(self, rows: int, steps: int, rounds: int) -> float:
        """A canvas from noise through all steps, none of them skipped by settling."""

        def run() -> None:
            denoising = self._start(rows, steps)
            for _ in range(steps):
                denoising.step()

        return median_ms(run, self._denoiser.device, rounds)

    def _random_ids(self, count: int, seed: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(4, self._denoiser.vocab_size, (count,), generator=generator)
        return ids.tolist()

    def _start(self, rows: int, most_steps: int) -> Denoising:
        plan = CanvasPlan((-1,) * rows, 0, rows, (), (), is_open=True)
        settings = SamplerSettings(
            max_denoising_steps=most_steps, confidence_threshold=NEVER_SETTLED
        )
        corruption = UniformCorruption(settings, self._denoiser.device, seed=0)
        return Denoising(self._denoiser, self._encoded, [plan], self._codec, corruption)


@torch.inference_mode()
def experts_ms(model: TextDiffusionGemma, rows: int, rounds: int) -> float:
    """The experts of all layers, one after the other, with random routing."""
    text, device = model.config.text_config, model.lm_head.weight.device
    hidden = torch.randn(rows, text.hidden_size, dtype=model.dtype, device=device)
    chosen = torch.rand(rows, text.num_experts, dtype=model.dtype, device=device)
    weights, index = chosen.topk(text.top_k_experts)

    def run() -> None:
        for layer in model.model.decoder.layers:
            layer.experts(hidden, index, weights)

    return median_ms(run, device, rounds)


@torch.inference_mode()
def selection_ms(model: TextDiffusionGemma, rows: int, rounds: int) -> float:
    """Output layer, sampler and soft embeddings of some free rows."""
    text, device = model.config.text_config, model.lm_head.weight.device
    hidden = torch.randn(rows, text.hidden_size, dtype=model.dtype, device=device)
    none = torch.zeros(0, dtype=torch.long, device=device)
    disallowed = torch.zeros(1, text.vocab_size, dtype=torch.bool, device=device)
    constraint = torch.zeros(rows, dtype=torch.long, device=device)
    temperature = torch.full((), 0.8, device=device)
    share = torch.rand(rows, device=device)
    head = head_of(model)
    return median_ms(
        lambda: select(head, hidden, none, disallowed, constraint, temperature, share),
        device,
        rounds,
    )


@torch.inference_mode()
def generate_ms(model: TextDiffusionGemma, context: int, steps: int) -> float:
    """transformers' `generate()` of one canvas with the same number of steps."""
    device = model.lm_head.weight.device
    rows = model.config.canvas_length
    ids = torch.randint(4, model.config.text_config.vocab_size, (1, context), device=device)

    def run() -> None:
        model.generate(
            ids,
            max_new_tokens=rows,
            max_denoising_steps=steps,
            confidence_threshold=NEVER_SETTLED,
            stability_threshold=steps + 1,
        )

    # Every call reads the prompt again, so the time for that is subtracted.
    return median_ms(run, device, 3) - median_ms(lambda: read_prompt(model, context), device, 3)


def _read(model: TextDiffusionGemma, cache: DynamicCache, count: int) -> None:
    device = model.lm_head.weight.device
    ids = torch.randint(4, model.config.text_config.vocab_size, (1, count), device=device)
    model.model.encoder.language_model(input_ids=ids, past_key_values=cache)
