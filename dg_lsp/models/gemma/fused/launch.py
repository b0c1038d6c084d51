"""Launches the fused kernels as torch operations, so that compiled layers may contain them.

Grids depend only on shapes and nothing is read back, so that a CUDA graph can capture every
call.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dg_lsp.models.gemma.fused import kernels
from dg_lsp.models.nf4.kernels import is_interpreted

TILE_ROWS, TILE_KEYS = 16, 32
"""What a program of the attention keeps in registers and shared memory at a head size of 512,
on every GPU from sm_80 on; docs/benchmarks.md has the table."""
MOST_PARTS = 32
KEYS_PER_PART = 256
"""With few key heads, the keys are divided, so that all multiprocessors have work."""
WARPS = 4


@torch.library.custom_op("dg_lsp::rotate_and_store", mutates_args=("keys", "values"))
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


@rotate_and_store.register_fake
def _(query: Tensor, *_: object) -> Tensor:
    return query.new_empty(query.shape)


@torch.library.custom_op("dg_lsp::attend", mutates_args=())
def attend(
    query: Tensor, keys: Tensor, values: Tensor, lane: Tensor, cached: Tensor
) -> Tensor:
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
        cached,
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
        WIDEN=is_interpreted(),
        num_warps=WARPS,
        num_stages=1,
    )
    out = torch.empty_like(query)
    kernels.attend_join[(rows * heads,)](
        part, peaks, masses, out, rows * heads, DIM=dim, PARTS=parts, num_warps=WARPS
    )
    return out


@attend.register_fake
def _(query: Tensor, *_: object) -> Tensor:
    return torch.empty_like(query)


def parts_of(keys: int) -> int:
    """Into how many parts the keys of a step are divided; a power of two."""
    wanted = max(1, keys // KEYS_PER_PART)
    return min(MOST_PARTS, 1 << (wanted - 1).bit_length())


@torch.library.custom_op("dg_lsp::route", mutates_args=())
def route(logits: Tensor, scale: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Like `reference.route`; one launch."""
    rows, experts = logits.shape
    weights = torch.empty(rows, count, dtype=torch.float32, device=logits.device)
    index = torch.empty(rows, count, dtype=torch.int64, device=logits.device)
    kernels.route[(rows,)](
        logits, scale, weights, index, EXPERTS=experts, COUNT=count, num_warps=1
    )
    return weights, index


@route.register_fake
def _(logits: Tensor, scale: Tensor, count: int) -> tuple[Tensor, Tensor]:
    rows = logits.shape[0]
    return (
        logits.new_empty(rows, count, dtype=torch.float32),
        logits.new_empty(rows, count, dtype=torch.int64),
    )
