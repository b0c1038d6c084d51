"""The device code of the matrix products, in Triton. `products.py` launches it.

How a tile is computed, a block of 64 weights of each row at a time:

    out[n, m] = sum over k of  weight[n, k] * x[m, k]

`decoders.py` decodes and multiplies a block. Weights are the left operand: their many rows fill
the tensor cores, whatever the number of tokens, and stay in registers once decoded. Two bytes
hold four neighbouring columns, which go into four products over every fourth column;
activations are stored in that order ("split"), so nothing is interleaved.

One program handles one tile of one expert's outputs and loops over the expert's tokens: each
weight is read from memory once, and an expert without tokens costs one check.

`packed` is the tuple of pointers that the decoder ADD_BLOCK reads; GROUP is the number of
weights that share a scale.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def sort_by_expert(index, order, starts, pairs, experts: tl.constexpr, PER_LOOK: tl.constexpr):
    """Program e writes the pairs of expert e, in order, after those of experts 0 to e - 1."""
    expert = tl.program_id(0)
    lanes = tl.arange(0, PER_LOOK)
    place = 0
    for start in range(0, pairs, PER_LOOK):
        chosen = tl.load(index + start + lanes, mask=start + lanes < pairs, other=experts)
        place += tl.sum((chosen < expert).to(tl.int32))
    tl.store(starts + expert, place)
    for start in range(0, pairs, PER_LOOK):
        chosen = tl.load(index + start + lanes, mask=start + lanes < pairs, other=experts)
        mine = (chosen == expert).to(tl.int32)
        tl.store(order + place + tl.cumsum(mine) - 1, start + lanes, mask=mine == 1)
        place += tl.sum(mine)
    if expert == experts - 1:
        tl.store(starts + experts, place)


@triton.jit
def _product(
    x, rows, real, packed,
    WIDTH: tl.constexpr, ADD_BLOCK: tl.constexpr, GROUP: tl.constexpr,
    IN_REGISTERS: tl.constexpr, WIDEN: tl.constexpr,
):  # fmt: skip
    """`rows` (N,) of the stack times the tokens at `x` (M,), split: (N, M) float32."""
    quarter = tl.arange(0, 16)
    total = tl.zeros([rows.shape[0], x.shape[0]], dtype=tl.float32)
    for block in range(WIDTH // 64):
        at = x[None, :] + block * 16 + quarter[:, None]
        x0 = tl.load(at, mask=real[None, :], other=0.0)
        x1 = tl.load(at + WIDTH // 4, mask=real[None, :], other=0.0)
        x2 = tl.load(at + WIDTH // 2, mask=real[None, :], other=0.0)
        x3 = tl.load(at + WIDTH // 4 * 3, mask=real[None, :], other=0.0)
        total = ADD_BLOCK(
            total, packed, rows, block, x0, x1, x2, x3, WIDTH, GROUP, IN_REGISTERS, WIDEN
        )
    return total


@triton.jit
def gate_up(
    x,
    order,
    starts,
    packed,
    out,
    TOP_K: tl.constexpr,
    HIDDEN: tl.constexpr,
    INNER: tl.constexpr,
    TILE_N: tl.constexpr,
    TILE_M: tl.constexpr,
    ADD_BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
    IN_REGISTERS: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """out[pair in order] = gelu(gate) * up, split; x is (rows, hidden), split."""
    expert = tl.program_id(1)
    # Rows of gate and up form one product, and are separated at the end.
    lane = tl.arange(0, TILE_N)
    column = tl.program_id(0) * (TILE_N // 2) + lane % (TILE_N // 2)
    rows = expert * (2 * INNER) + column + lane // (TILE_N // 2) * INNER
    column = tl.program_id(0) * (TILE_N // 2) + tl.arange(0, TILE_N // 2)
    split = column % 4 * (INNER // 4) + column // 4
    last = tl.load(starts + expert + 1)
    for first in range(tl.load(starts + expert), last, TILE_M):
        places = first + tl.arange(0, TILE_M)
        real = places < last
        token = tl.load(order + places, mask=real, other=0) // TOP_K
        both = _product(
            x + token * HIDDEN, rows, real, packed, HIDDEN,
            ADD_BLOCK, GROUP, IN_REGISTERS, WIDEN,
        )  # fmt: skip
        gate, up = tl.split(both.reshape(2, TILE_N // 2, TILE_M).permute(1, 2, 0))
        # The tanh form of gelu, written with a sigmoid: 2 * sqrt(2 / pi) = 1.5957691216.
        activated = gate * tl.sigmoid(1.5957691216 * (gate + 0.044715 * gate * gate * gate))
        tl.store(
            out + places[None, :] * INNER + split[:, None],
            (activated * up).to(out.dtype.element_ty),
            mask=real[None, :],
        )


@triton.jit
def down(
    x,
    order,
    starts,
    weights,
    packed,
    out,
    HIDDEN: tl.constexpr,
    INNER: tl.constexpr,
    TILE_N: tl.constexpr,
    TILE_M: tl.constexpr,
    ADD_BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
    IN_REGISTERS: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """out[pair] = routing weight * down(x[pair in order]); x is (pairs, inner), split."""
    expert = tl.program_id(1)
    column = tl.program_id(0) * TILE_N + tl.arange(0, TILE_N)
    last = tl.load(starts + expert + 1)
    for first in range(tl.load(starts + expert), last, TILE_M):
        places = first + tl.arange(0, TILE_M)
        real = places < last
        pair = tl.load(order + places, mask=real, other=0)
        weight = tl.load(weights + pair, mask=real, other=0.0).to(tl.float32)
        total = _product(
            x + places * INNER, expert * HIDDEN + column, real, packed, INNER,
            ADD_BLOCK, GROUP, IN_REGISTERS, WIDEN,
        )  # fmt: skip
        tl.store(
            out + pair[None, :] * HIDDEN + column[:, None],
            (total * weight[None, :]).to(out.dtype.element_ty),
            mask=real[None, :],
        )


@triton.jit
def linear(
    x,
    rows_of_x,
    packed,
    out,
    OUTPUTS: tl.constexpr,
    INPUTS: tl.constexpr,
    TILE_N: tl.constexpr,
    TILE_M: tl.constexpr,
    ADD_BLOCK: tl.constexpr,
    GROUP: tl.constexpr,
    IN_REGISTERS: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """out = x times one matrix; x is (rows, inputs), split."""
    column = tl.program_id(0) * TILE_N + tl.arange(0, TILE_N)
    places = tl.program_id(1) * TILE_M + tl.arange(0, TILE_M)
    real = places < rows_of_x
    # Rows beyond the matrix read its last row again, and are not stored.
    total = _product(
        x + places * INPUTS, tl.minimum(column, OUTPUTS - 1), real, packed, INPUTS,
        ADD_BLOCK, GROUP, IN_REGISTERS, WIDEN,
    )  # fmt: skip
    tl.store(
        out + places[None, :] * OUTPUTS + column[:, None],
        total.to(out.dtype.element_ty),
        mask=real[None, :] & (column < OUTPUTS)[:, None],
    )
