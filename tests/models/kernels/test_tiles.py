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
from dg_lsp.benchmark.gpu.assembly import TILINGS, compile_for, disassemble, weights_per_thread
for name, stored, capability in json.loads(sys.argv[1]):
    compiled = compile_for(name, capability, 32, stored)
    registers, spilled, loop = disassemble(compiled)
    print(json.dumps({
        "shared": compiled.shared, "spilled": spilled, "registers": registers,
        "per_weight": loop / weights_per_thread(TILINGS[name]),
        "decoding": sum(map(compiled.ptx.count, ("prmt", "fma.rn.bf16x2"))),
        "mma": compiled.ptx.count("mma"),
    }))
"""
LEAST_SHARED_MEMORY = 99 * 1024
"""Of one program on the smallest of these GPUs (compute capability 8.6, 8.9 and 12.0)."""
WANTED = {
    "nf4": [
        ("gate_up", "nf4", 80),
        ("gate_up", "nf4", 90),
        ("gate_up", "nf4", 120),
        ("down", "nf4", 90),
        ("linear", "nf4", 89),
        ("sort_by_expert", "", 90),
    ],
    "int4": [
        ("gate_up", "int4/32", 80),
        ("down", "int4/32", 86),
        ("linear", "int4/128", 89),
        ("gate_up", "int4/32", 90),
        ("down", "int4/64", 100),
        ("gate_up", "int4/32", 120),
    ],
}
MOST_PER_WEIGHT = {"nf4": 8.5, "int4/32": 5, "int4/64": 5, "int4/128": 5}
"""Instructions of the inner loop. A table of NF4's codes in memory took nine."""


@pytest.mark.parametrize("wanted", WANTED.values(), ids=WANTED)
def test_every_kernel_compiles_for_every_generation(tmp_path, wanted):
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    # The interpreter, which the other tests run in, compiles nothing.
    environment.pop("TRITON_INTERPRET", None)
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(wanted)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )

    assert ended.returncode == 0, ended.stderr
    compiled = [json.loads(line) for line in ended.stdout.splitlines()]
    for (name, stored, capability), said in zip(wanted, compiled, strict=True):
        assert said["shared"] < LEAST_SHARED_MEMORY, (name, stored, capability)
        assert said["spilled"] <= 16, (name, stored, capability)
        assert 0 < said["registers"] <= 255
        if name != "sort_by_expert":
            # Weights are decoded in registers and multiplied by tensor cores.
            assert said["decoding"] > 25
            assert said["mma"] > 0
            assert 0 < said["per_weight"] < MOST_PER_WEIGHT[stored], (name, stored, capability)
