"""The launches of a step, counted without a GPU."""

from __future__ import annotations

import pytest

pytest.importorskip("triton", reason="Triton is there on Linux only")
from dg_lsp.benchmark.gpu.launches import Counted, count, launches_in
from dg_lsp.models.gemma.shapes import real_shape, tiny_shape


# Four graphs are compiled, which takes half a minute where nothing else runs.
@pytest.mark.timeout(400)
def test_a_layer_takes_at_most_20_launches_and_all_that_follows_15(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    # Wide enough for products of the same input to be merged.
    before, after = count(tiny_shape(layers=2, hidden=256))

    assert after.sliding <= 20
    assert after.full <= 20
    assert after.end <= 15
    assert after.step(real_shape()) < before.step(real_shape()) / 5


def test_launches_of_the_generated_code():
    code = """
def helper():
    triton_not_counted.run(1)
def call(args):
    triton_poi_fused_0.run(arg0, 32, stream=stream0)
    buf1 = torch.ops.dg_lsp.attend.default(buf0)
    torch.ops.dg_lsp.rotate_and_store.default(buf1)
    extern_kernels.mm(buf1, buf2, out=buf3)
    buf4 = empty_strided_cuda((1,), (1,))
"""

    assert launches_in(code) == 1 + 2 + 1 + 1


def test_launches_of_all_layers():
    # 25 sliding layers and 5 full ones.
    assert Counted(begin=1, sliding=10, full=100, end=3).step(real_shape()) == 754
