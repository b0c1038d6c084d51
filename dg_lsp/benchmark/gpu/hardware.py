"""The measured device: its name, copy bandwidth, matrix rate and clock."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

COPIED_BYTES = {"cuda": 1 << 30, "cpu": 1 << 26}
MATRIX = {"cuda": 8192, "cpu": 768}
WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Hardware:
    """Measured properties of a device, not those of its data sheet."""

    name: str
    bandwidth: float
    """Bytes per second of a copy, read and written."""
    rate: float
    """Floating-point operations per second of a large matrix product."""


def measure_hardware(device: torch.device) -> Hardware:
    half = COPIED_BYTES[device.type] // 2
    source = torch.zeros(half, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy_ms = median_ms(lambda: target.copy_(source), device, 10)
    side = MATRIX[device.type]
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    left = torch.randn(side, side, device=device).to(dtype)
    product_ms = median_ms(lambda: left @ left, device, 10)
    return Hardware(
        device_name(device), 2 * half / copy_ms * 1e3, 2 * side**3 / product_ms * 1e3
    )


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return (
        f"CPU ({platform.processor() or platform.machine()}, {torch.get_num_threads()} threads)"
    )


def versions() -> dict[str, str]:
    """The versions in use, for the record."""
    from importlib.metadata import PackageNotFoundError, version

    import dg_lsp

    found = {"dg-lsp": dg_lsp.__version__, "python": platform.python_version()}
    for name in ("torch", "transformers", "triton", "bitsandbytes"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    found["cuda"] = str(torch.version.cuda)
    return found


def median_ms(work: Callable[[], Any], device: torch.device, rounds: int) -> float:
    """Milliseconds of each call, timed separately after a warm-up."""
    for _ in range(min(WARM_UP, rounds)):
        work()
    taken = []
    for _ in range(rounds):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        taken.append((time.perf_counter() - start) * 1e3)
    return statistics.median(taken)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_bytes(device: torch.device) -> int:
    """The most memory that torch has used on the device since `reset_peak`; 0 on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def free_bytes(device: torch.device) -> float:
    """Free memory of a GPU; a CPU only gets small shapes."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else float("inf")
