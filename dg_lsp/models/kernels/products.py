"""Launches the matrix products of `tiles.py`, without waiting for the device.

Grids depend only on shapes and nothing is read back, so a CUDA graph can capture every call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dg_lsp.models.kernels import TOKENS_PER_TILE, decoders, is_interpreted, tiles
from dg_lsp.models.nf4.format import BLOCK, Nf4, code
from dg_lsp.models.w4a16.format import Int4

PAIRS_PER_LOOK = 1024


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a product is divided into tiles. `dg-lsp bench gpu` tries others."""

    outputs: int
    """Outputs of one program; gate and up count separately."""
    stages: int = 4
    """Loads in flight, so that decoding hides memory latency."""
    warps: int = 4


EXPERTS = Tiling(outputs=128)
"""As many outputs as four warps can hold with 64 tokens."""
MATRIX = Tiling(outputs=64)
"""One matrix has too few outputs to keep all multiprocessors busy with larger tiles."""


def sort_by_expert(index: Tensor, experts: int) -> tuple[Tensor, Tensor]:
    """Like `reference.sort_by_expert`, but without waiting for the device."""
    order = torch.empty(index.numel(), dtype=torch.int32, device=index.device)
    starts = torch.empty(experts + 1, dtype=torch.int32, device=index.device)
    tiles.sort_by_expert[(experts,)](
        index.contiguous(),
        order,
        starts,
        index.numel(),
        experts,
        PER_LOOK=PAIRS_PER_LOOK,
    )
    return order, starts


def grouped_experts(
    hidden: Tensor,
    index: Tensor,
    weights: Tensor,
    gate_up: Nf4 | Int4,
    down: Nf4 | Int4,
    tiling: Tiling = EXPERTS,
) -> Tensor:
    """Like `reference.grouped_experts`, with the tanh form of gelu."""
    return experts_of_split(split(hidden), index, weights, gate_up, down, tiling)


def experts_of_split(
    hidden: Tensor,
    index: Tensor,
    weights: Tensor,
    gate_up: Nf4 | Int4,
    down: Nf4 | Int4,
    tiling: Tiling = EXPERTS,
) -> Tensor:
    """`grouped_experts` of what `split` returned; four launches."""
    rows, width = hidden.shape
    experts, _, inner = down.shape
    top_k = index.shape[1]
    order, starts = sort_by_expert(index, experts)
    tile = tokens_per_tile(rows * top_k, experts)
    activated = hidden.new_empty(rows * top_k, inner)
    tiles.gate_up[(inner // (tiling.outputs // 2), experts)](
        hidden,
        order,
        starts,
        _pointers(gate_up, hidden.dtype),
        activated,
        TOP_K=top_k,
        HIDDEN=width,
        INNER=inner,
        TILE_N=tiling.outputs,
        TILE_M=tile,
        **_common(gate_up, hidden.dtype, tiling),
    )
    pairs = hidden.new_empty(rows * top_k, width)
    tile_n = tiling.outputs if width % tiling.outputs == 0 else 64
    tiles.down[(width // tile_n, experts)](
        activated,
        order,
        starts,
        weights.contiguous(),
        _pointers(down, hidden.dtype),
        pairs,
        HIDDEN=width,
        INNER=inner,
        TILE_N=tile_n,
        TILE_M=tile,
        **_common(down, hidden.dtype, tiling),
    )
    # Summed in a fixed order: with atomics, a job's text would not be reproducible.
    return pairs.view(rows, top_k, width).sum(dim=1)


def linear(rows: Tensor, weight: Nf4 | Int4) -> Tensor:
    """Like `reference.linear`."""
    return linear_of_split(split(rows), weight)


def linear_of_split(rows: Tensor, weight: Nf4 | Int4) -> Tensor:
    """`linear` of what `split` returned; one launch."""
    outputs, inputs = weight.shape
    count = rows.shape[0]
    out = rows.new_empty(count, outputs)
    tile = _tile(count)
    tiles.linear[(-(-outputs // MATRIX.outputs), -(-count // tile))](
        rows,
        count,
        _pointers(weight, rows.dtype),
        out,
        OUTPUTS=outputs,
        INPUTS=inputs,
        TILE_N=MATRIX.outputs,
        TILE_M=tile,
        **_common(weight, rows.dtype, MATRIX),
    )
    return out


def tokens_per_tile(pairs: int, experts: int) -> int:
    """Tokens per tile, chosen so that most experts need one tile and few lanes stay empty.

    Decided from shapes, because the counts are on the device. Every additional tile of an
    expert decodes its weights again, so there is room for twice the average, as routing is
    uneven.
    """
    return _tile(2 * pairs // experts)


def _tile(tokens: int) -> int:
    """The smallest tile that holds as many tokens, or the largest."""
    return next((size for size in TOKENS_PER_TILE if size >= tokens), TOKENS_PER_TILE[-1])


def split(rows: Tensor) -> Tensor:
    """Every fourth column, four times over, (rows, inputs): the order in which the kernels read
    activations. Compiled, it is fused with what makes the rows."""
    count, inputs = rows.shape
    return rows.view(count, inputs // 4, 4).transpose(1, 2).reshape(count, inputs)


def _pointers(weight: Nf4 | Int4, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """What the decoder of the weight's format reads."""
    if isinstance(weight, Nf4):
        return *weight.tensors(), code(weight.packed.device, dtype)
    return weight.tensors()


def _common(weight: Nf4 | Int4, dtype: torch.dtype, tiling: Tiling) -> dict[str, Any]:
    """Constants of every product."""
    # The interpreter multiplies bfloat16 as if it were an integer; float32 gives the same
    # result.
    is_half = dtype is torch.bfloat16
    decoder, group = (
        (decoders.add_nf4, BLOCK)
        if isinstance(weight, Nf4)
        else (decoders.add_int4, weight.group)
    )
    return {
        "ADD_BLOCK": decoder,
        "GROUP": group,
        "IN_REGISTERS": is_half and not is_interpreted(),
        "WIDEN": is_half and is_interpreted(),
        "num_stages": tiling.stages,
        "num_warps": tiling.warps,
    }
