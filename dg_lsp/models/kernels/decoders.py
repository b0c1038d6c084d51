"""The device code that decodes 4-bit weights, in Triton: one function for each format.

    total += (weights of one block) times (their activations)

A block is 64 neighbouring weights of each row: 16 halfwords of 4 columns. `tiles.py` calls the
decoder of the format that it multiplies with; `products.py` chooses it, together with
`packed`, the pointers that it reads. Weights are decoded in registers; in the interpreter, and
for activations that are not bfloat16, plain operations do the same.

Shapes: `total` (N, M) float32, `rows` (N,) of the stack, `x0` to `x3` (16, M): every fourth
activation of the block, from the first to the fourth.
"""

from __future__ import annotations

import triton
import triton.language as tl

from dg_lsp.models.kernels import int4_ptx, nf4_ptx

NF4_ASSEMBLY = tl.constexpr(nf4_ptx.ASSEMBLY)
NF4_CONSTRAINTS = tl.constexpr(nf4_ptx.CONSTRAINTS)
INT4_ASSEMBLY = tl.constexpr(int4_ptx.ASSEMBLY)
INT4_CONSTRAINTS = tl.constexpr(int4_ptx.CONSTRAINTS)


@triton.jit
def _widen(a, b, c, d):
    return a.to(tl.float32), b.to(tl.float32), c.to(tl.float32), d.to(tl.float32)


@triton.jit
def _multiply(total, w0, w1, w2, w3, x0, x1, x2, x3, WIDEN: tl.constexpr):
    if WIDEN:
        w0, w1, w2, w3 = _widen(w0, w1, w2, w3)
        x0, x1, x2, x3 = _widen(x0, x1, x2, x3)
    total = tl.dot(w0, x0, acc=total, input_precision="ieee")
    total = tl.dot(w1, x1, acc=total, input_precision="ieee")
    total = tl.dot(w2, x2, acc=total, input_precision="ieee")
    return tl.dot(w3, x3, acc=total, input_precision="ieee")


@triton.jit
def add_nf4(
    total, packed, rows, block, x0, x1, x2, x3,
    WIDTH: tl.constexpr, GROUP: tl.constexpr, IN_REGISTERS: tl.constexpr, WIDEN: tl.constexpr,
):  # fmt: skip
    """NF4: a scale of the whole block, applied to the block's product."""
    codes, absmax, nested_absmax, table, offset, code = packed
    quarter = tl.arange(0, 16)
    halfwords = codes.to(tl.pointer_type(tl.uint16))
    data = tl.load(halfwords + rows[:, None] * (WIDTH // 4) + block * 16 + quarter[None, :])
    if IN_REGISTERS:
        w0, w1, w2, w3 = tl.inline_asm_elementwise(
            asm=NF4_ASSEMBLY,
            constraints=NF4_CONSTRAINTS,
            args=[data],
            dtype=(tl.bfloat16, tl.bfloat16, tl.bfloat16, tl.bfloat16),
            is_pure=True,
            pack=2,
        )
    else:
        # The first of two codes is in the high half of its byte.
        w0 = tl.load(code + (data >> 4 & 15))
        w1 = tl.load(code + (data & 15))
        w2 = tl.load(code + (data >> 12))
        w3 = tl.load(code + (data >> 8 & 15))
    product = _multiply(tl.zeros_like(total), w0, w1, w2, w3, x0, x1, x2, x3, WIDEN)
    which = rows * (WIDTH // 64) + block
    scale = tl.load(table + tl.load(absmax + which))
    scale = scale * tl.load(nested_absmax + which // 256)
    scale += tl.load(offset + which // 256)
    return total + product * scale[:, None]


@triton.jit
def add_int4(
    total, packed, rows, block, x0, x1, x2, x3,
    WIDTH: tl.constexpr, GROUP: tl.constexpr, IN_REGISTERS: tl.constexpr, WIDEN: tl.constexpr,
):  # fmt: skip
    """int4: groups of 32, 64 or 128 share a scale, applied to the weights: bf16(code * scale).

    A group of 32 ends within the block, so its scale cannot wait for the block's product.
    """
    words, scales = packed
    quarter = tl.arange(0, 16)
    halfwords = words.to(tl.pointer_type(tl.uint16))
    data = tl.load(halfwords + rows[:, None] * (WIDTH // 4) + block * 16 + quarter[None, :])
    if GROUP == 32:
        # Both scales of a row in one load; the halfwords 0 to 7 belong to the first.
        both = tl.load(scales.to(tl.pointer_type(tl.uint32)) + rows * (WIDTH // 64) + block)
        bits = tl.where(quarter[None, :] < 8, both[:, None], both[:, None] >> 16)
        scale = bits.to(tl.uint16)
    else:
        one = scales.to(tl.pointer_type(tl.uint16)) + rows * (WIDTH // GROUP)
        bits = tl.load(one + block * 64 // GROUP)
        scale = tl.broadcast_to(bits[:, None], data.shape)
    if IN_REGISTERS:
        w0, w1, w2, w3 = tl.inline_asm_elementwise(
            asm=INT4_ASSEMBLY,
            constraints=INT4_CONSTRAINTS,
            args=[data, scale],
            dtype=(tl.bfloat16, tl.bfloat16, tl.bfloat16, tl.bfloat16),
            is_pure=True,
            pack=2,
        )
    else:
        factor = scale.to(tl.bfloat16, bitcast=True).to(tl.float32)
        # The interpreter does not round to the nearest bfloat16, so nothing is rounded there.
        kind = tl.float32 if WIDEN else x0.dtype
        w0 = (((data & 15).to(tl.float32) - 8) * factor).to(kind)
        w1 = (((data >> 4 & 15).to(tl.float32) - 8) * factor).to(kind)
        w2 = (((data >> 8 & 15).to(tl.float32) - 8) * factor).to(kind)
        w3 = (((data >> 12).to(tl.float32) - 8) * factor).to(kind)
    return _multiply(total, w0, w1, w2, w3, x0, x1, x2, x3, WIDEN)
