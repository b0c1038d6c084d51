"""A dress rehearsal of the real model on a CPU: everything but the right weights.

A packed checkpoint of the real shape is made of random bytes and loaded as any other. Then the
model reads a prompt, denoises a canvas for one step and ranks two texts. All results must be
finite.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from dg_lsp.benchmark.gpu.hardware import device_name, versions
from dg_lsp.benchmark.rehearsal.checkpoint import describe, fill, temporary_directory
from dg_lsp.benchmark.rehearsal.memory_watch import Held, MemoryWatch
from dg_lsp.engine.denoiser import Canvases, CausalDenoiser
from dg_lsp.models.checkpoint import CheckpointError, size_in_words
from dg_lsp.models.gemma.shapes import real_shape
from dg_lsp.models.loading import load
from dg_lsp.models.memory import default_budget, plan_memory
from dg_lsp.models.nf4.planning import packed_bytes
from dg_lsp.reason import CodedError, ReasonCode

CPU = torch.device("cpu")
TEXTS = 16, 8
"""Tokens of the texts that are ranked."""
STEPS = {
    "make": "write {bytes} of random weights",
    "load": "load them",
    "read": "read a prompt of {prompt} tokens",
    "step": "denoise {canvas} tokens for one step",
    "rank": "rank two texts of 16 and 8 tokens",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is rehearsed; by default the real shape."""

    layers: int = 30
    experts: int = 128
    vocabulary: int = 262_144
    prompt_tokens: int = 60
    canvas_tokens: int = 32
    directory: Path | None = None
    """Where the files are made; by default the system's directory for temporary files."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What one part took, and the most memory that the process had in the meantime."""

    name: str
    wall_s: float
    cpu_s: float
    most: Held


@dataclass(slots=True)
class _Stages:
    watch: MemoryWatch
    told: Callable[[str], None]
    done: list[Stage] = field(default_factory=list)

    @contextlib.contextmanager
    def stage(self, name: str, said: str) -> Iterator[None]:
        self.told(said)
        self.watch.restart()
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        took = time.perf_counter() - wall, time.process_time() - cpu
        self.done.append(Stage(name, *took, self.watch.restart()))


def rehearse(plan: Plan, told: Callable[[str], None]) -> dict[str, Any]:
    """Run everything and return plain values; raises if it does not fit or is not finite."""
    config = real_shape(layers=plan.layers, experts=plan.experts, vocabulary=plan.vocabulary)
    load_before = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with temporary_directory(plan.directory) as directory, MemoryWatch() as watch:
        checkpoint = describe(directory, config)
        needed = packed_bytes(checkpoint.tensors)
        # The smallest prompt that the loader accepts: it makes its own plan below.
        plan_memory("the rehearsal", checkpoint, needed, default_budget(CPU), 0, on_gpu=False)
        _check_disk(directory, needed)
        stages = _Stages(watch, told)
        said = _said(plan, needed)
        with stages.stage("make", said["make"]):
            stored = fill(checkpoint, lambda share: told(f"{said['make']}: {share:.0%}"))
        with stages.stage("load", said["load"]):
            loaded = load(str(directory), "cpu")
        values = _run(cast("CausalDenoiser", loaded.denoiser), plan, stages, said)
        memory = loaded.memory
        del loaded
    odd = [name for name, tensor in values.items() if not torch.isfinite(tensor).all()]
    if odd:
        raise CodedError(f"not all values are finite: {', '.join(odd)}")
    most = Held()
    for stage in stages.done:
        most = most.most(stage.most)
    return {
        "parameters": checkpoint.tensors.parameters,
        "layers": plan.layers,
        "experts": plan.experts,
        "prompt_tokens": plan.prompt_tokens,
        "canvas_tokens": plan.canvas_tokens,
        "machine": device_name(CPU),
        "load_average": load_before,
        "versions": versions(),
        "plan": dataclasses.asdict(memory),
        "file_bytes": stored,
        "most": dataclasses.asdict(most),
        "stages": [dataclasses.asdict(stage) for stage in stages.done],
        "wall_s": sum(stage.wall_s for stage in stages.done),
        "cpu_s": sum(stage.cpu_s for stage in stages.done),
        "finite": sorted(values),
    }


