"""The kernels compile to machine code for the GPUs they are meant for; no GPU is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("triton", reason="Triton is there on Linux only")

SCRIPT = """
import json, sys
from dg_lsp.benchmark.gpu.assembly import compile_for, disassemble
for name, capability in json.loads(sys.argv[1]):
    compiled = compile_for(name, capability, 32)
    registers, spilled, loop = disassemble(compiled)
    print(json.dumps({
        "shared": compiled.shared, "spilled": spilled, "registers": registers, "loop": loop,
        "prmt": compiled.ptx.count("prmt"), "mma": compiled.ptx.count("mma"),
    }))
"""
LEAST_SHARED_MEMORY = 99 * 1024
"""Of one program on the smallest of these GPUs (compute capability 8.6, 8.9 and 12.0)."""
WANTED = [
    ("gate_up", 80),
    ("gate_up", 90),
    ("gate_up", 120),
    ("down", 90),
    ("linear", 89),
    ("sort_by_expert", 90),
]


def test_every_kernel_compiles_for_every_generation(tmp_path):
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    # The interpreter, which the other tests run in, compiles nothing.
    environment.pop("TRITON_INTERPRET", None)
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(WANTED)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )

    assert ended.returncode == 0, ended.stderr
    compiled = [json.loads(line) for line in ended.stdout.splitlines()]
    for (name, capability), said in zip(WANTED, compiled, strict=True):
        assert said["shared"] < LEAST_SHARED_MEMORY, (name, capability)
        assert said["spilled"] <= 16, (name, capability)
        assert 0 < said["registers"] <= 255
        if name != "sort_by_expert":
            # Weights are decoded in registers and multiplied by tensor cores.
            assert said["prmt"] > 50
            assert said["mma"] > 0
            # 64 weights to a thread and round: a table in memory took nine for each.
            assert 0 < said["loop"] < 64 * 8
