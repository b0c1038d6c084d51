"""Plans the device's memory before anything is loaded.

Computes from a configuration and a budget: weights first, then workspace, and the rest is
cache. `budget` asks the machine how much memory is free.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch

from dg_lsp.config import PromptSettings
from dg_lsp.models import device as devices
from dg_lsp.models.checkpoint import CheckpointError, size_in_words
from dg_lsp.models.family import TensorLayout
from dg_lsp.models.int8_embedding import bytes_of
from dg_lsp.models.registry import Checkpoint
from dg_lsp.reason import ReasonCode

GB = 1e9
LEAST_CONTEXT_TOKENS = 1024
"""A smaller prompt does not contain the code around a span."""
SHORT_CONTEXT_TOKENS = 4096
"""A longer context is worth less than a more precise embedding."""
MOST_DOCUMENTS = 8
"""Maximum number of documents with a cache; more are seldom open at once."""
MARGIN_SHARE, MARGIN_BYTES = 0.05, int(0.5 * GB)
"""Share of the free memory left to other programs, because a desktop's windows grow."""
RUNTIME_BYTES = int(0.6 * GB)
"""Memory of CUDA, its libraries and captured graphs, besides tensors."""
FORMAT_TOKENS = 128
"""Turns, task and fences around the texts of a prompt."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How a budget is divided, in bytes."""

    budget: int
    weights: int
    workspace: int
    """For one step on a full canvas after the longest prompt, and for libraries."""
    cache: int
    """Keys and values of all documents together."""
    context_tokens: int
    """Tokens of one document, prompt and canvas."""
    int8_embedding: bool = False
    """The embedding is quantized, because in full precision it leaves too little context."""

    def __str__(self) -> str:
        parts = (self.weights, self.workspace, self.cache, self.budget)
        return (
            "{} weights, {} workspace, {} cache of {}".format(*map(size_in_words, parts))
            + f", {self.context_tokens} tokens of context"
        )


