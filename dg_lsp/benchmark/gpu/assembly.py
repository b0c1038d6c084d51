"""`python -m dg_lsp.benchmark.gpu.assembly`: examines the kernels' machine code without a GPU.

Compiles the kernels for the real shape and counts registers, spilled bytes and the inner
loop's instructions per weight, which decide the speed on a GPU with high bandwidth.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from dg_lsp.models.nf4.kernels import tiles
from dg_lsp.models.nf4.kernels.nf4 import EXPERTS, MATRIX, PAIRS_PER_LOOK, Tiling

TYPES = {
    "x": "*bf16",
    "out": "*bf16",
    "code": "*bf16",
    "packed": "*u8",
    "absmax": "*u8",
    "nested_absmax": "*fp32",
    "table": "*fp32",
    "offset": "*fp32",
    "order": "*i32",
    "starts": "*i32",
    "weights": "*fp32",
    "index": "*i64",
    "rows_of_x": "i32",
    "pairs": "i32",
}
REAL = {"HIDDEN": 2816, "INNER": 704}
DECODE = {"IN_REGISTERS": True, "WIDEN": False}
KERNELS: dict[str, dict[str, Any]] = {
    "gate_up": REAL | DECODE | {"TOP_K": 8},
    "down": REAL | DECODE,
    "linear": DECODE | {"OUTPUTS": 4096, "INPUTS": 2816},
    "sort_by_expert": {"experts": 128, "PER_LOOK": PAIRS_PER_LOOK},
}
CAPABILITIES = {80: "A100", 89: "RTX 40, L40", 90: "H100, H200", 120: "RTX 50"}
TILINGS = {"gate_up": EXPERTS, "down": EXPERTS, "linear": MATRIX, "sort_by_expert": MATRIX}


@dataclass(frozen=True, slots=True)
class Compiled:
    """What is known about a kernel before it has ever run."""

    cubin: bytes
    ptx: str
    shared: int
    """Bytes of shared memory that one program uses."""


def compile_for(name: str, capability: int, tokens: int) -> Compiled:
    """Compile one kernel for one GPU generation, with the given tokens per tile."""
    kernel = getattr(tiles, name)
    constants = dict(KERNELS[name])
    if name != "sort_by_expert":
        constants |= {"TILE_N": TILINGS[name].outputs, "TILE_M": tokens}
    signature = {a: "constexpr" if a in constants else TYPES[a] for a in kernel.arg_names}
    aligned = {
        (n,): [["tt.divisibility", 16]]
        for n, a in enumerate(kernel.arg_names)
        if signature[a].startswith("*")
    }
    compiled = triton.compile(
        ASTSource(kernel, signature, constants, aligned),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": TILINGS[name].warps, "num_stages": TILINGS[name].stages},
    )
    return Compiled(compiled.asm["cubin"], compiled.asm["ptx"], compiled.metadata.shared)


def disassemble(compiled: Compiled) -> tuple[int, int, int]:
    """Registers and spilled bytes of a thread, and the instructions of the innermost long
    loop; 0 if there is no such loop."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "kernel.cubin"
        file.write_bytes(compiled.cubin)
        usage = _tool("cuobjdump", "-res-usage", str(file))
        lines = _tool("nvdisasm", "-c", str(file)).splitlines()
    found = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    registers, spilled = map(int, found.groups()) if found else (0, 0)
    labels = {line[:-1]: at for at, line in enumerate(lines) if re.match(r"\.L_x_\d+:$", line)}
    loops = []
    for at, line in enumerate(lines):
        target = re.search(r"BRA.*`\((\.L_x_\d+)\)", line)
        start = labels.get(target[1], at) if target else at
        body = [each for each in lines[start:at] if "/*" in each]
        if any("MMA" in each for each in body):
            loops.append(len(body))
    return registers, spilled, min(loops, default=0)


def weights_per_thread(tiling: Tiling) -> int:
    """Weights per thread in one round of the inner loop."""
    return tiling.outputs * 64 // (32 * tiling.warps)


def _tool(name: str, *arguments: str) -> str:
    """A program of the CUDA toolkit, which comes with Triton's package."""
    path = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
    ended = subprocess.run([str(path), *arguments], capture_output=True, text=True, check=True)
    return ended.stdout


def main() -> None:
    print("| kernel | GPU | tokens | registers | spilled | shared | loop | per weight |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    capabilities = [int(each) for each in sys.argv[1:]] or list(CAPABILITIES)
    for name in ("gate_up", "down", "linear"):
        for capability in capabilities:
            for tokens in (16, 32, 64):
                compiled = compile_for(name, capability, tokens)
                registers, spilled, loop = disassemble(compiled)
                cells = (
                    name, CAPABILITIES.get(capability, capability), tokens, registers, spilled,
                    compiled.shared, loop, f"{loop / weights_per_thread(TILINGS[name]):.1f}",
                )  # fmt: skip
                print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
