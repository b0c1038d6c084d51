"""Weights in NF4, in bitsandbytes' own layout: 4-bit codes, and an 8-bit scale per 64.

Two codes to a byte, the first in the high half. The scales are themselves quantized, 256 to
a block, around their mean.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dg_lsp.models.code_pairs import CodePairs, pair_table
from dg_lsp.models.nf4 import quantizing
from dg_lsp.models.nf4.quantizing import BLOCK as BLOCK
from dg_lsp.models.nf4.quantizing import CODE as CODE
from dg_lsp.reason import CodedError, ReasonCode

SLICE = 1 << 20
"""Values that a thread quantizes at once; with fewer, calling torch takes most of the time."""
SCALE_BLOCK = 256
"""Scales that share a scale of their own."""
STATE = "quant_state.bitsandbytes__nf4"
"""Suffix of the name under which bitsandbytes stores everything that is not a tensor."""


class QuantizationError(CodedError, ValueError):
    """A weight that cannot be stored in NF4."""

    code = ReasonCode.BAD_CHECKPOINT


@dataclass(frozen=True, slots=True)
class Nf4:
    """A packed matrix, or a stack of them with one quantization for all."""

    packed: Tensor
    """(values / 2,) uint8"""
    absmax: Tensor
    """(values / 64,) uint8, indices into `table`"""
    nested_absmax: Tensor
    """(values / 64 / 256, rounded up) float32"""
    table: Tensor
    """(256,) float32, the values of the 8-bit scales"""
    offset: Tensor
    """Like `nested_absmax`, the mean of the scales; differs only between merged weights"""
    shape: tuple[int, ...]
    """([experts,] outputs, inputs); the inputs are a multiple of `BLOCK`"""

    def scales(self) -> Tensor:
        """The scale of every block, (values / 64,) float32."""
        nested, offset = (
            each.repeat_interleave(SCALE_BLOCK)[: self.absmax.numel()]
            for each in (self.nested_absmax, self.offset)
        )
        return self.table[self.absmax.long()] * nested + offset

    def pairs(self) -> CodePairs:
        """Its codes without copying them, and its scales."""
        return _pairs(self.packed, self.scales(), self.shape)

    def decode(self, dtype: torch.dtype) -> Tensor:
        """The values, in the weight's shape."""
        return self.pairs().decode().to(dtype)

    def matrix(self, expert: int) -> Nf4Matrix:
        """One matrix of a stack, without copying it."""
        return Nf4Matrix(self, expert)

    def tensors(self) -> tuple[Tensor, ...]:
        return self.packed, self.absmax, self.nested_absmax, self.table, self.offset

    @property
    def bits_per_value(self) -> float:
        """Stored bits divided by the number of values."""
        stored = sum(tensor.numel() * tensor.element_size() for tensor in self.tensors())
        return stored * 8 / (self.packed.numel() * 2)


