"""Forward passes captured in CUDA graphs give the numbers of those that are not."""

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
import sys
import torch
from dg_lsp.benchmark.gpu.weights import packed_model
from dg_lsp.config import CacheSettings
from dg_lsp.models import prepared
from dg_lsp.models.gemma import trial
from dg_lsp.models.gemma.ladder import LADDER, PLAIN, denoiser_at
from dg_lsp.models.gemma.shapes import tiny_shape

torch.manual_seed(0)
model = packed_model(tiny_shape(), torch.device("cuda", 0))
text = torch.randint(4, 500, (700,)).tolist()
lengths = (300, 301, 317, 381, 640, 650)
continuations = [text[:20], text[30:33]]

def readings(denoiser):
    found = []
    for length in lengths:
        encoded = denoiser.encode(text[:length], "a document")
        found += [score.cpu() for score in denoiser.score(encoded, continuations)]
    return found

def check(denoiser):
    trial.check_trial(trial.run_trial(denoiser), expected, torch.bfloat16)
    for ours, plain in zip(readings(denoiser), scores, strict=True):
        assert float((ours - plain).abs().mean()) < 0.3
    trial.check_shared(denoiser)

plain = denoiser_at(PLAIN, model, CacheSettings())
expected, scores = trial.run_trial(plain), readings(plain)
captured = denoiser_at(LADDER[int(sys.argv[1])], model, CacheSettings())
captured.warm_up(700, lambda done, total: None)
check(captured)
# All graphs end with their pool, and the next generation starts.
captured.shrink()
check(captured)
captured.warm_up(700, lambda done, total: None)
check(captured)
# Graphs are dropped one by one.
prepared.MOST_PREPARED = 2
captured.shrink()
check(captured)
check(captured)
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("rung", [1, 0], ids=["graphs", "fused"])
def test_graphs_equal_plain_torch_through_generations_and_evictions(rung):
    environment = {name: v for name, v in os.environ.items() if name != "TRITON_INTERPRET"}
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(rung)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=290,
    )

    assert ended.returncode == 0, ended.stderr
