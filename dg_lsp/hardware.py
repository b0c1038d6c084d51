"""What GPU is in this machine, and what keeps dg-lsp from using it.

`look` asks NVIDIA's driver and the installed packages and imports none of them; the rest are
pure functions of its answer. `dg-lsp pull`, the engine and `dg-lsp doctor` share these checks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from dg_lsp.reason import Reason, ReasonCode

OLDEST_CAPABILITY = (8, 0)
"""Lowest CUDA compute capability whose tensor cores multiply bfloat16 (Ampere)."""
OLDEST_DRIVERS = {11: (450, 80), 12: (525, 60), 13: (580, 65)}
"""Oldest driver by the major version of CUDA that torch was built for (NVIDIA's table of minor
version compatibility, Linux)."""
DRIVER_S = 10.0
ON_CPU = "use --device cpu"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that NVIDIA's driver or torch reports."""

    name: str
    capability: tuple[int, int]
    total_bytes: int
    free_bytes: int | None = None
    """`None` if it was not asked."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Everything that decides whether a GPU can be used here."""

    system: str
    """As `platform.system()` has it: Linux, Windows or Darwin."""
    gpus: tuple[Gpu, ...] = ()
    """In the order of torch's indices."""
    driver: str = ""
    """Version of NVIDIA's driver; empty if there is none or it was not asked."""
    torch: str = ""
    """Version of torch; empty if it is not installed."""
    cuda_build: str = ""
    """The CUDA version that torch was built for; empty without CUDA."""
    is_rocm: bool = False
    torch_finds_gpu: bool | None = None
    """What torch itself says; `None` if it was not asked."""
    has_mps: bool = False
    """Whether it is a Mac with a GPU that torch can use."""
    has_bitsandbytes: bool = False
    has_triton: bool = False
    has_compiler: bool = False
    """Whether Triton finds a C compiler, which it needs to launch its first kernel."""
    has_headers: bool = False
    """Whether Triton finds Python.h."""


def look() -> Machine:
    """Ask the driver and the files of the installed packages; imports none of them."""
    gpus, driver = ask_driver()
    return dataclasses.replace(installed(), gpus=gpus, driver=driver)


def installed() -> Machine:
    """The machine without its GPUs, which take a moment to ask for."""
    version, cuda_build, is_rocm = torch_files()
    return Machine(
        system=platform.system(),
        torch=version,
        cuda_build=cuda_build,
        is_rocm=is_rocm,
        has_mps=platform.system() == "Darwin" and platform.machine() == "arm64",
        has_bitsandbytes=is_installed("bitsandbytes"),
        has_triton=is_installed("triton"),
        has_compiler=has_compiler(),
        has_headers=has_headers(),
    )


def gpu_obstacle(machine: Machine, index: int = 0) -> Reason | None:
    """Why this GPU cannot be used at all; the first cause, with the way out."""
    gpus = machine.gpus
    if machine.system == "Darwin":
        said = f"a Mac has no NVIDIA GPU; {ON_CPU}, or a masked model with --device mps"
        return Reason(ReasonCode.NO_GPU, said)
    if machine.is_rocm:
        said = f"torch {machine.torch} is built for AMD GPUs (ROCm), which are not supported"
        return Reason(ReasonCode.NO_GPU, f"{said}; {ON_CPU}, or an NVIDIA GPU")
    if not gpus and not machine.torch_finds_gpu:
        return Reason(
            ReasonCode.NO_GPU,
            "NVIDIA's driver reports no GPU; check what nvidia-smi says, if this machine has "
            f"one, or {ON_CPU}",
        )
    if not machine.cuda_build:
        return Reason(
            ReasonCode.NO_CUDA,
            f"torch {machine.torch or '(not installed)'} is built without CUDA and cannot use "
            f"{gpus[0].name}; install a CUDA build of torch (see pytorch.org), or {ON_CPU}",
        )
    if not machine.torch_finds_gpu and (oldest := _newer_driver_needed(machine)):
        return Reason(
            ReasonCode.OLD_DRIVER,
            f"NVIDIA's driver {machine.driver} is too old for torch {machine.torch}, which is "
            f"built for CUDA {machine.cuda_build} and needs driver {oldest} or newer; update "
            f"the driver, or {ON_CPU}",
        )
    if machine.torch_finds_gpu is False:
        return Reason(
            ReasonCode.NO_GPU,
            f"NVIDIA's driver reports {gpus[0].name}, but torch {machine.torch} finds no GPU; "
            f"check CUDA_VISIBLE_DEVICES and restart after a driver update, or {ON_CPU}",
        )
    if index >= len(gpus):
        found = "only cuda:0" if len(gpus) == 1 else f"only cuda:0 to cuda:{len(gpus) - 1}"
        return Reason(ReasonCode.NO_DEVICE, f"cuda:{index} does not exist; there is {found}")
    if gpus[index].capability < OLDEST_CAPABILITY:
        capability, oldest = _dotted(gpus[index].capability), _dotted(OLDEST_CAPABILITY)
        return Reason(
            ReasonCode.OLD_GPU,
            f"{gpus[index].name} has compute capability {capability}; bfloat16 needs "
            f"{oldest} (RTX 30 or newer); {ON_CPU}",
        )
    return None


