"""The device code of the kernels, in Triton. `nf4.py` launches it.

How a tile is computed:

    out[n, m] = sum over blocks b of  scale[n, b] * sum over k in b of  code[n, k] * x[m, k]

A scale is applied once per 64 weights. Weights are the left operand: their many rows fill the
tensor cores, whatever the number of tokens, and stay in registers once decoded. Two bytes hold
four neighbouring columns, which go into four products over every fourth column; activations
are stored in that order ("split"), so nothing is interleaved.

One program handles one tile of one expert's outputs and loops over the expert's tokens: each
weight is read from memory once, and an expert without tokens costs one check.
"""

from __future__ import annotations

import triton
import triton.language as tl

from dg_lsp.models.nf4.kernels import decode_ptx

ASSEMBLY = tl.constexpr(decode_ptx.ASSEMBLY)
CONSTRAINTS = tl.constexpr(decode_ptx.CONSTRAINTS)


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
def _widen(a, b, c, d):
    return a.to(tl.float32), b.to(tl.float32), c.to(tl.float32), d.to(tl.float32)


@triton.jit
def _product(
    x,
    rows,
    real,
    packed,
    absmax,
    nested_absmax,
    table,
    offset_at,
    code,
    WIDTH: tl.constexpr,
    IN_REGISTERS: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """`rows` (N,) of the stack times the tokens at `x` (M,), split: (N, M) float32."""
    quarter = tl.arange(0, 16)
    offset = tl.load(offset_at)
    total = tl.zeros([rows.shape[0], x.shape[0]], dtype=tl.float32)
    two_bytes = packed.to(tl.pointer_type(tl.uint16))
    for block in range(WIDTH // 64):
        at = x[None, :] + block * 16 + quarter[:, None]
        x0 = tl.load(at, mask=real[None, :], other=0.0)
        x1 = tl.load(at + WIDTH // 4, mask=real[None, :], other=0.0)
        x2 = tl.load(at + WIDTH // 2, mask=real[None, :], other=0.0)
        x3 = tl.load(at + WIDTH // 4 * 3, mask=real[None, :], other=0.0)
        data = tl.load(two_bytes + rows[:, None] * (WIDTH // 4) + block * 16 + quarter[None, :])
        if IN_REGISTERS:
            w0, w1, w2, w3 = tl.inline_asm_elementwise(
                asm=ASSEMBLY,
                constraints=CONSTRAINTS,
                args=[data],
                dtype=(tl.bfloat16, tl.bfloat16, tl.bfloat16, tl.bfloat16),
                is_pure=True,
                pack=2,
            )
        else:
            w0 = tl.load(code + (data >> 4 & 15))
            w1 = tl.load(code + (data & 15))
            w2 = tl.load(code + (data >> 12))
            w3 = tl.load(code + (data >> 8 & 15))
        if WIDEN:
            w0, w1, w2, w3 = _widen(w0, w1, w2, w3)
            x0, x1, x2, x3 = _widen(x0, x1, x2, x3)
        product = tl.dot(w0, x0, input_precision="ieee")
        product = tl.dot(w1, x1, acc=product, input_precision="ieee")
        product = tl.dot(w2, x2, acc=product, input_precision="ieee")
        product = tl.dot(w3, x3, acc=product, input_precision="ieee")
        which = rows * (WIDTH // 64) + block
        scale = tl.load(table + tl.load(absmax + which))
        scale = scale * tl.load(nested_absmax + which // 256) + offset
        total += product * scale[:, None]
    return total


@triton.jit
def gate_up(
    x,
    order,
    starts,
    packed,
    absmax,
    nested_absmax,
    table,
    offset,
    code,
    out,
    TOP_K: tl.constexpr,
    HIDDEN: tl.constexpr,
    INNER: tl.constexpr,
    TILE_N: tl.constexpr,
    TILE_M: tl.constexpr,
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
            x + token * HIDDEN, rows, real, packed, absmax, nested_absmax, table, offset, code,
            HIDDEN, IN_REGISTERS, WIDEN,
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
    absmax,
    nested_absmax,
    table,
    offset,
    code,
    out,
    HIDDEN: tl.constexpr,
    INNER: tl.constexpr,
    TILE_N: tl.constexpr,
    TILE_M: tl.constexpr,
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
            x + places * INNER, expert * HIDDEN + column, real, packed, absmax, nested_absmax,
            table, offset, code, INNER, IN_REGISTERS, WIDEN,
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
    absmax,
    nested_absmax,
    table,
    offset,
    code,
    out,
    OUTPUTS: tl.constexpr,
    INPUTS: tl.constexpr,
    TILE_N: tl.constexpr,
    TILE_M: tl.constexpr,
    IN_REGISTERS: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """out = x times one matrix; x is (rows, inputs), split."""
    column = tl.program_id(0) * TILE_N + tl.arange(0, TILE_N)
    places = tl.program_id(1) * TILE_M + tl.arange(0, TILE_M)
    real = places < rows_of_x
    # Rows beyond the matrix read its last row again, and are not stored.
    total = _product(
        x + places * INPUTS, tl.minimum(column, OUTPUTS - 1), real, packed, absmax,
        nested_absmax, table, offset, code, INPUTS, IN_REGISTERS, WIDEN,
    )  # fmt: skip
    tl.store(
        out + places[None, :] * OUTPUTS + column[:, None],
        total.to(out.dtype.element_ty),
        mask=real[None, :] & (column < OUTPUTS)[:, None],
    )
