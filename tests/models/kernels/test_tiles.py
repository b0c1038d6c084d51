"""The kernels compile to machine code for the GPUs they are meant for; no GPU is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Triton compiles on Linux only")

SCRIPT = """
import json, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from dg_lsp.models.kernels import tiles

TYPES = dict(
    x="*bf16", out="*bf16", code="*bf16", packed="*u8", absmax="*u8", nested_absmax="*fp32",
    table="*fp32", offset="*fp32", order="*i32", starts="*i32", weights="*fp32", index="*i64",
    rows_of_x="i32", pairs="i32",
)
for name, capability, constants in json.loads(sys.argv[1]):
    kernel = getattr(tiles, name)
    signature = {a: "constexpr" if a in constants else TYPES[a] for a in kernel.arg_names}
    aligned = {(n,): [["tt.divisibility", 16]] for n, a in enumerate(kernel.arg_names)
               if signature[a].startswith("*")}
    compiled = triton.compile(
        ASTSource(kernel, signature, constants, aligned),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": 4, "num_stages": 4},
    )
    assembly = compiled.asm["ptx"]
    print(json.dumps({
        "shared": compiled.metadata.shared, "cubin": len(compiled.asm["cubin"]),
        "prmt": assembly.count("prmt"), "mma": assembly.count("mma"),
    }))
"""
REAL = {"TOP_K": 8, "HIDDEN": 2816, "INNER": 704}
TILE = {"TILE_N": 128, "TILE_M": 32, "IN_REGISTERS": True, "WIDEN": False}
KERNELS = {
    "gate_up": REAL | TILE,
    "down": {"HIDDEN": 2816, "INNER": 704} | TILE,
    "linear": {"OUTPUTS": 4096, "INPUTS": 2816} | TILE,
    "sort_by_expert": {"experts": 128, "PER_LOOK": 1024},
}
LEAST_SHARED_MEMORY = 99 * 1024
"""Of one program on the smallest of these GPUs (compute capability 8.6, 8.9 and 12.0)."""


def test_every_kernel_compiles_for_every_generation(tmp_path):
    wanted = [
        ("gate_up", 80),
        ("gate_up", 90),
        ("gate_up", 120),
        ("down", 90),
        ("linear", 89),
        ("sort_by_expert", 90),
    ]
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    jobs = [(name, capability, KERNELS[name]) for name, capability in wanted]
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(jobs)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )

    assert ended.returncode == 0, ended.stderr
    compiled = [json.loads(line) for line in ended.stdout.splitlines()]
    for (name, _), said in zip(wanted, compiled, strict=True):
        assert said["cubin"] > 1000
        assert said["shared"] < LEAST_SHARED_MEMORY
        # Weights are decoded in registers and multiplied by tensor cores.
        assert name == "sort_by_expert" or (said["prmt"] > 50 and said["mma"] > 0)
