"""Times the packing of a few layers of the real shape, and says what all of it would take.

The weights are random, the layers have fewer experts, and everything else is as `dg-lsp pull`
does it: reading, quantizing, writing, flushing and hashing. The source is read from the page
cache, so that the disk's time to read the source comes on top.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from dg_lsp.models.gemma.family import FAMILY
from dg_lsp.models.gemma.shapes import real_shape
from dg_lsp.models.nf4.packing import pack
from dg_lsp.models.nf4.planning import plan_packing
from dg_lsp.models.store import BUNDLED_DIRECTORY

LAYERS = 2
VOCABULARY = 4096
"""At least that of the bundled tokenizer, whose copy the checkpoint has."""


@dataclass(frozen=True, slots=True)
class PackingTime:
    """What was measured, and what the real shape would take at this rate."""

    parameters: int
    wall_s: float
    cpu_s: float
    threads: int
    real_parameters: int

    @property
    def real_wall_minutes(self) -> float:
        return self.wall_s / self.parameters * self.real_parameters / 60

    @property
    def real_cpu_minutes(self) -> float:
        return self.cpu_s / self.parameters * self.real_parameters / 60

    def to_json(self) -> dict[str, float]:
        rates = {
            "real_wall_minutes": self.real_wall_minutes,
            "real_cpu_minutes": self.real_cpu_minutes,
        }
        return {**dataclasses.asdict(self), **rates}


def time_packing(experts: int, rounds: int) -> PackingTime:
    """Pack the layers `rounds` times on the CPU; the fastest counts."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        parameters = _make_source(source, experts)
        times = []
        for number in range(rounds):
            target = Path(folder) / f"packed-{number}"
            wall, cpu = time.perf_counter(), time.process_time()
            pack(
                source,
                target,
                plan_packing(source),
                device=torch.device("cpu"),
                source_name="random",
            )
            times.append((time.perf_counter() - wall, time.process_time() - cpu))
            shutil.rmtree(target)
    wall_s, cpu_s = min(times)
    real = FAMILY.tensors(real_shape()).parameters
    return PackingTime(parameters, wall_s, cpu_s, torch.get_num_threads(), real)


def _make_source(directory: Path, experts: int) -> int:
    """A checkpoint of random weights; returns the number of its parameters."""
    config = real_shape(layers=LAYERS, experts=experts, vocabulary=VOCABULARY)
    config.save_pretrained(directory)
    shutil.copyfile(BUNDLED_DIRECTORY / "tokenizer.json", directory / "tokenizer.json")
    layout = FAMILY.tensors(FAMILY.parse_config(directory))
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: torch.empty(shape, dtype=torch.bfloat16).normal_(0, 0.02, generator=generator)
        for name, shape in layout.shapes.items()
    }
    save_file(tensors, directory / "model.safetensors")
    with (directory / "model.safetensors").open("rb+") as file:
        os.fsync(file.fileno())
    return layout.parameters
