"""Launches the fused kernels.

Grids depend only on shapes and nothing is read back, so that a CUDA graph can capture every
call.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dg_lsp.models.gemma.fused import kernels
from dg_lsp.models.kernels import is_interpreted

TILE_ROWS, TILE_KEYS = 32, 32
"""As much as a program of the attention can keep in registers without spilling at the head
sizes 256 and 512, from sm_80 on; `python -m dg_lsp.benchmark.gpu.assembly` counts them."""
MOST_PARTS = 32
KEYS_PER_PART = 256
"""With few key heads, the keys are divided, so that all multiprocessors have work."""
WARPS = 4


def rotate_and_store(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_scale: Tensor,
    key_scale: Tensor,
    cos: Tensor,
    sin: Tensor,
    keys: Tensor,
    values: Tensor,
    epsilon: float,
) -> Tensor:
    """Like `reference.rotate_and_store`; one launch."""
    rows, heads, dim = query.shape
    key_heads = key.shape[1]
    rotated = query.new_empty(query.shape)
    kernels.rotate_and_store[(rows, heads + 2 * key_heads)](
        query,
        key,
        value,
        query_scale,
        key_scale,
        cos.contiguous(),
        sin.contiguous(),
        rotated,
        keys,
        values,
        keys.shape[1] - rows,
        epsilon,
        query.stride(0),
        key.stride(0),
        value.stride(0),
        keys.stride(0),
        QUERY_HEADS=heads,
        KEY_HEADS=key_heads,
        HALF=dim // 2,
        num_warps=1,
    )
    return rotated


def attend(query: Tensor, keys: Tensor, values: Tensor, lane: Tensor, seen: Tensor) -> Tensor:
    """Like `reference.attend`; two launches."""
    rows, heads, dim = query.shape
    key_heads, count = keys.shape[:2]
    groups = heads // key_heads
    parts = parts_of(count)
    part = query.new_empty(parts, rows, heads, dim, dtype=torch.float32)
    peaks = query.new_empty(parts, rows, heads, dtype=torch.float32)
    masses = torch.empty_like(peaks)
    kernels.attend_part[(-(-rows * groups // TILE_ROWS), key_heads, parts)](
        query,
        keys,
        values,
        lane,
        seen,
        part,
        peaks,
        masses,
        rows,
        count - rows,
        keys.stride(0),
        QUERY_HEADS=heads,
        GROUPS=groups,
        DIM=dim,
        TILE_M=TILE_ROWS,
        TILE_N=TILE_KEYS,
        PARTS=parts,
        # The interpreter cannot multiply bfloat16.
        WIDEN=is_interpreted(),
        **attention_options(dim),
    )
    out = torch.empty_like(query)
    kernels.attend_join[(rows * heads,)](
        part, peaks, masses, out, rows * heads, DIM=dim, PARTS=parts, num_warps=WARPS
    )
    return out


def attention_options(dim: int) -> dict[str, int]:
    """Warps, and loads in flight, of the attention at a head size."""
    large = dim > 256
    return {"num_warps": 8 if large else 4, "num_stages": 1 if large else 2}


def parts_of(keys: int) -> int:
    """Into how many parts the keys of a step are divided; a power of two."""
    wanted = max(1, keys // KEYS_PER_PART)
    return min(MOST_PARTS, 1 << (wanted - 1).bit_length())


def route(logits: Tensor, scale: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Like `reference.route`; one launch."""
    rows, experts = logits.shape
    weights = torch.empty(rows, count, dtype=torch.float32, device=logits.device)
    index = torch.empty(rows, count, dtype=torch.int64, device=logits.device)
    kernels.route[(rows,)](
        logits, scale, weights, index, EXPERTS=experts, COUNT=count, num_warps=1
    )
    return weights, index
