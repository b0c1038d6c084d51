"""The arithmetic of the roofline, against figures worked out by hand."""

from __future__ import annotations

import pytest

from dg_lsp.benchmark.gpu.roofline import (
    BF16_BITS,
    NF4_BITS,
    experts_touched,
    floor_ms,
    sizes_of,
    step_bytes,
    step_flops,
)
from dg_lsp.models.gemma.shapes import real_shape


@pytest.fixture(scope="module")
def real():
    config = real_shape()
    return config, sizes_of(config)


def test_sizes_of_the_real_shape(real):
    _, sizes = real

    assert sizes.experts == 30 * 128 * 3 * 704 * 2816
    assert sizes.embedding == 262_144 * 2816
    assert sizes.dense == pytest.approx(1.66e9, rel=0.01)


def test_a_few_rows_touch_nearly_all_experts(real):
    _, sizes = real

    assert experts_touched(sizes, 1) == pytest.approx(8)
    assert experts_touched(sizes, 32) == pytest.approx(111.8, abs=0.1)
    assert experts_touched(sizes, 256) == pytest.approx(128, abs=0.1)


@pytest.mark.parametrize(("bits", "gigabytes"), [(NF4_BITS, 15.6), (BF16_BITS, 52.0)])
def test_bytes_of_a_step(real, bits, gigabytes):
    config, sizes = real

    assert step_bytes(config, sizes, 256, 0, bits) == pytest.approx(gigabytes * 1e9, rel=0.01)
    # 8k of context are a window of the sliding layers and all of it in the global ones.
    cache = step_bytes(config, sizes, 256, 8192, bits) - step_bytes(config, sizes, 256, 0, bits)
    assert cache == pytest.approx(1024 * 204_800 + 8192 * 20_480)


def test_few_rows_wait_for_memory_and_many_for_the_cores(real):
    config, sizes = real

    def floor(rows: int) -> float:
        moved = step_bytes(config, sizes, rows, 0, NF4_BITS)
        return floor_ms(moved, step_flops(sizes, rows), 1.8e12, 209e12)

    assert floor(32) == pytest.approx(14.1e9 / 1.8e12 * 1e3, rel=0.01)
    assert floor(256) == pytest.approx(2.338e12 / 209e12 * 1e3, rel=0.01)