def plan_memory(
    name: str,
    checkpoint: Checkpoint,
    weights: int,
    budget: int,
    wanted_tokens: int,
    *,
    on_gpu: bool,
    may_quantize: bool = False,
) -> MemoryPlan:
    """Divide a budget so that the wanted tokens fit, or as many as possible; raises if too
    few.

    With `may_quantize`, the embedding is planned in int8 if it leaves too little for a context
    of `SHORT_CONTEXT_TOKENS` otherwise.
    """

    def cache_bytes(tokens: int) -> int:
        return checkpoint.family.cache_bytes(checkpoint.config, tokens)

    workspace = checkpoint.family.working_bytes(checkpoint.config)
    workspace += RUNTIME_BYTES if on_gpu else 0
    rest = budget - weights - workspace
    # Once in the cache, and once in the workspace where a step reads it.
    least = 2 * cache_bytes(LEAST_CONTEXT_TOKENS)
    tokens = min(wanted_tokens, checkpoint.dimensions.context_tokens)
    enough = max(least, 2 * cache_bytes(min(tokens, SHORT_CONTEXT_TOKENS)))
    saved = int8_saving(checkpoint, weight_dtype(on_gpu=on_gpu)) if may_quantize else 0
    is_quantized = saved > 0 and rest < enough
    if is_quantized:
        weights, rest = weights - saved, rest + saved
    if rest < least:
        needed = weights + workspace + least
        raise CheckpointError(
            f"{name} needs {size_in_words(needed)} ({size_in_words(weights)} weights, "
            f"{size_in_words(workspace)} workspace, {size_in_words(least)} cache for "
            f"{LEAST_CONTEXT_TOKENS} tokens) but may use only {size_in_words(budget)}; "
            "close other programs that use the device, raise --vram, or use a smaller --model",
            ReasonCode.DOES_NOT_FIT,
        )
    while 2 * cache_bytes(tokens) > rest:
        tokens = max(LEAST_CONTEXT_TOKENS, tokens * 7 // 8)
    current = cache_bytes(tokens)
    cache = min(rest - current, MOST_DOCUMENTS * current)
    return MemoryPlan(budget, weights, workspace + current, cache, tokens, is_quantized)


def weight_dtype(*, on_gpu: bool) -> torch.dtype:
    """The precision of weights that are not packed: float16 products are slow on CPUs, and GPUs
    are fast in bfloat16. A Mac's GPU too gets bfloat16, because some activations of Qwen2 are
    too large for float16."""
    return torch.bfloat16 if on_gpu else torch.float32


def packed_in_memory(layout: TensorLayout, stored: int, dtype: torch.dtype) -> int:
    """Bytes in memory of a checkpoint that takes `stored` bytes packed, with the rest in 16
    bits."""
    plain = sum(
        torch.Size(shape).numel()
        for name, shape in layout.shapes.items()
        if not layout.is_packed(name, shape)
    )
    return stored + plain * (dtype.itemsize - torch.bfloat16.itemsize)


def int8_saving(checkpoint: Checkpoint, dtype: torch.dtype) -> int:
    """Bytes that are saved if the embedding is kept in int8; 0 if it cannot be."""
    name = checkpoint.tensors.embedding
    if name is None:
        return 0
    shape = checkpoint.tensors.shapes[name]
    return torch.Size(shape).numel() * dtype.itemsize - bytes_of(shape)


def default_budget(device: torch.device) -> int:
    """Free memory of the device, minus a margin."""
    free, _ = devices.free_and_total(device)
    return budget_of(free, is_gpu=device.type == "cuda")


def budget_of(free: int, *, is_gpu: bool) -> int:
    """What a model may use of so much free memory."""
    # A lack of host memory leads to swapping; on a GPU, it ends a job midway.
    margin = max(MARGIN_SHARE * free, MARGIN_BYTES) if is_gpu else 0
    return int(free - margin)


def check_budget(device: torch.device, budget: int) -> None:
    """Refuse a budget that exceeds the device's free memory, before weights are read."""
    free, total = devices.free_and_total(device)
    if budget > free:
        raise CheckpointError(
            f"--vram {size_in_words(budget)} is more than is free on {device}: "
            f"{size_in_words(free)} of {size_in_words(total)}; "
            "close other programs that use it, or give a smaller amount",
            ReasonCode.DOES_NOT_FIT,
        )


def check_free(device: torch.device, needed: int, what: str) -> None:
    """Refuse to start work that does not fit into the device's memory."""
    free, _ = devices.free_and_total(device)
    if free < needed:
        raise CheckpointError(
            f"{what} needs {size_in_words(needed)} of memory on {device}, "
            f"but {size_in_words(free)} are free; close other programs that use it",
            ReasonCode.DOES_NOT_FIT,
        )


def limit_memory(device: torch.device, budget: int) -> None:
    """Limit this process to its budget on a GPU, so that a job fails before other programs
    do."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, budget / total), device)


def fit_prompt(
    prompt: PromptSettings, context_tokens: int, canvas_tokens: int
) -> PromptSettings:
    """Shrink every part of a prompt by the same factor, so that it fits into the context."""
    room = context_tokens - canvas_tokens - FORMAT_TOKENS
    if room < 1:
        raise CheckpointError(
            f"a context of {context_tokens} tokens leaves no room for a prompt beside a canvas "
            f"of {canvas_tokens}; use another checkpoint"
        )
    wanted = prompt.prefix_tokens + prompt.suffix_tokens + prompt.snippet_tokens
    if wanted <= room:
        return prompt
    return dataclasses.replace(
        prompt,
        prefix_tokens=prompt.prefix_tokens * room // wanted,
        suffix_tokens=prompt.suffix_tokens * room // wanted,
        snippet_tokens=prompt.snippet_tokens * room // wanted,
    )


def prompt_tokens(prompt: PromptSettings, canvas_tokens: int) -> int:
    """Context available to a prompt, which leaves room for the canvas."""
    parts = prompt.prefix_tokens + prompt.suffix_tokens + prompt.snippet_tokens
    return parts + canvas_tokens + FORMAT_TOKENS


def parse_bytes(text: str) -> int:
    """ "16GB", "16 GiB", "15500MB" or a plain number of gigabytes."""
    units = {"gb": 1e9, "g": 1e9, "gib": 2**30, "mb": 1e6, "m": 1e6, "mib": 2**20, "": 1e9}
    stripped = text.strip().lower()
    number = stripped.rstrip("gibm ").strip()
    unit = stripped[len(number) :].strip()
    try:
        amount = float(number) * units[unit]
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{text!r} is not an amount of memory; write 16GB, 15500MB or 16GiB",
            ReasonCode.INVALID_ARGUMENT,
        ) from error
    if not 0 < amount < 1e15:
        raise CheckpointError(
            f"{text!r} is not an amount of memory that a device can have",
            ReasonCode.INVALID_ARGUMENT,
        )
    return int(amount)
