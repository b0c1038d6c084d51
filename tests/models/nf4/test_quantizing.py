"""The quantization on a CPU: every pair of a value and its block's largest, as bitsandbytes."""

from __future__ import annotations

import pytest
import torch

from dg_lsp.models.nf4.format import bitsandbytes, quantize
from dg_lsp.models.nf4.quantizing import BLOCK, ONE
from dg_lsp.models.nf4.quantizing import quantize as quantize_slice

NEGATIVE = -(1 << 15)


def both(values: torch.Tensor):
    """Codes and scales, ours and bitsandbytes'; `None` for ours if it could not."""
    packed = torch.empty(values.numel() // 2, dtype=torch.uint8)
    absmax = torch.empty(values.numel() // BLOCK)
    could = quantize_slice(values, packed, absmax)
    codes, state = bitsandbytes().functional.quantize_4bit(
        values, blocksize=BLOCK, quant_type="nf4"
    )
    return (packed, absmax) if could else None, (codes.flatten(), state.absmax)


def blocks_under(largest: int) -> torch.Tensor:
    """Blocks that start with the value of these bits and hold all values up to it."""
    magnitudes = torch.arange(largest + 1)
    others = torch.cat([magnitudes, magnitudes + NEGATIVE]).to(torch.int16)
    others = torch.nn.functional.pad(others, (0, -len(others) % (BLOCK - 1)))
    rows = others.view(-1, BLOCK - 1)
    first = torch.full((len(rows), 1), largest, dtype=torch.int16)
    return torch.cat([first, rows], dim=1).flatten().view(torch.bfloat16)


@pytest.mark.parametrize("exponent", [-90, -8, 0, 90])
def test_every_value_under_every_largest_one_is_as_bitsandbytes_has_it(exponent):
    start = ONE + exponent * 128
    # Every eighth exponent is tried with all mantissas, the codes of small values with few.
    for largest in range(start, start + 128, 1 if exponent == 0 else 31):
        ours, theirs = both(blocks_under(largest))
        assert ours is not None
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])


def test_blocks_of_zeros_stand_between_others():
    values = torch.randn(6 * BLOCK).to(torch.bfloat16)
    values[BLOCK : 3 * BLOCK] = 0
    values[-BLOCK:] = -0.0
    ours, theirs = both(values)

    assert ours is not None
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])


@pytest.mark.parametrize("largest", [1e-38, 1e38, float("inf"), float("nan")])
def test_extreme_blocks_are_left_to_bitsandbytes(largest):
    values = torch.randn(4 * BLOCK).to(torch.bfloat16)
    values[BLOCK : 2 * BLOCK] *= 1e-39
    values[BLOCK] = largest

    assert both(values)[0] is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_other_precisions_are_left_to_bitsandbytes(dtype):
    assert both(torch.randn(BLOCK, dtype=dtype))[0] is None


@pytest.mark.parametrize("threads", [1, 3])
def test_a_weight_in_slices_is_as_bitsandbytes_has_all_of_it(threads):
    shape = (3, 2048, 384)
    values = torch.randn(shape).to(torch.bfloat16)
    # One slice has a block that only bitsandbytes quantizes.
    values[1, 0, :BLOCK] *= 1e-37
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours = quantize(values.split(2), shape)
    finally:
        torch.set_num_threads(before)
    codes, state = bitsandbytes().functional.quantize_4bit(
        values.flatten(), blocksize=BLOCK, quant_type="nf4", compress_statistics=True
    )

    assert torch.equal(ours.packed, codes.flatten())
    assert torch.equal(ours.absmax, state.absmax)
    assert torch.equal(ours.nested_absmax, state.state2.absmax)
    assert (ours.offset == state.offset).all()


def test_it_works_inside_inference_mode_too():
    values = torch.randn(2, 64, 128)
    with torch.inference_mode():
        inside = quantize([values], (2, 64, 128))
    outside = quantize([values], (2, 64, 128))

    assert torch.equal(inside.packed, outside.packed)
