"""A prompt that was read in pieces is a prompt that was read at once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.config import CacheSettings
from dg_lsp.models.gemma import denoiser as denoiser_module
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.prefix_cache import LayerShape, Prefix, PrefixCache
from dg_lsp.models.gemma.step import head_of

# Logits of the tiny model run to 25; float32 sums in another order differ by 1e-5.
TOLERANCE = 2e-4
# The window of the tiny model is 16.
LENGTH = st.integers(1, 45)
EDIT = st.one_of(
    st.tuples(st.just("type"), st.integers(1, 40)),
    st.tuples(st.just("delete"), st.integers(1, 60)),
    st.tuples(st.just("change"), st.integers(0, 59)),
    st.tuples(st.just("slide"), st.integers(1, 30)),
    st.tuples(st.just("nothing"), st.just(0)),
)


def edited(ids: list[int], kind: str, amount: int, salt: int) -> list[int]:
    """The prompt after an edit, never empty: a prompt begins with a control token."""
    if kind == "type":
        return ids + [5 + (salt * 31 + n * 7) % 290 for n in range(amount)]
    if kind == "delete":
        return ids[: max(1, len(ids) - amount)]
    if kind == "change":
        at = amount % len(ids)
        return [*ids[:at], 5 + (ids[at] + salt) % 290, *ids[at + 1 :]]
    if kind == "slide":
        return [*ids[:1], *ids[1 + amount :]]
    return ids


@torch.inference_mode()
def logits(denoiser: GemmaDenoiser, encoded) -> torch.Tensor:
    """Of two canvases after the prompt."""
    canvas = torch.arange(20, 29)
    return head_of(denoiser.model).logits(denoiser.hidden(encoded, canvas, [5, 4], None))


def check_same(model, cached: GemmaDenoiser, encoded, ids: list[int]) -> None:
    fresh = GemmaDenoiser(model)
    expect = fresh.encode(ids)
    torch.testing.assert_close(
        logits(cached, encoded), logits(fresh, expect), atol=TOLERANCE, rtol=0
    )
    continuation = [30, 31, 32]
    torch.testing.assert_close(
        cached.score(encoded, [continuation])[0],
        fresh.score(expect, [continuation])[0],
        atol=TOLERANCE,
        rtol=0,
    )


@settings(deadline=None, max_examples=12)
@given(
    first=LENGTH,
    edits=st.lists(st.tuples(EDIT, st.sampled_from("ab")), min_size=1, max_size=5),
    slack=st.sampled_from([0, 3, 20, 512]),
    piece=st.sampled_from([7, 16, 512]),
)
def test_any_edits_end_as_a_fresh_prompt(tiny_model, first, edits, slack, piece):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(denoiser_module, "ENCODE_TOKENS", piece)
        cached = GemmaDenoiser(tiny_model, CacheSettings(slack_tokens=slack))
        prompts = {name: edited([2], "type", first, ord(name)) for name in "ab"}
        old = []
        for salt, ((kind, amount), name) in enumerate(edits):
            prompts[name] = edited(prompts[name], kind, amount, salt)
            encoded = cached.encode(prompts[name], name)
            old.append((encoded, prompts[name]))
            assert tuple(prompts[name]) == encoded.ids
    for encoded, ids in (old[-1], old[0], old[len(old) // 2]):
        check_same(tiny_model, cached, encoded, ids)


def read(denoiser: GemmaDenoiser, ids: list[int], document: str = "") -> int:
    """How many tokens the encoder reads for a prompt."""
    before = denoiser.tokens_encoded
    denoiser.encode(ids, document)
    return denoiser.tokens_encoded - before


def test_only_what_is_new_is_read(tiny_model):
    denoiser = GemmaDenoiser(tiny_model)
    ids = list(range(5, 105))

    assert read(denoiser, ids) == 100
    assert read(denoiser, ids) == 0
    assert read(denoiser, [*ids, 7]) == 1
    assert read(denoiser, [*ids, 8, 9]) == 2
    # Taken back: only the last token is read again, for what it predicts.
    assert read(denoiser, ids) == 1
    assert read(denoiser, [*ids[:60], *ids[61:]]) == 39


def test_documents_do_not_disturb_each_other(tiny_model):
    denoiser = GemmaDenoiser(tiny_model)
    first, second = list(range(5, 65)), list(range(100, 150))

    assert [read(denoiser, first, "a"), read(denoiser, second, "b")] == [60, 50]
    assert [read(denoiser, [*first, 7], "a"), read(denoiser, [*second, 7], "b")] == [1, 1]


def test_beyond_the_slack_a_prompt_is_read_anew(tiny_model):
    ids = [5 + n % 290 for n in range(800)]

    assert read_back(tiny_model, ids, slack=512, back=300) == 1
    # Buffers grow in coarse steps, so a little more than the slack may still be there.
    assert read_back(tiny_model, ids, slack=0, back=600) == 200


def read_back(model, ids: list[int], slack: int, back: int) -> int:
    denoiser = GemmaDenoiser(model, CacheSettings(slack_tokens=slack))
    denoiser.encode(ids)
    return read(denoiser, ids[: len(ids) - back])


SHAPES = [LayerShape(2, 4, None), LayerShape(1, 4, 8)]


def prefix_of(count: int) -> Prefix:
    prefix = Prefix(SHAPES, 0, torch.float32, torch.device("cpu"))
    for index, shape in enumerate(SHAPES):
        states = torch.zeros(1, shape.heads, count, shape.dim)
        prefix.update(states, states, index)
    prefix.ids = list(range(count))
    return prefix


def test_the_least_recently_used_documents_go_first():
    size = prefix_of(100).nbytes
    cache = PrefixCache(3 * size)
    for name in "abc":
        cache.put(name, prefix_of(100))
    used = cache.take("a")
    assert used is not None
    cache.put("a", used)
    cache.put("d", prefix_of(100))

    assert cache.documents == ["c", "a", "d"]
    assert cache.nbytes == 3 * size <= cache.budget_bytes
    assert cache.clear() == 3 * size
    assert cache.nbytes == 0


def test_what_is_larger_than_the_budget_is_not_kept_and_costs_nobody_his_place():
    cache = PrefixCache(prefix_of(100).nbytes)
    cache.put("a", prefix_of(100))
    cache.put("b", prefix_of(2000))

    assert cache.documents == ["a"]


def test_a_prompt_beyond_the_budget_is_still_answered(tiny_model):
    denoiser = GemmaDenoiser(tiny_model, CacheSettings(prefix_bytes=0))
    ids = list(range(5, 45))
    encoded = denoiser.encode(ids, "a")

    assert denoiser.prefixes.documents == []
    check_same(tiny_model, denoiser, encoded, ids)


def test_a_sliding_layer_holds_little_more_than_its_window():
    prefix = Prefix([LayerShape(1, 4, 64)], 100, torch.float32, torch.device("cpu"))
    for _ in range(400):
        states = torch.zeros(1, 1, 10, 4)
        prefix.update(states, states, 0)

    assert prefix.layers[0].end == 4000
    assert prefix.nbytes <= 512 * 2 * 4 * 4


def test_no_prompt_is_empty(tiny_model):
    with pytest.raises(ValueError, match="token"):
        GemmaDenoiser(tiny_model).encode([])


def test_it_says_how_much_of_a_prompt_had_been_read(tiny_model):
    denoiser = GemmaDenoiser(tiny_model)
    prompts = ([2, 5, 6, 7], [2, 5, 6, 7], [2, 5, 6, 7, 8], [2, 5, 9, 9], [9, 9])

    assert [denoiser.encode(ids, "a").reused for ids in prompts] == [0, 4, 4, 2, 0]
    assert denoiser.encode(prompts[0], "b").reused == 0
