"""Checks Python, the packages, torch and its devices, and memory.

torch is imported in a separate process, because a broken torch can crash or hang the process
that imports it, and the examination must survive that.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from dg_lsp.diagnosis.findings import Finding, count_of, ok, one_line, problem, size_of, warning
from dg_lsp.hardware import Machine, gpu_obstacle, kernel_obstacle, look
from dg_lsp.reason import Reason, ReasonCode, reason_json

LEAST_PYTHON = (3, 11)
IMPORT_S = 120.0
"""The first import of torch can take long if the disk is slow."""
PACKAGES = (
    "transformers",
    "tokenizers",
    "safetensors",
    "pygls",
    "h11",
    "starlette",
    "uvicorn",
)

INSTALL_AGAIN = f"install dg-lsp again with {sys.executable} -m pip"

_PROBE = """
import json, torch
from dg_lsp.diagnosis.machine import torch_facts
from dg_lsp.models.device import look
facts = torch_facts(look(asks_for_memory=True), torch.get_num_threads())
from transformers import DiffusionGemmaForBlockDiffusion
print(json.dumps(facts))
"""


class TorchProbe:
    """An import of torch that is running in another process."""

    def __init__(self, command: tuple[str, ...] = (sys.executable, "-P", "-c", _PROBE)) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def finding(self, patience_s: float = IMPORT_S) -> Finding:
        """Wait for its end."""
        try:
            said, complaint = self._process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            return problem(
                "torch",
                f"importing torch takes longer than {patience_s:.0f} s",
                "the disk may be very slow, or torch's installation broken; try "
                f"{sys.executable} -c 'import torch'",
            )
        finally:
            self.end()
        if self._process.returncode:
            return _broken(self._process.returncode, complaint)
        try:
            # Libraries may print as well.
            facts = json.loads(said.strip().splitlines()[-1])
        except (ValueError, IndexError):
            return problem("torch", "torch did not answer", INSTALL_AGAIN)
        return ok("torch", f"{_told(facts)}, {count_of(facts['threads'], 'thread')}", **facts)

    def end(self) -> None:
        """Stop the import if it is still running."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def look_at_torch() -> Finding:
    """What torch's files and the driver say; fast, but does not show whether torch works."""
    facts = torch_facts(look())
    if not facts["version"]:
        return problem("torch", "torch cannot be found", INSTALL_AGAIN)
    return ok("torch", f"{_told(facts)}; not imported", **facts)


def torch_facts(machine: Machine, threads: int | None = None) -> dict[str, Any]:
    """The facts of the finding, with all that `check_device` needs."""
    return {
        "version": machine.torch,
        "cuda_build": machine.cuda_build or None,
        "threads": threads,
        "devices": [
            {
                "name": gpu.name,
                "free_bytes": gpu.free_bytes,
                "total_bytes": gpu.total_bytes,
                "capability": ".".join(map(str, gpu.capability)),
                "obstacle": _as_json(gpu_obstacle(machine, index)),
            }
            for index, gpu in enumerate(machine.gpus)
        ],
        "driver": machine.driver,
        "mps": machine.has_mps,
        # Of the first GPU, or why there is none.
        "gpu_obstacle": _as_json(gpu_obstacle(machine)),
        "kernel_obstacle": _as_json(kernel_obstacle(machine)),
    }


def _as_json(reason: Reason | None) -> dict[str, str] | None:
    return None if reason is None else reason_json(reason)


def check_python() -> Iterator[Finding]:
    found = platform.python_version()
    system = f"{platform.system()} {platform.machine()}"
    facts = {"version": found, "executable": sys.executable, "system": platform.platform()}
    if sys.version_info < LEAST_PYTHON:
        least = ".".join(map(str, LEAST_PYTHON))
        advice = f"install dg-lsp into a Python {least} or newer"
        yield problem("python", f"Python {found} is too old", advice, **facts)
    else:
        yield ok("python", f"Python {found} on {system}, {sys.executable}", **facts)


def check_packages() -> Iterator[Finding]:
    versions: dict[str, str] = {}
    missing = []
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        said = f"{', '.join(missing)} cannot be found"
        yield problem("packages", said, INSTALL_AGAIN, **versions)
    else:
        shown = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield ok("packages", shown, **versions)


