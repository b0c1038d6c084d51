"""`python -m dg_lsp.benchmark.gpu.launches`: counts the kernels of a step, without a GPU.

Before: every operation of the class that is not a view is a launch. After: inductor writes the
code of the compiled parts as it would for a GPU of the given capability, and the launches in
that code are counted. Nothing of it is run. The layers have the real sizes, but there is one of
each kind, and few experts, whose number changes no count.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import DiffusionGemmaConfig

from dg_lsp.benchmark.gpu import weights
from dg_lsp.engine.denoiser import Canvases
from dg_lsp.models.captured import uncaptured
from dg_lsp.models.gemma.bucketed import BucketedSteps
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.fused.compiled import compiled
from dg_lsp.models.gemma.shapes import real_shape
from dg_lsp.models.gemma.step import PLAIN, Parts
from dg_lsp.models.kernels.products import split

LAUNCHES = {"attend": 2, "packed_experts": 4}
"""Launches of our own operations; of all others, one, though a few of torch's have more."""
ROWS, CAPABILITY = 32, 90
PARTS = ("begin", "layer", "end")


@dataclasses.dataclass(slots=True)
class Counted:
    """Launches of the parts of a step."""

    begin: int = 0
    sliding: int = 0
    full: int = 0
    end: int = 0

    def step(self, config: DiffusionGemmaConfig) -> int:
        """Launches of a step of the whole model."""
        full: int = config.text_config.layer_types.count("full_attention")
        sliding = len(config.text_config.layer_types) - full
        return self.begin + sliding * self.sliding + full * self.full + self.end


class _Dispatched(TorchDispatchMode):
    """Counts operations that are neither views nor mere allocations."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = operation._schema.name.partition("::")[2]
        if not operation.is_view and not name.startswith(
            ("empty", "new_empty", "_unsafe_view")
        ):
            self.names[name] += LAUNCHES.get(name, 1)
        return operation(*args, **(kwargs or {}))


Measure = Callable[..., tuple[Any, int | None]]
"""Runs a part of a step; returns its result and its launches, if they are known now."""


def counting(parts: Parts, measure: Measure, counted: Counted) -> Parts:
    """The parts, each of which writes down its launches."""

    def wrapped(name: str) -> Callable[..., Any]:
        part = getattr(parts, name)

        def run(*args: Any) -> Any:
            result, launches = measure(part, *args)
            if launches is not None:
                setattr(counted, _kind(args[0]) if name == "layer" else name, launches)
            return result

        return run

    begin, layer, end = map(wrapped, PARTS)
    return Parts(begin, layer, end, parts.vocabulary_chunk)


def dispatched(part: Callable[..., Any], *args: Any) -> tuple[Any, int]:
    """Launches of a part that runs operation by operation."""
    with _Dispatched() as seen:
        result = part(*args)
    return result, seen.names.total()


def generated(part: Callable[..., Any], *args: Any) -> tuple[Any, int | None]:
    """Launches in the code that inductor writes at a part's first call."""
    from torch._inductor.utils import run_and_get_code

    result, codes = run_and_get_code(part, *args)
    return result, sum(map(launches_in, codes)) if codes else None


def launches_in(code: str) -> int:
    """Launches in the code of one graph."""
    body = code[code.index("def call(") :]
    total = len(re.findall(r"^\s*\w+\.run\(", body, re.M))
    total += len(re.findall(r"^\s*extern_kernels\.\w+\(", body, re.M))
    for name in re.findall(r"^\s*(?:\w+ = )?torch\.ops\.\w+\.(\w+)\.\w+\(", body, re.M):
        total += LAUNCHES.get(name, 1)
    return total


@contextlib.contextmanager
def as_for_a_gpu(capability: int) -> Iterator[None]:
    """Let inductor write Triton code for a GPU that is not there, without compiling it."""
    import triton
    from torch._inductor import config
    from torch._inductor.async_compile import AsyncCompile
    from triton.backends.compiler import GPUTarget

    driver = mock.Mock()
    driver.get_current_target.return_value = GPUTarget("cuda", capability, 32)
    triton.runtime.driver.set_active(driver)
    with (
        warnings.catch_warnings(action="ignore"),  # That nothing is taken from the cache.
        config.patch(cpu_backend="triton", force_disable_caches=True),
        mock.patch.object(AsyncCompile, "triton", return_value=mock.Mock()),
    ):
        yield


def step(denoiser: GemmaDenoiser) -> None:
    """A step of `ROWS` rows, most of them free."""
    free = torch.arange(2, ROWS - 2)
    pinned = torch.tensor([0, 1, ROWS - 2, ROWS - 1])
    disallowed = torch.zeros(1, denoiser.vocab_size, dtype=torch.bool)
    canvases = Canvases((ROWS,), free, pinned, disallowed, torch.zeros_like(free))
    encoded = denoiser.encode(list(range(10, 40)))
    canvas = torch.full((ROWS,), 7)
    denoiser.denoise(encoded, canvases, canvas, None, 1.0, torch.rand(len(free)))


def count(config: DiffusionGemmaConfig) -> tuple[Counted, Counted]:
    """Launches before and after, for a model with one layer of each kind."""
    before, after = Counted(), Counted()
    # On a GPU, all products are ours.
    with mock.patch("dg_lsp.models.packed_layers.has_bitsandbytes", return_value=False):
        model = weights.packed_model(config, torch.device("cpu"))
    plain = GemmaDenoiser(model, bucketed=BucketedSteps(uncaptured))
    with mock.patch("dg_lsp.models.gemma.step.PLAIN", counting(PLAIN, dispatched, before)):
        step(plain)
    parts = counting(compiled(plain.vocab_size), generated, after)
    with (
        as_for_a_gpu(CAPABILITY),
        # Part of the compiled code on a GPU; the operations run their references all the same.
        mock.patch("dg_lsp.models.kernels.ops._arranged", split),
    ):
        step(GemmaDenoiser(model, bucketed=BucketedSteps(uncaptured, parts)))
    return before, after


def main() -> None:
    config = real_shape()
    small = real_shape(layers=2, experts=config.text_config.top_k_experts)
    before, after = count(small)
    print("| launches | operation by operation | fused and compiled |")
    print("| --- | --- | --- |")
    for name, label in (
        ("begin", "embeddings, self-conditioning, angles"),
        ("sliding", "sliding layer"),
        ("full", "full layer"),
        ("end", "last norm, head, sampler, soft embeddings"),
    ):
        print(f"| {label} | {getattr(before, name)} | {getattr(after, name)} |")
    print(f"| step of the whole model | {before.step(config)} | {after.step(config)} |")


def _kind(layer: Any) -> str:
    return "sliding" if layer.self_attn.is_sliding else "full"


if __name__ == "__main__":
    main()
