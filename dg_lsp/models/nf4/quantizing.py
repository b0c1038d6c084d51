"""Quantizes bfloat16 weights to NF4 on a CPU, bit for bit as bitsandbytes does.

bitsandbytes multiplies a value by the reciprocal of its block's largest magnitude, in float32,
and looks for the nearest of 16 codes. Both come from bfloat16 with 7 bits of mantissa, and a
power of two changes no digit of a product. So the code depends only on the mantissa of the
largest value and on the sign, mantissa and relative exponent of the value: a table of 256 kB
holds the codes of all combinations.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

# fmt: off
CODE = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)
# fmt: on
"""Quantiles of the normal distribution (arXiv 2305.14314, appendix E)."""
BLOCK = 64
"""Values that share a scale."""
MANTISSA_BITS = 7
EXPONENT = 0x7F80
MAGNITUDE = 0x7FFF
EXPONENTS = 8
"""Relative exponents in the table. Values below 2^-7 of the largest have the code of zero."""
SIGN = EXPONENTS << MANTISSA_BITS
"""The bit of a key that tells the sign."""
ONE = 127 << MANTISSA_BITS
"""The bits of 1.0."""
LEAST, MOST = ONE - (100 << MANTISSA_BITS), ONE + (100 << MANTISSA_BITS)
"""Largest magnitudes whose reciprocals and products stay far from the limits of float32."""


def quantize(values: Tensor, packed: Tensor, absmax: Tensor) -> bool:
    """Quantize `values` (values,) into `packed` (values / 2,) and `absmax` (values / 64,).

    Returns false if it cannot: on another device or in another precision, or if a block's
    largest magnitude is extreme or not finite.
    """
    if values.device.type != "cpu" or values.dtype is not torch.bfloat16:
        return False
    bits = values.view(torch.int16).view(-1, BLOCK)
    # Magnitudes are ordered like their bits.
    magnitude = bits & MAGNITUDE
    largest = magnitude.amax(1)
    if ((largest > 0) & (largest < LEAST) | (largest > MOST)).any():
        return False
    absmax.copy_(largest.view(torch.bfloat16))
    # The key counts from the least exponent in the table; 0 stands for everything below it.
    least = ((largest & EXPONENT) - SIGN + (1 << MANTISSA_BITS)).clamp_(min=0)
    key = (magnitude - least[:, None]).clamp_(min=0)
    key += (bits >> 15) & SIGN
    row = (largest & (1 << MANTISSA_BITS) - 1).to(torch.int32) * (2 * SIGN)
    codes = torch.index_select(_table(), 0, (key + row[:, None]).view(-1))
    # The first code of two is in the low byte here, and in the high half of the packed one.
    both = codes.view(torch.int16)
    packed.copy_((both << 4) | (both >> 8))
    return True


@functools.cache
def _table() -> Tensor:
    """(mantissas of the largest * signs * exponents * mantissas,) uint8 codes."""
    code = torch.tensor(CODE, dtype=torch.float32)
    largest = torch.arange(ONE, ONE + (1 << MANTISSA_BITS), dtype=torch.int16)
    least = ONE - SIGN + (1 << MANTISSA_BITS)
    magnitude = torch.arange(least, least + SIGN, dtype=torch.int16).view(torch.bfloat16)
    magnitude[0] = 0
    values = torch.cat([magnitude, -magnitude]).float()
    scaled = values * (1.0 / largest.view(torch.bfloat16).float())[:, None]
    bounds = (code[:-1] + code[1:]) / 2
    # A largest value of 1.99 has larger ones in its row, which never occur.
    return torch.bucketize(scaled.clamp(-1, 1), bounds).to(torch.uint8).flatten()
