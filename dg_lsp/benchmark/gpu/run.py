"""Runs the whole measurement, one model after the other, so that each has the device to
itself. Returns plain values."""

from __future__ import annotations

import dataclasses
import functools
import gc
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import DiffusionGemmaConfig

from dg_lsp.benchmark.gpu import fidelity, steps, weights
from dg_lsp.benchmark.gpu.hardware import (
    Hardware,
    free_bytes,
    measure_hardware,
    median_ms,
    peak_bytes,
    reset_peak,
    versions,
)
from dg_lsp.benchmark.gpu.roofline import (
    BF16_BITS,
    INT4_BITS,
    NF4_BITS,
    floor_ms,
    sizes_of,
    step_bytes,
    step_flops,
)
from dg_lsp.config import CacheSettings
from dg_lsp.models import kernels
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.ladder import settle
from dg_lsp.models.gemma.quantization import tensor_layout
from dg_lsp.models.gemma.shapes import real_shape, tiny_shape
from dg_lsp.models.kernels import reference
from dg_lsp.models.nf4.format import Nf4, has_bitsandbytes

ENGINE = "our engine, NF4"
INT4_ENGINE = "our engine, int4"
PACKED = "the class, our NF4"
PARAMETRIZED = "the class, bitsandbytes parametrization"
FULL = "the class, full precision, grouped_mm"
GENERATE = "transformers generate()"
SHAPES: dict[str, Callable[[], DiffusionGemmaConfig]] = {
    "real": real_shape,
    "tiny": tiny_shape,
}
ROOM = 1.1
"""Share of a model's weights that must be free before it is created."""
PACKED_SHARE = 0.7
"""Bytes per parameter of a packed model, including what packing needs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    shape: str = "real"
    rows: tuple[int, ...] = (32, 64, 128, 256)
    contexts: tuple[int, ...] = (2048, 8192)
    tails: tuple[int, ...] = (1, 16, 64, 256)
    steps: tuple[int, ...] = (8, 12, 16, 20, 48)
    line: tuple[int, int] = (32, 12)
    """Rows and steps of one line after a keystroke."""
    rounds: int = 20
    is_thorough: bool = True
    """Also other tilings, and other ways of running the model in 4 bits and in full."""


QUICK = Plan(rows=(32, 256), tails=(1, 16, 64), steps=(16,), rounds=5, is_thorough=False)
"""For `make gpu-check`, which has eight minutes for everything."""
TINY = Plan("tiny", (8, 32), (64, 200), (1, 16), (2, 4), (8, 4), 2)


@dataclass(slots=True)
class _Bench:
    plan: Plan
    device: torch.device
    told: Callable[[str], None]
    config: DiffusionGemmaConfig = field(init=False)
    hardware: Hardware = field(init=False)
    report: dict[str, Any] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        torch.manual_seed(0)  # The same weights in every run.
        self.config = SHAPES[self.plan.shape]()
        self.told("the device")
        self.hardware = measure_hardware(self.device)
        self.report = {
            "weights": "random",
            "shape": self.plan.shape,
            "parameters": tensor_layout(self.config).parameters,
            "versions": versions(),
            "hardware": dataclasses.asdict(self.hardware),
            "dtype": str(weights.dtype_on(self.device)).removeprefix("torch."),
            "kernel": self._kernel(),
            "starts": [],
            "steps": [],
            "skipped": [],
        }
        self._packed()
        self._int4()
        if self.plan.is_thorough:
            self._parametrized()
            self._full()
        return self.report

    @torch.inference_mode()
    def _kernel(self) -> dict[str, Any]:
        """One layer's experts, compared with decoding and multiplying in float32."""
        self.told("the kernel against its reference")
        text = self.config.text_config
        hidden, inner, experts = text.hidden_size, text.moe_intermediate_size, text.num_experts
        gate_up = weights.random_nf4((experts, 2 * inner, hidden), self.device)
        down = weights.random_nf4((experts, hidden, inner), self.device)
        rows = torch.randn(max(self.plan.rows), hidden, device=self.device)
        rows = rows.to(weights.dtype_on(self.device))
        chosen = torch.rand(len(rows), experts, device=self.device).topk(text.top_k_experts)
        routed = chosen.indices, chosen.values

        def gelu(x: Tensor) -> Tensor:
            return torch.nn.functional.gelu(x, approximate="tanh")

        exact = reference.grouped_experts(rows.float(), *routed, gate_up, down, gelu)
        if kernels.available_on(self.device):
            from dg_lsp.models.kernels import products

            path, ours = "triton", products.grouped_experts(rows, *routed, gate_up, down)
        else:
            path = "reference"
            ours = reference.grouped_experts(rows, *routed, gate_up, down, gelu)
        difference = ours.float() - exact
        return {
            "path": path,
            "relative_error": float(difference.norm() / exact.norm()),
            "bits_per_parameter": gate_up.bits_per_value,
            "tilings": (
                self._tilings(gate_up, down)
                if path == "triton" and self.plan.is_thorough
                else []
            ),
        }

    def _tilings(self, gate_up: Nf4, down: Nf4) -> list[dict[str, Any]]:
        """One layer's experts in other tilings than `products.EXPERTS`."""
        from triton.runtime.errors import OutOfResources

        from dg_lsp.models.kernels import products

        text = self.config.text_config
        found = []
        for rows, outputs, stages, warps in itertools.product(
            (min(self.plan.rows), max(self.plan.rows)), (64, 128), (2, 3, 4, 6), (4, 8)
        ):
            tiling = products.Tiling(outputs, stages, warps)
            self.told(f"{tiling}, {rows} rows")
            hidden = torch.randn(rows, text.hidden_size, device=self.device)
            hidden = hidden.to(weights.dtype_on(self.device))
            chosen = torch.rand(rows, text.num_experts, device=self.device)
            values, index = chosen.topk(text.top_k_experts)
            product = functools.partial(
                products.grouped_experts, hidden, index, values, gate_up, down, tiling
            )
            try:
                taken = median_ms(product, self.device, self.plan.rounds)
            except OutOfResources:
                continue
            found.append(dataclasses.asdict(tiling) | {"rows": rows, "ms": taken})
        return sorted(found, key=lambda one: (one["rows"], one["ms"]))

    def _packed(self) -> None:
        self.told("our NF4")
        reset_peak(self.device)
        model = weights.packed_model(self.config, self.device)
        self.report["memory"] = {"weights": peak_bytes(self.device)}
        # Before the engine replaces the model's attention.
        if self.plan.is_thorough:
            self._class_steps(PACKED, model)
        if not (self.plan.is_thorough and self._fits_full()):
            self._generate(model, "nf4")
        reset_peak(self.device)
        denoiser = self._settled(model)
        self.report["prompts"] = []
        for context in self.plan.contexts:
            engine = steps.EngineSteps(denoiser, context)
            self._prompt(engine, context)
            self._engine_steps(ENGINE, engine, context)
        self._parts(model)
        self._canvases(engine)
        self.report["memory"]["peak"] = peak_bytes(self.device)
        del model, denoiser, engine
        self._clear()

    def _int4(self) -> None:
        """The same steps with weights in the other format of 4 bits."""
        self.told("int4")
        reset_peak(self.device)
        model = weights.packed_model(self.config, self.device, weights.random_int4)
        self.report["memory"]["int4"] = peak_bytes(self.device)
        denoiser = self._settled(model)
        for context in self.plan.contexts:
            engine = steps.EngineSteps(denoiser, context)
            self._engine_steps(INT4_ENGINE, engine, context)
        del model, denoiser, engine
        self._clear()

    def _settled(self, model: TextDiffusionGemma) -> GemmaDenoiser:
        """The model as a user runs it: after the self-test, and warm."""
        self.told("the self-test and the warm-up")
        started = time.perf_counter()
        denoiser = settle(model, CacheSettings())
        tested = time.perf_counter()
        # One token more than the longest tail, for the prompts of `EngineSteps`.
        longest = max(self.plan.contexts) + max(self.plan.tails) + 1
        denoiser.warm_up(longest, lambda done, total: None)
        self.report["starts"].append(
            {"self_test_s": tested - started, "warm_up_s": time.perf_counter() - tested,
             "notes": [str(note) for note in denoiser.notes]}
        )  # fmt: skip
        return denoiser

    def _engine_steps(self, name: str, engine: steps.EngineSteps, context: int) -> None:
        for rows in self.plan.rows:
            self.told(f"{name}: {rows} rows, {context} tokens")
            self._add_step(name, rows, context, engine.step_ms(rows, self.plan.rounds))

    def _parametrized(self) -> None:
        if not has_bitsandbytes():
            self.report["skipped"].append(f"{PARAMETRIZED}: bitsandbytes is not installed")
            return
        model = weights.parametrize(weights.packed_model(self.config, self.device))
        self._class_steps(PARAMETRIZED, model)
        del model
        self._clear()

    def _full(self) -> None:
        if not self._fits_full():
            needed = self.report["parameters"] * 2 / 1e9
            self.report["skipped"].append(f"{FULL}: needs {needed:.0f} GB of device memory")
            return
        model = weights.full_model(self.config, self.device)
        self._class_steps(FULL, model)
        self._generate(model, str(model.dtype).removeprefix("torch."))
        self._fidelity(model)
        del model
        self._clear()

    def _fidelity(self, model: TextDiffusionGemma) -> None:
        what = "cosines per layer"
        if not has_bitsandbytes():
            self.report["skipped"].append(f"{what}: bitsandbytes is not installed")
        elif free_bytes(self.device) < self.report["parameters"] * PACKED_SHARE:
            self.report["skipped"].append(f"{what}: both models together do not fit")
        else:
            self.told(what)
            self.report["cosines"] = fidelity.layer_cosines(
                model, fidelity.packed_copy(model), min(self.plan.rows)
            )

    def _class_steps(self, name: str, model: TextDiffusionGemma) -> None:
        for context in self.plan.contexts:
            cache = steps.read_prompt(model, context)
            for rows in self.plan.rows:
                self.told(f"{name}: {rows} rows, {context} tokens")
                taken = steps.class_step_ms(model, cache, rows, self.plan.rounds)
                self._add_step(name, rows, context, taken)

    def _canvases(self, engine: steps.EngineSteps) -> None:
        """Whole canvases after the longest prompt, and one line after a keystroke in it."""
        length = self.config.canvas_length
        self.report["canvases"] = []
        for count in self.plan.steps:
            self.told(f"a canvas of {length} in {count} steps")
            taken = engine.canvas_ms(length, count, 3)
            self.report["canvases"].append(
                {"tokens": length, "steps": count, "ms": taken,
                 "tokens_per_s": length / taken * 1e3}
            )  # fmt: skip
        rows, count = self.plan.line
        taken = engine.tail_ms(1, 5) + engine.canvas_ms(rows, count, 5)
        self.report["line"] = {"rows": rows, "steps": count, "ms": taken}

    def _parts(self, model: TextDiffusionGemma) -> None:
        """The time of a step's two largest parts by themselves, outside any graph."""
        self.report["parts"] = []
        for rows in self.plan.rows:
            self.told(f"the parts of a step of {rows} rows")
            experts = steps.experts_ms(model, rows, self.plan.rounds)
            selection = steps.selection_ms(model, rows, self.plan.rounds)
            self.report["parts"].append(
                {"rows": rows, "experts_ms": experts, "selection_ms": selection}
            )

    def _prompt(self, engine: steps.EngineSteps, context: int) -> None:
        self.told(f"a prompt of {context} tokens")
        taken = engine.prompt_ms(3)
        tails = {str(tail): engine.tail_ms(tail, self.plan.rounds) for tail in self.plan.tails}
        self.report["prompts"].append(
            {"tokens": context, "ms": taken, "tokens_per_s": context / taken * 1e3,
             "tail_ms": tails}
        )  # fmt: skip

    def _generate(self, model: TextDiffusionGemma, precision: str) -> None:
        count = self.plan.steps[len(self.plan.steps) // 2]
        context = self.plan.contexts[0]
        self.told(f"{GENERATE}: {count} steps")
        taken = steps.generate_ms(model, context, count)
        self.report["generate"] = {"precision": precision, "steps": count, "ms": taken}
        self._add_step(GENERATE, self.config.canvas_length, context, taken / count)

    def _add_step(self, name: str, rows: int, context: int, taken: float) -> None:
        sizes = sizes_of(self.config)
        bits = {FULL: BF16_BITS, INT4_ENGINE: INT4_BITS}.get(name, NF4_BITS)
        floor = floor_ms(
            step_bytes(self.config, sizes, rows, context, bits),
            step_flops(sizes, rows),
            self.hardware.bandwidth,
            self.hardware.rate,
        )
        self.report["steps"].append(
            {"what": name, "rows": rows, "context": context, "ms": taken, "floor_ms": floor,
             "times_floor": taken / floor}
        )  # fmt: skip

    def _fits_full(self) -> bool:
        needed = self.report["parameters"] * weights.dtype_on(self.device).itemsize
        return bool(free_bytes(self.device) > ROOM * needed)

    def _clear(self) -> None:
        gc.collect()
        reset_peak(self.device)


def run(plan: Plan, device: torch.device, told: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything; `told` is called with what is being measured."""
    return _Bench(plan, device, told).run()
