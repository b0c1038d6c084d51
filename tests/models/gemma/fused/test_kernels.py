"""The fused kernels compile to machine code for the GPUs they are meant for."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("triton", reason="Triton is there on Linux only")

SCRIPT = """
import json
from dg_lsp.benchmark.gpu.assembly import FUSED, compile_fused, disassemble
for name in FUSED:
    for capability in (80, 86, 90, 120) if "attend_part" in name else (80, 120):
        compiled = compile_fused(name, capability)
        registers, spilled, _ = disassemble(compiled)
        print(json.dumps([name, capability, compiled.shared, spilled]))
"""
LEAST_SHARED_MEMORY = 99 * 1024


def test_they_fit_into_registers_and_shared_memory(tmp_path):
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    # The interpreter, which the other tests run in, compiles nothing.
    environment.pop("TRITON_INTERPRET", None)
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )

    assert ended.returncode == 0, ended.stderr
    compiled = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(compiled) == 14
    for name, capability, shared, spilled in compiled:
        assert shared < LEAST_SHARED_MEMORY, (name, capability)
        assert spilled == 0, (name, capability)
