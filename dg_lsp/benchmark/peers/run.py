"""Makes the models, measures all of them in one run, and says where that was.

docs/benchmarks.md has the results.
"""

from __future__ import annotations

import gc
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import Qwen2Config

from dg_lsp.benchmark.peers.diffusion import CachedContext, FullForward, Network
from dg_lsp.benchmark.peers.gguf_file import write_gguf
from dg_lsp.benchmark.peers.llama import LlamaPeer, import_peer
from dg_lsp.benchmark.peers.measuring import Method, Row, Scenario, measure
from dg_lsp.benchmark.peers.weights import write_checkpoint
from dg_lsp.models.cpu_linear import CpuWeights, can_pack

OFFICIAL, EXACT, CACHED = "official way", "exact loop", "cached loop"
LLAMA_KINDS = ("F16", "Q8_0")


@dataclass(frozen=True, slots=True)
class Outcome:
    rows: list[Row]
    parameters: int
    machine: dict[str, Any]


def run_peers(
    config: Qwen2Config,
    scenarios: Sequence[Scenario],
    *,
    rounds: int,
    threads: int,
    with_llama: bool,
    told: Callable[[str], None],
) -> Outcome:
    """Everything in one process; models and files are temporary."""
    peers = {name: import_peer(name) for name in ("gguf", "llama_cpp")} if with_llama else {}
    load_before = os.getloadavg()
    threads_before = torch.get_num_threads()
    with ExitStack() as stack:
        directory = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="dg-lsp-peers-"))
        )
        torch.set_num_threads(threads)
        stack.callback(torch.set_num_threads, threads_before)
        told("writing random weights")
        parameters = write_checkpoint(directory, config)
        methods = diffusion_methods(directory, told)
        if peers:
            context = max(one.context + one.span for one in scenarios) + 64
            for kind in LLAMA_KINDS:
                told(f"writing {kind}.gguf")
                path = directory / f"{kind}.gguf"
                write_gguf(peers["gguf"], directory, config, kind, path)
                gc.collect()
                methods.append(LlamaPeer(peers["llama_cpp"], path, kind, threads, context))
        rows = measure(methods, scenarios, rounds, told)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    if peers:
        versions["llama-cpp-python"] = peers["llama_cpp"].__version__
    machine = {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load_before": [round(one, 2) for one in load_before],
        "load_after": [round(one, 2) for one in os.getloadavg()],
        "rounds": rounds,
        "versions": versions,
    }
    return Outcome(rows, parameters, machine)


def diffusion_methods(checkpoint: Path, told: Callable[[str], None]) -> list[Method]:
    """The official way, our exact loop, and our cached loop, in each format of the weights."""
    told("loading float32")
    plain = Network(checkpoint, CpuWeights.FLOAT32)
    methods: list[Method] = [
        FullForward(OFFICIAL, plain, all_logits=True),
        CachedContext(CACHED, plain),
    ]
    for weights in (CpuWeights.HALF, CpuWeights.INT8) if can_pack() else ():
        told(f"loading {weights.value}")
        network = Network(checkpoint, weights)
        methods += [
            FullForward(EXACT, network, all_logits=False),
            CachedContext(CACHED, network),
        ]
    if not can_pack():
        methods.insert(1, FullForward(EXACT, plain, all_logits=False))
    return methods


def _cpu_name() -> str:
    """With its instructions, which decide what is fast."""
    names = {"avx512_bf16": "AVX512-BF16", "avx512f": "AVX-512", "avx2": "AVX2"}
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    model = next((line for line in text.splitlines() if line.startswith("model name")), "")
    flags = text.split()
    found = [name for flag, name in names.items() if flag in flags]
    return ", ".join([model.partition(":")[2].strip() or platform.machine(), *found])
