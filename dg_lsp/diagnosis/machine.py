"""Checks Python, the packages, torch and its devices, and memory.

torch is imported in a separate process, because a broken torch can crash or hang the process
that imports it, and the examination must survive that.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dg_lsp.diagnosis.findings import Finding, count_of, ok, one_line, problem, size_of, warning

LEAST_PYTHON = (3, 11)
DRIVER_S = 10.0
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
found = {"version": torch.__version__, "cuda_build": torch.version.cuda,
         "threads": torch.get_num_threads(), "devices": []}
if torch.cuda.is_available():
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        found["devices"].append({
            "name": torch.cuda.get_device_name(index), "free_bytes": free, "total_bytes": total,
            "capability": ".".join(map(str, torch.cuda.get_device_capability(index)))})
import transformers
from transformers import DiffusionGemmaForBlockDiffusion
print(json.dumps(found))
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


def visible_gpus() -> list[dict[str, Any]]:
    """The GPUs that torch would find, according to NVIDIA's driver and torch's files."""
    if not torch_facts().get("cuda_build") or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return []
    gpus = []
    for line in ask_driver("memory.total,memory.free,compute_cap,name"):
        with contextlib.suppress(ValueError):
            total, free, capability, name = (part.strip() for part in line.split(",", 3))
            sizes = {"total_bytes": int(total) * 2**20, "free_bytes": int(free) * 2**20}
            gpus.append({"name": name, "capability": capability, **sizes})
    return gpus


def ask_driver(fields: str) -> list[str]:
    """A line of `nvidia-smi` for each GPU; empty without a driver."""
    try:
        said = subprocess.run(
            ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DRIVER_S,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return said.splitlines()


def torch_facts() -> dict[str, Any]:
    """Version and CUDA build of torch according to its files; empty if it is not installed."""
    try:
        spec = importlib.util.find_spec("torch")
        if spec is None or spec.origin is None:
            return {}
        text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except (OSError, ValueError, ImportError):
        return {}
    found = dict(re.findall(r"^(__version__|cuda)\b.*= '([^']*)'", text, re.MULTILINE))
    return {"version": found.get("__version__", ""), "cuda_build": found.get("cuda")}


def look_at_torch() -> Finding:
    """What torch's files and the driver say; fast, but does not show whether torch works."""
    facts = torch_facts()
    if not facts:
        return problem("torch", "torch cannot be found", INSTALL_AGAIN)
    return ok("torch", f"{_told(facts)}; not imported", **facts, devices=visible_gpus())


def free_memory_bytes() -> int:
    """Bytes of main memory; 0 if unknown."""
    return _memory_bytes()[0]


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
    """The device on which the model would run, and whether it fits."""
    devices: list[dict[str, Any]] = torch.facts.get("devices", [])
    wants_gpu = asked is not None and asked.startswith("cuda")
    if "version" not in torch.facts:
        yield warning(
            "device", "not checked, because torch cannot be used", "repair torch first"
        )
    elif wants_gpu and not devices:
        yield problem(
            "device",
            f"device {asked} was requested, but torch finds no GPU",
            _no_gpu_advice(torch.facts.get("cuda_build")),
        )
    elif devices and (asked is None or wants_gpu):
        _, _, index = (asked or "").partition(":")
        device = devices[int(index) if index.isdigit() and int(index) < len(devices) else 0]
        total = size_of(device["total_bytes"])
        said = f"{device['name']}, {size_of(device['free_bytes'])} of {total} free"
        if device["free_bytes"] < model_bytes:
            advice = "close other programs that use the GPU, or choose a smaller checkpoint"
            needed = f"{said}; the checkpoint has {size_of(model_bytes)}"
            yield warning("device", needed, advice, devices=devices)
        else:
            yield ok("device", said, devices=devices)
    elif model_bytes > 4e9 and asked is None:
        advice = _no_gpu_advice(torch.facts.get("cuda_build"))
        yield warning("device", "no GPU: a model of this size is slow on a CPU", advice)
    else:
        yield ok(
            "device", "the CPU" if asked else "the CPU, because there is no GPU", devices=[]
        )


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


def _no_gpu_advice(cuda_build: str | None) -> str:
    if cuda_build is None:
        return "install a CUDA build of torch, if this machine has a GPU; see pytorch.org"
    return "check whether nvidia-smi finds the GPU, and whether its driver is new enough"


def _memory_bytes() -> tuple[int, int]:
    """Free and total memory; zeros if unknown."""
    try:
        import psutil

        memory = psutil.virtual_memory()
    # A broken package or a system without /proc must not end the examination.
    except (ImportError, OSError, RuntimeError):
        return 0, 0
    return memory.available, memory.total