@dataclass(frozen=True, slots=True)
class Nf4Matrix:
    """One matrix of a stack."""

    stack: Nf4
    expert: int

    def pairs(self) -> CodePairs:
        """Its codes without copying them, and its scales."""
        _, outputs, inputs = self.stack.shape
        blocks = outputs * inputs // BLOCK
        start = self.expert * blocks
        which = torch.arange(start, start + blocks, device=self.stack.packed.device)
        scales = (
            self.stack.table[self.stack.absmax[start : start + blocks].long()]
            * self.stack.nested_absmax[which // SCALE_BLOCK]
            + self.stack.offset[which // SCALE_BLOCK]
        )
        packed = self.stack.packed[start * BLOCK // 2 : (start + blocks) * BLOCK // 2]
        return _pairs(packed, scales, (outputs, inputs))

    def decode(self, dtype: torch.dtype) -> Tensor:
        """(outputs, inputs)"""
        return self.pairs().decode().to(dtype)


def quantize(
    parts: Iterable[Tensor], shape: tuple[int, ...], device: torch.device | None = None
) -> Nf4:
    """Quantize a weight that arrives in parts, as bitsandbytes would quantize all of it.

    Each part may have any shape; its values follow those of the previous part, and their number
    is a multiple of `BLOCK`. Only one part is in memory in full precision at a time.
    """
    functional = bitsandbytes().functional
    values = torch.Size(shape).numel()
    if shape[-1] % BLOCK:
        raise QuantizationError(f"its rows have {shape[-1]} values, not a multiple of {BLOCK}")
    packed = torch.empty(values // 2, dtype=torch.uint8, device=device)
    absmax = torch.empty(values // BLOCK, dtype=torch.float32, device=device)
    done = 0
    # Every thread has a mode of its own.
    inference = torch.is_inference_mode_enabled()

    def quantize_slice(slice_: tuple[Tensor, Tensor, Tensor]) -> None:
        with torch.inference_mode(inference):
            _quantize_slice(*slice_)

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for part in parts:
            flat = part.to(packed.device).flatten()
            end = done + flat.numel()
            size = SLICE if flat.device.type == "cpu" else flat.numel()
            slices = zip(
                flat.split(size),
                packed[done // 2 : end // 2].split(size // 2),
                absmax[done // BLOCK : end // BLOCK].split(size // BLOCK),
                strict=True,
            )
            for _ in pool.map(quantize_slice, slices):
                pass
            done = end
    if done != values:
        raise QuantizationError(f"it has {done} values, not {values}")
    if not torch.isfinite(absmax).all():
        raise QuantizationError("it has values that are not finite")
    offset = absmax.mean()
    scales, nested = functional.quantize_blockwise(absmax - offset, blocksize=SCALE_BLOCK)
    offsets = offset.expand_as(nested.absmax).contiguous()
    return Nf4(packed, scales, nested.absmax, nested.code, offsets, shape)


def _quantize_slice(values: Tensor, packed: Tensor, absmax: Tensor) -> None:
    if not quantizing.quantize(values, packed, absmax):
        codes, state = bitsandbytes().functional.quantize_4bit(
            values, blocksize=BLOCK, quant_type="nf4"
        )
        packed.copy_(codes.flatten())
        absmax.copy_(state.absmax)


def to_bitsandbytes(weight: Nf4, dtype: torch.dtype) -> Any:
    """A `QuantState` over the same tensors, which together with `packed` is a `Params4bit`."""
    functional = bitsandbytes().functional
    nested = functional.QuantState(
        absmax=weight.nested_absmax,
        blocksize=SCALE_BLOCK,
        code=weight.table,
        dtype=torch.float32,
    )
    return functional.QuantState(
        absmax=weight.absmax,
        shape=torch.Size(weight.shape),
        dtype=dtype,
        blocksize=BLOCK,
        code=functional.get_4bit_type("nf4", device=weight.packed.device),
        quant_type="nf4",
        offset=weight.offset[0],
        state2=nested,
    )


def to_tensors(name: str, weight: Nf4, dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors that bitsandbytes writes into a file for a weight with this name."""
    state = to_bitsandbytes(weight, dtype).as_dict(packed=True)
    return {name: weight.packed[:, None]} | {f"{name}.{key}": state[key] for key in state}


def from_tensors(name: str, tensors: dict[str, Tensor], device: torch.device) -> Nf4:
    """Read the weight with this name as bitsandbytes writes it; does not need bitsandbytes."""
    try:
        state = json.loads(bytes(tensors[f"{name}.{STATE}"].tolist()))
        if (state["blocksize"], state["nested_blocksize"]) != (BLOCK, SCALE_BLOCK):
            raise QuantizationError(f"{name} has blocks of {state['blocksize']}, not {BLOCK}")
        nested = tensors[f"{name}.nested_absmax"].to(device)
        return Nf4(
            tensors[name].to(device).view(-1),
            tensors[f"{name}.absmax"].to(device),
            nested,
            tensors[f"{name}.nested_quant_map"].to(device),
            torch.full_like(nested, state["nested_offset"]),
            tuple(state["shape"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, QuantizationError):
            raise
        raise QuantizationError(f"{name} is not stored as bitsandbytes stores NF4") from error


@functools.cache
def code(device: torch.device, dtype: torch.dtype) -> Tensor:
    """The values of the 16 codes, (16,). The same tensor at every call."""
    return torch.tensor(CODE, dtype=torch.float32, device=device).to(dtype)


def has_bitsandbytes() -> bool:
    """Whether the library is installed; it is not available on every system."""
    return importlib.util.find_spec("bitsandbytes") is not None


@functools.cache
def bitsandbytes() -> Any:
    """The library, imported when something is quantized."""
    # It warns about a kernel that it would download.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    try:
        import bitsandbytes as library
    except ImportError as error:
        raise QuantizationError(
            "packing to 4 bits needs bitsandbytes, which is not installed; "
            "pip install bitsandbytes",
            ReasonCode.MISSING_PACKAGE,
        ) from error
    return library


@functools.cache
def _table(device: torch.device) -> Tensor:
    return pair_table(CODE, first_is_high=True, device=device)


def _pairs(packed: Tensor, scales: Tensor, shape: tuple[int, ...]) -> CodePairs:
    rows = shape[:-1]
    return CodePairs(packed.view(*rows, -1), scales.view(*rows, -1), _table(packed.device))
