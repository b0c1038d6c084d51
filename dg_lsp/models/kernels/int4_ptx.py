"""Decodes two halfwords of int4 and their scales to eight bfloat16 in 15 instructions of PTX,
besides constants.

A code n, 0 to 15, stands for n - 8. Put into the low bits of 0x4300 it is the bfloat16 number
128 + n, from which 136 is subtracted without rounding; the product with the scale is rounded
once, as in a checkpoint that was decoded to bfloat16. `fma` does both, because `sub` and `mul`
of two bfloat16 at a time need compute capability 9.0.
"""

from __future__ import annotations

ONE, MINUS_ZERO, MINUS_136 = "0x3F803F80", "0x80008000", "0xC308C308"
AND_THEN_OR = "0xEA"
"""`lop3` of a, b and c: (a & b) | c."""


def _column(number: int) -> str:
    """One of the four columns of both halfwords."""
    shift = f"\n    shr.b32 code, $4, {4 * number};" if number else ""
    source = "code" if number else "$4"
    return f"""{shift}
    lop3.b32 code, {source}, 0x000F000F, 0x43004300, {AND_THEN_OR};
    fma.rn.bf16x2 code, code, one, minus136;
    fma.rn.bf16x2 ${number}, code, $5, zero;"""


ASSEMBLY = f"""{{
    .reg .b32 code, one, minus136, zero;
    mov.b32 one, {ONE};
    mov.b32 minus136, {MINUS_136};
    mov.b32 zero, {MINUS_ZERO};{"".join(map(_column, range(4)))}
}}"""
"""In: $4, two halfwords, and $5, the scale of each, in bfloat16. Out: $0 to $3, columns 0 to 3
of the first and second halfword."""
CONSTRAINTS = "=&r,=&r,=&r,=&r,r,r"