def as_text(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    plan, most = report["plan"], report["most"]
    said = _said(
        Plan(prompt_tokens=report["prompt_tokens"], canvas_tokens=report["canvas_tokens"]),
        report["file_bytes"],
    )
    load_average = report["load_average"]
    lines = [
        f"{report['parameters'] / 1e9:.2f} billion random parameters in {report['layers']} "
        f"layers of {report['experts']} experts",
        report["machine"]
        + ("" if load_average is None else f", load {load_average:.1f} at the start"),
        ", ".join(f"{name} {version}" for name, version in report["versions"].items()),
        "",
        "| stage | seconds | of CPU time | private memory | mapped files |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {said[stage['name']]} | {stage['wall_s']:.1f} | {stage['cpu_s']:.1f} | "
            f"{size_in_words(stage['most']['private'])} | "
            f"{size_in_words(stage['most']['mapped'])} |"
            for stage in report["stages"]
        ),
        f"| together | {report['wall_s']:.1f} | {report['cpu_s']:.1f} | "
        f"{size_in_words(most['private'])} | {size_in_words(most['mapped'])} |",
        "",
        f"planned: {size_in_words(plan['weights'])} weights, "
        f"{size_in_words(plan['workspace'])} workspace, at most "
        f"{size_in_words(plan['cache'])} cache, of {size_in_words(plan['budget'])} free",
        f"used at most: {size_in_words(most['private'])} private, and "
        f"{size_in_words(most['mapped'])} of files that the system may drop from memory",
        f"finite: {', '.join(report['finite'])}",
    ]
    return "\n".join(lines)


def _said(plan: Plan, count: int) -> dict[str, str]:
    values = {
        "bytes": size_in_words(count),
        "prompt": plan.prompt_tokens,
        "canvas": plan.canvas_tokens,
    }
    return {name: text.format_map(values) for name, text in STEPS.items()}


def _check_disk(directory: Path, needed: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise CheckpointError(
            f"{directory.parent} has {size_in_words(free)} free, but {size_in_words(needed)} "
            "are needed; free some, or give a --directory on another disk",
            ReasonCode.DISK_FULL,
        )


@torch.inference_mode()
def _run(
    denoiser: CausalDenoiser, plan: Plan, stages: _Stages, said: dict[str, str]
) -> dict[str, Tensor]:
    """Read, denoise and rank; returns the tensors that must be finite."""
    generator = torch.Generator().manual_seed(0)

    def random_ids(count: int) -> Tensor:
        return torch.randint(4, denoiser.vocab_size, (count,), generator=generator)

    rows = plan.canvas_tokens
    none = torch.zeros(0, dtype=torch.long)
    canvases = Canvases(
        (rows,),
        torch.arange(rows),
        none,
        torch.zeros(1, denoiser.vocab_size, dtype=torch.bool),
        torch.zeros(rows, dtype=torch.long),
    )
    with stages.stage("read", said["read"]):
        encoded = denoiser.encode(random_ids(plan.prompt_tokens).tolist(), "rehearsal")
    with stages.stage("step", said["step"]):
        share = torch.rand(rows, generator=generator)
        predicted = denoiser.denoise(encoded, canvases, random_ids(rows), None, 0.8, share)
    with stages.stage("rank", said["rank"]):
        scores = denoiser.score(encoded, [random_ids(count).tolist() for count in TEXTS])
    assert predicted.conditioning is not None
    return {
        "the prompt's last state": encoded.last_hidden,
        "log-probabilities": predicted.log_probability,
        "entropies": predicted.entropy,
        "soft embeddings": predicted.conditioning,
        "likelihoods": torch.cat(scores),
    }
