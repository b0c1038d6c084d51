"""The device code of the fused kernels, in Triton; `launch.py` documents and launches them."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _normed(first, second, scale, half, HALF: tl.constexpr, epsilon, SCALED: tl.constexpr):
    """Both halves of a head over their root mean square, rounded as the class rounds."""
    square = tl.sum(first * first, axis=0) + tl.sum(second * second, axis=0)
    shrink = 1.0 / tl.sqrt(square / (2 * HALF) + epsilon)
    first, second = first * shrink, second * shrink
    if SCALED:
        first *= tl.load(scale + half).to(tl.float32)
        second *= tl.load(scale + HALF + half).to(tl.float32)
    return first, second


@triton.jit
def rotate_and_store(
    query, key, value, query_scale, key_scale, cos, sin, rotated, keys, values,
    slots, epsilon, query_stride, key_stride, value_stride, head_stride,
    QUERY_HEADS: tl.constexpr, KEY_HEADS: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    """One program for each row and head: first those of the query, then keys, then values."""
    row, head = tl.program_id(0), tl.program_id(1)
    half = tl.arange(0, HALF)
    kind = query.dtype.element_ty
    is_query = head < QUERY_HEADS
    is_value = head >= QUERY_HEADS + KEY_HEADS
    if is_query:
        source = query + row * query_stride + head * 2 * HALF
        target = rotated + (row * QUERY_HEADS + head) * 2 * HALF
    elif is_value:
        own = head - QUERY_HEADS - KEY_HEADS
        source = value + row * value_stride + own * 2 * HALF
        target = values + own * head_stride + (slots + row) * 2 * HALF
    else:
        own = head - QUERY_HEADS
        source = key + row * key_stride + own * 2 * HALF
        target = keys + own * head_stride + (slots + row) * 2 * HALF
    first = tl.load(source + half).to(tl.float32)
    second = tl.load(source + HALF + half).to(tl.float32)
    if is_value:
        first, second = _normed(first, second, key_scale, half, HALF, epsilon, False)
    else:
        scale = query_scale if is_query else key_scale
        first, second = _normed(first, second, scale, half, HALF, epsilon, True)
        first, second = first.to(kind).to(tl.float32), second.to(kind).to(tl.float32)
        at = row * 2 * HALF + half
        turned_first = first * tl.load(cos + at).to(tl.float32)
        turned_first -= second * tl.load(sin + at).to(tl.float32)
        turned_second = second * tl.load(cos + HALF + at).to(tl.float32)
        turned_second += first * tl.load(sin + HALF + at).to(tl.float32)
        first, second = turned_first, turned_second
    tl.store(target + half, first.to(kind))
    tl.store(target + HALF + half, second.to(kind))


@triton.jit
def route(logits, scale, weights, index, EXPERTS: tl.constexpr, COUNT: tl.constexpr):
    """One program for each row. Of equal experts, the first wins."""
    row = tl.program_id(0)
    expert = tl.arange(0, EXPERTS)
    left = tl.load(logits + row * EXPERTS + expert).to(tl.float32)
    peak = tl.max(left, axis=0)
    total = 0.0
    for place in tl.static_range(COUNT):
        best = tl.argmax(left, axis=0)
        weight = tl.exp(tl.max(left, axis=0) - peak)
        total += weight
        tl.store(index + row * COUNT + place, best.to(tl.int64))
        tl.store(weights + row * COUNT + place, weight)
        left = tl.where(expert == best, float("-inf"), left)
    tl.debug_barrier()
    for place in tl.static_range(COUNT):
        own = tl.load(scale + tl.load(index + row * COUNT + place)).to(tl.float32)
        weight = tl.load(weights + row * COUNT + place)
        tl.store(weights + row * COUNT + place, weight / total * own)


@triton.jit
def attend_part(
    query, keys, values, lane, seen, part, peaks, masses, rows, slots, head_stride,
    QUERY_HEADS: tl.constexpr, GROUPS: tl.constexpr, DIM: tl.constexpr,
    TILE_M: tl.constexpr, TILE_N: tl.constexpr, PARTS: tl.constexpr, WIDEN: tl.constexpr,
):  # fmt: skip
    """One program for each tile of query rows, key head, and part of the keys.

    A query row is a row of one query head; the `GROUPS` heads that share a key head are
    neighbours, so that a tile reads its keys once, and only those between the first and the
    last slot that any of its rows sees. Online softmax as in FlashAttention (Dao et
    al., arXiv 2205.14135), and parts that `attend_join` joins as in Flash-Decoding.
    """
    tile, key_head, which = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    member = tile * TILE_M + tl.arange(0, TILE_M)
    row = member // GROUPS
    inside = row < rows
    head = key_head * GROUPS + member % GROUPS
    dim = tl.arange(0, DIM)
    at = (row * QUERY_HEADS + head)[:, None] * DIM + dim[None, :]
    asked = tl.load(query + at, mask=inside[:, None], other=0.0)
    own = tl.load(lane + row, mask=inside, other=-1)
    first = tl.load(seen + row, mask=inside, other=0)
    end = tl.load(seen + rows + row, mask=inside, other=0)
    # Tiles of slots that are read; the one that holds the first row comes after them.
    with_rows = slots // TILE_N
    lowest = tl.min(tl.where(first < end, first, slots), axis=0) // TILE_N
    highest = tl.minimum(tl.cdiv(tl.max(end, axis=0), TILE_N), with_rows)
    before = tl.maximum(highest - lowest, 0)
    peak = tl.full((TILE_M,), -1e30, tl.float32)
    mass = tl.zeros((TILE_M,), tl.float32)
    total = tl.zeros((TILE_M, DIM), tl.float32)
    count = slots + rows
    tiles = before + tl.cdiv(count, TILE_N) - with_rows
    each = tl.cdiv(tiles, PARTS)
    for step in range(which * each, tl.minimum(which * each + each, tiles)):
        place = tl.where(step < before, lowest + step, with_rows + step - before)
        slot = place * TILE_N + tl.arange(0, TILE_N)
        there = slot < count
        start = key_head.to(tl.int64) * head_stride
        held = tl.load(
            keys + start + slot[None, :] * DIM + dim[:, None], mask=there[None, :], other=0.0
        )
        other = tl.load(lane + slot - slots, mask=there & (slot >= slots), other=-1)
        sees = tl.where(
            (slot < slots)[None, :],
            (slot[None, :] >= first[:, None]) & (slot[None, :] < end[:, None]),
            (own[:, None] == other[None, :]) & there[None, :],
        )
        if WIDEN:
            logits = tl.dot(asked.to(tl.float32), held.to(tl.float32), input_precision="ieee")
        else:
            logits = tl.dot(asked, held, input_precision="ieee")
        logits = tl.where(sees, logits, -1e30)
        risen = tl.maximum(peak, tl.max(logits, axis=1))
        shrink = tl.exp(peak - risen)
        weights = tl.where(sees, tl.exp(logits - risen[:, None]), 0.0)
        mass = mass * shrink + tl.sum(weights, axis=1)
        said = tl.load(
            values + start + slot[:, None] * DIM + dim[None, :], mask=there[:, None], other=0.0
        )
        total = total * shrink[:, None]
        if WIDEN:
            total = tl.dot(weights, said.to(tl.float32), acc=total, input_precision="ieee")
        else:
            total = tl.dot(weights.to(said.dtype), said, acc=total, input_precision="ieee")
        peak = risen
    spot = (which * rows + row) * QUERY_HEADS + head
    tl.store(part + spot[:, None] * DIM + dim[None, :], total, mask=inside[:, None])
    tl.store(peaks + spot, peak, mask=inside)
    tl.store(masses + spot, mass, mask=inside)


@triton.jit
def attend_join(
    part, peaks, masses, out, pairs, DIM: tl.constexpr, PARTS: tl.constexpr
):  # fmt: skip
    """One program for each row of each query head; `pairs` of them."""
    pair = tl.program_id(0)
    which = tl.arange(0, PARTS)
    dim = tl.arange(0, DIM)
    peak = tl.load(peaks + which * pairs + pair)
    share = tl.exp(peak - tl.max(peak, axis=0))
    mass = tl.sum(share * tl.load(masses + which * pairs + pair), axis=0)
    spot = (which * pairs + pair).to(tl.int64)
    each = tl.load(part + spot[:, None] * DIM + dim[None, :])
    joined = tl.sum(each * share[:, None], axis=0) / mass
    tl.store(out + pair * DIM + dim, joined.to(out.dtype.element_ty))