def check_device(torch: Finding, asked: str | None, model_bytes: int) -> Iterator[Finding]:
    """The device on which the model would run, whether it fits, and what it lacks."""
    if "version" not in torch.facts:
        yield warning(
            "device", "not checked, because torch cannot be used", "repair torch first"
        )
        return
    devices: list[dict[str, Any]] = torch.facts["devices"]
    has_mps = torch.facts["mps"]
    if asked == "mps" and not has_mps:
        said = "device mps cannot be used: torch finds no GPU of Apple's here"
        yield problem("device", said, "use --device cpu", code=ReasonCode.NO_DEVICE.value)
        return
    if has_mps and asked in (None, "mps"):
        said = "the Mac's GPU (mps) for masked models, the CPU for others"
        yield ok("device", said, devices=[])
        return
    obstacle = torch.facts["gpu_obstacle"]
    wants_gpu = asked is not None and asked.startswith("cuda")
    index = int((asked or "").partition(":")[2] or 0)
    if wants_gpu and index < len(devices):
        obstacle = devices[index]["obstacle"]
    if wants_gpu and (obstacle or index >= len(devices)):
        said = obstacle["message"] if obstacle else f"there are {len(devices)} GPUs"
        code = obstacle["code"] if obstacle else ReasonCode.NO_DEVICE.value
        advice = "choose another device, or remove the cause"
        yield problem("device", f"device {asked} cannot be used: {said}", advice, code=code)
    elif asked is None and devices and obstacle:
        said, advice = f"the CPU: {obstacle['message']}", "remove the cause to use the GPU"
        yield warning("device", said, advice, devices=devices, code=obstacle["code"])
    elif devices and (asked is None or wants_gpu):
        yield from _check_gpu(torch.facts, index, model_bytes)
    elif model_bytes > 4e9 and asked is None:
        said = "no GPU: a model of this size is slow on a CPU"
        yield warning("device", said, obstacle["message"], code=obstacle["code"])
    else:
        yield ok(
            "device", "the CPU" if asked else "the CPU, because there is no GPU", devices=[]
        )


def _check_gpu(facts: Mapping[str, Any], index: int, model_bytes: int) -> Iterator[Finding]:
    devices = facts["devices"]
    device, kernels = devices[index], facts["kernel_obstacle"]
    said = f"{device['name']}, {size_of(device['total_bytes'])}"
    free = device["free_bytes"]
    if free is not None:
        said = f"{device['name']}, {size_of(free)} of {size_of(device['total_bytes'])} free"
    if free is not None and free < model_bytes:
        advice = "close other programs that use the GPU, or choose a smaller checkpoint"
        needed = f"{said}; the checkpoint has {size_of(model_bytes)}"
        yield warning("device", needed, advice, devices=devices)
    else:
        yield ok("device", said, devices=devices)
    if kernels is not None:
        said = f"the kernels for 4-bit models cannot run: {kernels['message']}"
        yield warning("kernels", said, "without them a step is many times slower", **kernels)


def check_memory(model_bytes: int) -> Iterator[Finding]:
    """Whether the machine has room to load the model."""
    free, total = _memory_bytes()
    if not total:
        yield ok("memory", "the system does not say how much memory is free")
        return
    facts = {"free_bytes": free, "total_bytes": total}
    said = f"{size_of(free)} of {size_of(total)} free"
    # The bundled model has half precision on disk and single precision in memory; the rest is
    # torch itself. A GPU loads larger models from disk piece by piece.
    needed = min(2 * model_bytes, 4e9) + 6e8
    if free < needed:
        said += f"; loading the model takes about {size_of(needed)}"
        advice = "close other programs, or choose a smaller checkpoint"
        yield warning("memory", said, advice, **facts)
    else:
        yield ok("memory", said, **facts)


def _told(facts: dict[str, Any]) -> str:
    build = f"CUDA {facts['cuda_build']}" if facts["cuda_build"] else "no CUDA"
    return f"torch {facts['version']}, {build}"


def _broken(status: int, complaint: str) -> Finding:
    last = one_line(complaint.strip().splitlines()[-1]) if complaint.strip() else "no message"
    if status < 0:
        names = {one.value: one.name for one in signal.Signals}
        last = f"importing it ended the process with {names.get(-status, f'signal {-status}')}"
    advice = INSTALL_AGAIN
    if "No module named" not in last:
        advice = f"see {sys.executable} -c 'import torch, transformers'; {INSTALL_AGAIN}"
    return problem("torch", f"torch cannot be used: {last}", advice, status=status)


def _memory_bytes() -> tuple[int, int]:
    """Free and total memory; zeros if unknown."""
    try:
        import psutil

        memory = psutil.virtual_memory()
    # A broken package or a system without /proc must not end the examination.
    except (ImportError, OSError, RuntimeError):
        return 0, 0
    return memory.available, memory.total
