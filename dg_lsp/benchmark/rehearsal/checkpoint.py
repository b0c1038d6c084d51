"""Makes a packed checkpoint with random weights, as `dg-lsp pull` would leave it.

Nothing is quantized: codes and scales are random bytes. A few files are made at a time, so that
little of the model is in memory.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import DiffusionGemmaConfig

from dg_lsp.benchmark.gpu.weights import SPREAD, random_nf4
from dg_lsp.models.family import TensorLayout
from dg_lsp.models.nf4.format import to_tensors
from dg_lsp.models.nf4.manifest import Manifest, hash_file, remember_checked
from dg_lsp.models.nf4.planning import Plan
from dg_lsp.models.registry import Checkpoint, open_checkpoint
from dg_lsp.models.store import BUNDLED_DIRECTORY

MAKERS = 2
"""Files made at a time."""
PREFIX = "dg-lsp-rehearsal-"
CPU = torch.device("cpu")


@contextmanager
def temporary_directory(parent: Path | None) -> Iterator[Path]:
    """A directory that is deleted at the end; those of killed processes are deleted first."""
    root = parent or Path(tempfile.gettempdir())
    for left in root.glob(f"{PREFIX}*-*"):
        owner = left.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    prefix = f"{PREFIX}{psutil.Process().pid}-"
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=root, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


def describe(directory: Path, config: DiffusionGemmaConfig) -> Checkpoint:
    """Write everything but the weights."""
    config.save_pretrained(directory)
    shutil.copyfile(BUNDLED_DIRECTORY / "tokenizer.json", directory / "tokenizer.json")
    checkpoint = open_checkpoint(directory)
    checkpoint.read_codec()
    return checkpoint


def fill(checkpoint: Checkpoint, told: Callable[[float], None]) -> int:
    """Write the weights; returns their bytes. `told` gets the share of the files that are
    done."""
    plan, layout = Plan(checkpoint), checkpoint.tensors
    files: dict[str, tuple[int, str]] = {}

    def make(file: str) -> None:
        path = checkpoint.directory / file
        save_file(_tensors(file, plan.files()[file], layout), path)
        files[file] = path.stat().st_size, hash_file(path)

    with ThreadPoolExecutor(MAKERS) as pool:
        for done, _ in enumerate(pool.map(make, plan.files()), 1):
            told(done / len(plan.files()))
    manifest = Manifest(layout.parameters, "random", "random", dict(sorted(files.items())))
    manifest.write(checkpoint.directory)
    remember_checked(checkpoint.directory, manifest)
    return manifest.weight_bytes


def _tensors(file: str, names: list[str], layout: TensorLayout) -> dict[str, Tensor]:
    """The same values in every run."""
    seed = int.from_bytes(hashlib.sha256(file.encode()).digest()[:4])
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for name in names:
        shape = layout.shapes[name]
        if layout.is_packed(name, shape):
            weight = random_nf4(shape, CPU, generator)
            tensors |= to_tensors(name, weight, torch.bfloat16)
        elif "norm" in name or "scal" in name:
            tensors[name] = torch.ones(shape, dtype=torch.bfloat16)
        else:
            values = torch.empty(shape, dtype=torch.bfloat16)
            tensors[name] = values.normal_(0, SPREAD, generator=generator)
    return {name: tensor.contiguous() for name, tensor in tensors.items()}
