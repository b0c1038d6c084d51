"""What only a GPU can show: the compiled kernels, and that a CUDA graph can hold them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

# A process of its own: the other tests have asked for the interpreter, which is for good.
SCRIPT = """
import functools, sys
import torch
from dg_lsp.benchmark.gpu.weights import random_int4, random_nf4
from dg_lsp.models.kernels import products, reference

cuda = torch.device("cuda")
gelu = functools.partial(torch.nn.functional.gelu, approximate="tanh")
make = {"nf4": random_nf4, "int4": random_int4}[sys.argv[1]]
gate_up, down = make((128, 1408, 2816), cuda), make((128, 2816, 704), cuda)

def arguments(rows):
    hidden = torch.randn(rows, 2816, device=cuda, dtype=torch.bfloat16)
    chosen = torch.rand(rows, 128, device=cuda).topk(8)
    return hidden, chosen.indices, chosen.values

def check(ours, hidden, index, weights):
    exact = reference.grouped_experts(hidden.float(), index, weights, gate_up, down, gelu)
    error = float((ours.float() - exact).norm() / exact.norm())
    assert error < 1e-2, error

for rows in (1, 2, 16, 17, 64, 256, 1024):
    given = arguments(rows)
    check(products.grouped_experts(*given, gate_up, down), *given)

matrix = make((4096, 2816), cuda)
for rows in (1, 17, 256):
    x = torch.randn(rows, 2816, device=cuda, dtype=torch.bfloat16)
    exact = reference.linear(x.float(), matrix)
    assert float((products.linear(x, matrix).float() - exact).norm() / exact.norm()) < 1e-2

fixed = arguments(32)
products.grouped_experts(*fixed, gate_up, down)
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    out = products.grouped_experts(*fixed, gate_up, down)
for own, new in zip(fixed, arguments(32)):
    own.copy_(new)
graph.replay()
check(out, *fixed)
"""


@pytest.mark.parametrize("stored", ["nf4", "int4"])
def test_compiled_kernels_equal_their_references_also_in_a_graph(stored):
    environment = {name: v for name, v in os.environ.items() if name != "TRITON_INTERPRET"}
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, stored],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert ended.returncode == 0, ended.stderr
