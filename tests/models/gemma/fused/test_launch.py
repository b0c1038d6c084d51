"""The fused kernels against their references, in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch

from dg_lsp.models.gemma.fused import reference
from dg_lsp.models.gemma.masks import lanes, slots_seen

pytest.importorskip("triton", reason="Triton is there on Linux only")
from dg_lsp.models.gemma.fused import launch

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("rows", "heads", "key_heads", "dim", "slots"),
    [(1, 4, 2, 32, 0), (5, 4, 1, 64, 64), (3, 4, 2, 256, 128), (2, 4, 1, 512, 7)],
)
def test_queries_are_rotated_and_keys_and_values_stored(
    rows, heads, key_heads, dim, slots, dtype
):
    torch.manual_seed(rows)
    # As merged products leave them: the heads of all three beside each other.
    width = heads + 2 * key_heads
    query, key, value = (
        torch.randn(rows, width, dim).to(dtype).split([heads, key_heads, key_heads], 1)
    )
    scales = torch.randn(2, dim).to(dtype)
    angle = torch.randn(rows, dim // 2).repeat(1, 2)
    cos, sin = angle.cos().to(dtype), angle.sin().to(dtype)
    # A view into a larger buffer, as the workspace gives it.
    buffer = torch.randn(2, key_heads, slots + rows + 3, dim).to(dtype)
    ours, theirs = buffer.clone(), buffer.clone()

    results = [
        function(query, key, value, *scales, cos, sin, *store[:, :, 1 : 1 + slots + rows], 1e-6)
        for function, store in (
            (launch.rotate_and_store, ours),
            (reference.rotate_and_store, theirs),
        )
    ]

    torch.testing.assert_close(*results, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])
    assert torch.equal(ours[:, :, 0], buffer[:, :, 0])
    assert torch.equal(ours[:, :, 1 + slots + rows :], buffer[:, :, 1 + slots + rows :])


def test_full_attention_layers_use_their_keys_as_values():
    torch.manual_seed(0)
    query, key = torch.randn(4, 4, 32), torch.randn(4, 1, 32)
    cos, sin = torch.ones(4, 32), torch.zeros(4, 32)
    keys, values = torch.zeros(2, 1, 4, 32)

    launch.rotate_and_store(
        query, key, key, torch.ones(32), torch.full((32,), 2.0), cos, sin, keys, values, 1e-6
    )

    torch.testing.assert_close(keys, 2 * values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("lengths", "padding", "heads", "key_heads", "dim", "slots", "cached"),
    [
        ((1,), 0, 2, 2, 32, 0, 0),
        ((3, 2), 3, 4, 2, 32, 64, 40),
        ((4, 4, 4), 0, 4, 1, 64, 128, 128),
        ((5,), 3, 8, 2, 16, 600, 599),
        ((3, 4), 1, 2, 1, 512, 64, 1),
    ],
)
def test_canvases_see_the_cached_tokens_and_themselves(
    lengths, padding, heads, key_heads, dim, slots, cached, dtype
):
    torch.manual_seed(dim)
    rows = sum(lengths) + padding
    lane = torch.cat(
        [torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths)),
         -1 - torch.arange(padding)]
    ).int()  # fmt: skip
    query = torch.randn(rows, heads, dim).to(dtype) / dim**0.5
    keys, values = torch.randn(2, key_heads, slots + rows, dim).to(dtype)
    seen = slots_seen(lengths, [range(cached)] * len(lengths), rows, slots)

    ours = launch.attend(query, keys, values, lane, seen)
    theirs = reference.attend(query, keys, values, lane, seen)

    torch.testing.assert_close(ours, theirs, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


def test_what_lies_before_the_cached_tokens_has_no_effect():
    torch.manual_seed(0)
    query, (keys, values) = torch.randn(4, 2, 32), torch.randn(2, 2, 68, 32)
    lane, seen = torch.zeros(4, dtype=torch.int32), slots_seen([4], [range(20)], 4, 64)
    before = launch.attend(query, keys, values, lane, seen)

    keys[:, :44], values[:, :44] = 1e4, 1e4

    assert torch.equal(launch.attend(query, keys, values, lane, seen), before)


@pytest.mark.parametrize(
    ("lengths", "places", "padding", "slots"),
    [
        # Next to each other, with a gap, in another order; aligned with tiles and not.
        ((3, 2), [range(64), range(64, 128)], 3, 128),
        ((3, 20, 17), [range(5, 9), range(5, 9), range(70, 333)], 0, 340),
        ((9, 30), [range(100, 101), range(33)], 1, 101),
        ((40, 40), [range(0), range(3, 90)], 2, 96),
    ],
)
def test_canvases_of_several_prompts_see_their_own(lengths, places, padding, slots):
    torch.manual_seed(slots)
    rows = sum(lengths) + padding
    query = torch.randn(rows, 4, 32) / 32**0.5
    keys, values = torch.randn(2, 2, slots + rows, 32)
    lane, seen = lanes(lengths, rows), slots_seen(lengths, places, rows, slots)

    ours = launch.attend(query, keys, values, lane, seen)
    torch.testing.assert_close(
        ours, reference.attend(query, keys, values, lane, seen), atol=1e-5, rtol=1e-5
    )
    # What nobody sees has no effect, whatever it is.
    unseen = torch.ones(slots, dtype=torch.bool)
    for place in places:
        unseen[slots - place.stop : slots - place.start] = False
    keys[:, :slots][:, unseen] = values[:, :slots][:, unseen] = 1e4
    assert torch.equal(launch.attend(query, keys, values, lane, seen), ours)


@pytest.mark.parametrize(("experts", "count"), [(8, 2), (128, 8), (4, 4)])
def test_routes_like_softmax_and_topk(experts, count):
    torch.manual_seed(experts)
    logits, scale = 3 * torch.randn(7, experts), torch.rand(experts) + 0.5

    weights, index = launch.route(logits, scale, count)
    expected, best = reference.route(logits, scale, count)
    assert torch.equal(index, best)
    torch.testing.assert_close(weights, expected)
