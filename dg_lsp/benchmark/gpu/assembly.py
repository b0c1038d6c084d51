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

from dg_lsp.models.gemma.fused import kernels as fused
from dg_lsp.models.gemma.fused.launch import TILE_KEYS, TILE_ROWS, attention_options
from dg_lsp.models.kernels import decoders, tiles
from dg_lsp.models.kernels.products import EXPERTS, MATRIX, PAIRS_PER_LOOK, Tiling

TYPES = {
    "x": "*bf16",
    "out": "*bf16",
    "order": "*i32",
    "starts": "*i32",
    "weights": "*fp32",
    "index": "*i64",
    "rows_of_x": "i32",
    "pairs": "i32",
}
REAL = {"HIDDEN": 2816, "INNER": 704}
KERNELS: dict[str, dict[str, Any]] = {
    "gate_up": REAL | {"TOP_K": 8},
    "down": REAL,
    "linear": {"OUTPUTS": 4096, "INPUTS": 2816},
    "sort_by_expert": {"experts": 128, "PER_LOOK": PAIRS_PER_LOOK},
}
DECODE = {"IN_REGISTERS": True, "WIDEN": False}
NF4_POINTERS = ("*u8", "*u8", "*fp32", "*fp32", "*fp32", "*bf16")
INT4_POINTERS = ("*i32", "*bf16")
FORMATS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "nf4": (NF4_POINTERS, DECODE | {"ADD_BLOCK": decoders.add_nf4, "GROUP": 64}),
    "int4/32": (INT4_POINTERS, DECODE | {"ADD_BLOCK": decoders.add_int4, "GROUP": 32}),
    "int4/64": (INT4_POINTERS, DECODE | {"ADD_BLOCK": decoders.add_int4, "GROUP": 64}),
    "int4/128": (INT4_POINTERS, DECODE | {"ADD_BLOCK": decoders.add_int4, "GROUP": 128}),
}
"""Types of the tensors of a format, and the constants of its decoder; int4 with its group."""
CAPABILITIES = {
    80: "A100",
    86: "RTX 30",
    89: "RTX 40, L40",
    90: "H100, H200",
    100: "B200",
    120: "RTX 50",
}
TILINGS = {"gate_up": EXPERTS, "down": EXPERTS, "linear": MATRIX, "sort_by_expert": MATRIX}


FUSED: dict[str, tuple[str, dict[str, Any], dict[str, int]]] = {
    **{
        f"attend_part, heads of {dim}": (
            "attend_part",
            {
                "QUERY_HEADS": 16, "GROUPS": groups, "DIM": dim, "TILE_M": TILE_ROWS,
                "TILE_N": TILE_KEYS, "PARTS": 32, "WIDEN": False,
            },
            attention_options(dim),
        )
        for dim, groups in ((256, 2), (512, 8))
    },
    "attend_join": ("attend_join", {"DIM": 512, "PARTS": 32}, {"num_warps": 4}),
    "rotate_and_store": (
        "rotate_and_store",
        {"QUERY_HEADS": 16, "KEY_HEADS": 8, "HALF": 256},
        {"num_warps": 1},
    ),
    "route": ("route", {"EXPERTS": 128, "COUNT": 8}, {"num_warps": 1}),
}  # fmt: skip
"""Fused kernels: the function, its constants for the real shape, and how it is launched."""
FUSED_TYPES = {
    **dict.fromkeys(("peaks", "masses", "part", "weights"), "*fp32"),
    **dict.fromkeys(("rows", "slots", "pairs", "query_stride"), "i32"),
    **dict.fromkeys(("key_stride", "value_stride"), "i32"),
    "lane": "*i32", "seen": "*i32", "index": "*i64", "head_stride": "i64", "epsilon": "fp32",
}  # fmt: skip
"""Types of their arguments; all others point to bfloat16."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What is known about a kernel before it has ever run."""

    cubin: bytes
    ptx: str
    shared: int
    """Bytes of shared memory that one program uses."""


def compile_for(name: str, capability: int, tokens: int, stored: str = "nf4") -> Compiled:
    """Compile one kernel for one GPU generation, with the given tokens per tile, for weights
    in one of the `FORMATS`."""
    kernel = getattr(tiles, name)
    constants = dict(KERNELS[name])
    types: dict[str, Any] = dict(TYPES)
    if name != "sort_by_expert":
        types["packed"], decoding = FORMATS[stored]
        constants |= decoding | {"TILE_N": TILINGS[name].outputs, "TILE_M": tokens}
    tiling = TILINGS[name]
    options = {"num_warps": tiling.warps, "num_stages": tiling.stages}
    return _compile(kernel, types, constants, capability, options)


def compile_fused(name: str, capability: int) -> Compiled:
    """Compile one of the `FUSED` kernels for one GPU generation."""
    function, constants, options = FUSED[name]
    kernel = getattr(fused, function)
    types = {argument: FUSED_TYPES.get(argument, "*bf16") for argument in kernel.arg_names}
    return _compile(kernel, types, constants, capability, options)


def _compile(
    kernel: Any,
    types: dict[str, Any],
    constants: dict[str, Any],
    capability: int,
    options: dict[str, int],
) -> Compiled:
    signature = {a: "constexpr" if a in constants else types[a] for a in kernel.arg_names}
    aligned = {
        (number, *part): [["tt.divisibility", 16]]
        for number, argument in enumerate(kernel.arg_names)
        for part, kind in _parts(signature[argument])
        if kind.startswith("*")
    }
    compiled = triton.compile(
        ASTSource(kernel, signature, constants, aligned),
        target=GPUTarget("cuda", capability, 32),
        options=options,
    )
    return Compiled(compiled.asm["cubin"], compiled.asm["ptx"], compiled.metadata.shared)


def _parts(kind: str | tuple[str, ...]) -> list[tuple[tuple[int, ...], str]]:
    """The types within an argument, each with its place in the argument if that is a tuple."""
    if isinstance(kind, str):
        return [((), kind)]
    return [((place,), each) for place, each in enumerate(kind)]


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
    """Arguments: formats or compute capabilities, to print only those."""
    wanted = sys.argv[1:]
    formats = [each for each in FORMATS if each in wanted] or list(FORMATS)
    capabilities = [each for each in CAPABILITIES if str(each) in wanted] or list(CAPABILITIES)
    print(
        "| kernel | format | GPU | tokens | registers | spilled | shared | loop | per weight |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in ("gate_up", "down", "linear"):
        for stored in formats:
            for capability in capabilities:
                for tokens in (16, 32, 64):
                    print(_row(name, stored, capability, tokens), flush=True)
    print("\n| fused kernel | GPU | registers | spilled | shared |")
    print("| --- | --- | --- | --- | --- |")
    for name in FUSED:
        for capability in capabilities:
            compiled = compile_fused(name, capability)
            registers, spilled, _ = disassemble(compiled)
            cells = name, CAPABILITIES[capability], registers, spilled, compiled.shared
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def _row(name: str, stored: str, capability: int, tokens: int) -> str:
    compiled = compile_for(name, capability, tokens, stored)
    registers, spilled, loop = disassemble(compiled)
    per_weight = f"{loop / weights_per_thread(TILINGS[name]):.1f}"
    cells = (
        name, stored, CAPABILITIES[capability], tokens, registers, spilled, compiled.shared,
        loop, per_weight,
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