def kernel_obstacle(machine: Machine) -> Reason | None:
    """Why the kernels cannot be compiled here, so that a GPU would be many times slower."""
    if not machine.has_triton:
        package = "triton-windows" if machine.system == "Windows" else "triton"
        return Reason(
            ReasonCode.MISSING_PACKAGE,
            f"{package} is not installed, which compiles the kernels for 4-bit experts; "
            f"pip install {package}",
        )
    # triton-windows brings a compiler and the headers along.
    if machine.system == "Windows":
        return None
    if not machine.has_compiler:
        return Reason(
            ReasonCode.NO_COMPILER,
            "there is no C compiler (gcc or clang), which Triton needs to start its kernels; "
            "install one, for example with apt install gcc, or name it in CC",
        )
    if not machine.has_headers:
        return Reason(
            ReasonCode.NO_COMPILER,
            f"there is no Python.h in {_include_directory()}, which Triton needs to start its "
            "kernels; install Python's headers, for example with apt install python3-dev",
        )
    return None


def bitsandbytes_obstacle(machine: Machine) -> Reason | None:
    """Why weights cannot be packed here."""
    if machine.has_bitsandbytes:
        return None
    return Reason(
        ReasonCode.MISSING_PACKAGE,
        "packing to 4 bits needs bitsandbytes, which is not installed; "
        "pip install bitsandbytes",
    )


def ask_driver() -> tuple[tuple[Gpu, ...], str]:
    """The GPUs and the driver's version according to `nvidia-smi`; nothing without a driver."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return (), ""
    fields = "driver_version,memory.total,memory.free,compute_cap,name"
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
        return (), ""
    gpus, driver = [], ""
    for line in said.splitlines():
        with contextlib.suppress(ValueError):
            version, total, free, capability, name = (p.strip() for p in line.split(",", 4))
            major, minor = map(int, capability.split("."))
            sizes = int(total) * 2**20, int(free) * 2**20
            gpus.append(Gpu(name, (major, minor), *sizes))
            driver = version
    return tuple(gpus), driver


def torch_files() -> tuple[str, str, bool]:
    """Version of torch, its CUDA build and whether it is for ROCm, according to its files."""
    try:
        spec = importlib.util.find_spec("torch")
        if spec is None or spec.origin is None:
            return "", "", False
        text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except (OSError, ValueError, ImportError):
        return "", "", False
    found = dict(re.findall(r"^(__version__|cuda|hip)\b.*= '([^']*)'", text, re.MULTILINE))
    return found.get("__version__", ""), found.get("cuda", ""), bool(found.get("hip"))


def is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def has_compiler() -> bool:
    """Whether there is the C compiler that Triton would call."""
    named = os.environ.get("CC")
    return any(shutil.which(name) for name in ([named] if named else ["gcc", "clang"]))


def has_headers() -> bool:
    return (Path(_include_directory()) / "Python.h").is_file()


def _include_directory() -> str:
    return sysconfig.get_paths()["include"]


def _newer_driver_needed(machine: Machine) -> str:
    """The oldest driver that torch's CUDA build works with, if the driver here is older."""
    oldest = OLDEST_DRIVERS.get(int(machine.cuda_build.partition(".")[0] or 0))
    found = tuple(int(part) for part in machine.driver.split(".")[:2] if part.isdigit())
    return _dotted(oldest) if oldest and found and found < oldest else ""


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
