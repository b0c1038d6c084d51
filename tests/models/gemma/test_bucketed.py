"""A step in a bucket is the plain step."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch

from dg_lsp.config import CacheSettings, SamplerSettings
from dg_lsp.engine.denoiser import Canvases, OutOfMemoryError, Prediction
from dg_lsp.engine.denoising import Denoising
from dg_lsp.engine.prompt import CanvasPlan
from dg_lsp.engine.uniform import UniformCorruption
from dg_lsp.models import prepared as limits
from dg_lsp.models.captured import Captured, uncaptured
from dg_lsp.models.gemma import buckets
from dg_lsp.models.gemma.bucketed import BucketedSteps
from dg_lsp.models.gemma.buckets import RESERVED_ROWS, Bucket, Reading, usual
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.step import PLAIN

VOCAB_MARGIN = 5


def canvases(model, lengths: list[int], free_share: float, seed: int) -> Canvases:
    generator = torch.Generator().manual_seed(seed)
    is_free = torch.rand(sum(lengths), generator=generator) < free_share
    is_free[0] = True
    vocab = model.lm_head.weight.shape[0]
    disallowed = torch.rand(2, vocab, generator=generator) < 0.3
    free = is_free.nonzero().squeeze(1)
    return Canvases(
        tuple(lengths),
        free,
        (~is_free).nonzero().squeeze(1),
        disallowed,
        torch.randint(2, (len(free),), generator=generator),
    )


def steps(denoiser: GemmaDenoiser, prompt: int, given: Canvases, seed: int) -> list[Prediction]:
    """Three steps, each conditioned on the one before."""
    generator = torch.Generator().manual_seed(seed)
    encoded = denoiser.encode([5 + n % 290 for n in range(prompt)])
    rows = sum(given.lengths)
    made: list[Prediction] = []
    for temperature in (0.8, 0.5, 0.2):
        made.append(
            denoiser.denoise(
                encoded,
                given,
                torch.randint(VOCAB_MARGIN, 290, (rows,), generator=generator),
                made[-1].conditioning if made else None,
                temperature,
                torch.rand(len(given.free), generator=generator),
            )
        )
    return made


def ids(count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCAB_MARGIN, 290, (count,), generator=generator).tolist()


def check_same(ours: Prediction, theirs: Prediction) -> None:
    assert torch.equal(ours.sampled, theirs.sampled)
    assert torch.equal(ours.argmax, theirs.argmax)
    for name in ("log_probability", "entropy", "free_fit", "pinned_fit", "conditioning"):
        a, b = getattr(ours, name), getattr(theirs, name)
        torch.testing.assert_close(a, b, atol=2e-4, rtol=0, msg=name)


# Around the window of 16, with the cached tokens of sliding layers full and not full.
@pytest.mark.parametrize("prompt", [1, 15, 17, 260])
@pytest.mark.parametrize("lengths", [[5], [16], [7, 1, 20, 12]])
def test_padding_changes_nothing(tiny_model, prompt, lengths):
    plain = GemmaDenoiser(tiny_model)
    bucketed = GemmaDenoiser(tiny_model, bucketed=BucketedSteps(uncaptured))
    for seed, share in enumerate((0.3, 1.0)):
        given = canvases(tiny_model, lengths, share, seed)
        for ours, theirs in zip(
            steps(bucketed, prompt, given, seed),
            steps(plain, prompt, given, seed),
            strict=True,
        ):
            check_same(ours, theirs)


def test_what_stood_in_a_buffer_before_is_not_seen(tiny_model):
    """Large canvases after a long prompt, then small ones after a short one, and back."""
    made = BucketedSteps(uncaptured)
    bucketed = GemmaDenoiser(tiny_model, bucketed=made)
    cases = [(200, [16], 1.0), (3, [4], 0.5), (120, [9, 7], 0.4), (200, [16], 1.0)]
    for seed, (prompt, lengths, share) in enumerate(cases):
        given = canvases(tiny_model, lengths, share, seed)
        plain = steps(GemmaDenoiser(tiny_model), prompt, given, seed)
        for ours, theirs in zip(steps(bucketed, prompt, given, seed), plain, strict=True):
            check_same(ours, theirs)
    assert made.buckets == [Bucket(256, 16, 16), Bucket(256, 32, 16)]


def test_results_outlive_the_next_step(tiny_model):
    bucketed = GemmaDenoiser(tiny_model, bucketed=BucketedSteps(uncaptured))
    given = canvases(tiny_model, [8], 0.6, 0)
    first = steps(bucketed, 30, given, 1)
    kept = [one.conditioning.clone() for one in first]
    steps(bucketed, 20, given, 2)

    for one, before in zip(first, kept, strict=True):
        assert torch.equal(one.conditioning, before)


def test_a_step_is_prepared_once_and_again_when_buffers_moved(tiny_model):
    made = BucketedSteps(uncaptured)
    denoiser = GemmaDenoiser(tiny_model, bucketed=made)
    given = canvases(tiny_model, [8], 0.6, 0)
    steps(denoiser, 30, given, 0)
    steps(denoiser, 60, given, 0)
    assert made.buckets == [Bucket(256, 32, 16)]
    steps(denoiser, 300, given, 0)
    assert (made.buckets, made.readings) == ([Bucket(512, 32, 16)], [])
    steps(denoiser, 30, given, 0)
    assert made.buckets == [Bucket(256, 32, 16), Bucket(512, 32, 16)]


def test_what_no_bucket_holds_runs_plainly(tiny_model, monkeypatch):
    monkeypatch.setattr(buckets, "ROWS", (16,))
    made = BucketedSteps(uncaptured)
    given = canvases(tiny_model, [12, 12], 0.5, 0)
    theirs = steps(GemmaDenoiser(tiny_model), 30, given, 0)
    ours = steps(GemmaDenoiser(tiny_model, bucketed=made), 30, given, 0)

    assert made.buckets == []
    for a, b in zip(ours, theirs, strict=True):
        check_same(a, b)


def test_a_whole_denoising_ends_the_same(tiny_model, tiny_codec):
    def texts(denoiser: GemmaDenoiser) -> list[list[int]]:
        plans = [
            CanvasPlan(
                (-1,) * count + (60, 61),
                0,
                count,
                (tiny_codec.encode("r")[0],),
                (),
                is_open=False,
            )
            for count in (3, 5, 9)
        ]
        denoising = Denoising(
            denoiser,
            denoiser.encode([2, *range(40, 80)]),
            plans,
            tiny_codec,
            UniformCorruption(
                SamplerSettings(max_denoising_steps=8, stability_threshold=8),
                denoiser.device,
                seed=3,
            ),
        )
        while not denoising.done:
            denoising.step()
            if denoising.step_idx == 3:
                denoising.keep(denoising.lanes[1:])
        return [lane.shown.tolist() for lane in denoising.lanes]

    assert texts(GemmaDenoiser(tiny_model)) == texts(
        GemmaDenoiser(tiny_model, bucketed=BucketedSteps(uncaptured))
    )


def test_warming_up_prepares_steps_and_tells_how_far_it_is(tiny_model):
    made = BucketedSteps(uncaptured)
    denoiser = GemmaDenoiser(tiny_model, bucketed=made)
    told: list[tuple[int, int]] = []
    denoiser.warm_up(300, lambda done, total: told.append((done, total)))

    assert {bucket.cached for bucket in made.buckets} == {256, 320}
    assert {reading.cached for reading in made.readings} == {256, 320}
    assert len(made.buckets) + len(made.readings) == len(usual(300)) == len(told)
    assert told == [(n + 1, len(told)) for n in range(len(told))]
    # Without buckets there is nothing to prepare.
    GemmaDenoiser(tiny_model).warm_up(300, lambda done, total: told.append((0, 0)))
    assert (0, 0) not in told


@pytest.mark.parametrize(
    ("prompt", "lengths"),
    [
        (1, [5]),
        (320, [40] * 12),
        # A rewrite of a whole canvas, with others of its length around it.
        (300, [128, 192, 256, 256]),
    ],
)
def test_after_a_warm_up_nothing_grows(tiny_model, prompt, lengths):
    made = BucketedSteps(uncaptured)
    denoiser = GemmaDenoiser(tiny_model, bucketed=made)
    denoiser.warm_up(320, lambda done, total: None)
    ready = made.buckets
    assert sum(lengths) <= RESERVED_ROWS
    given = canvases(tiny_model, lengths, 0.9, 0)
    ours, theirs = (
        steps(one, prompt, given, 0) for one in (denoiser, GemmaDenoiser(tiny_model))
    )

    for a, b in zip(ours, theirs, strict=True):
        check_same(a, b)
    assert set(ready) <= set(made.buckets)


def test_the_least_recently_used_steps_are_dropped(tiny_model, monkeypatch):
    monkeypatch.setattr(limits, "MOST_PREPARED", 2)
    made = BucketedSteps(uncaptured)
    denoiser = GemmaDenoiser(tiny_model, bucketed=made)
    small, middle, large = (canvases(tiny_model, [count], 1.0, 0) for count in (9, 20, 40))
    for given in (large, small, middle, small, large):
        steps(denoiser, 10, given, 0)

    assert made.buckets == [Bucket(256, 16, 16), Bucket(256, 48, 48)]


def test_steps_hold_no_more_bytes_than_allowed(tiny_model, monkeypatch):
    made = BucketedSteps(lambda forward: Captured(forward, nbytes=1000))
    denoiser = GemmaDenoiser(tiny_model, bucketed=made)
    given = [canvases(tiny_model, [count], 1.0, 0) for count in (40, 20, 9)]
    for each in given[:2]:
        steps(denoiser, 10, each, 0)
    assert made.nbytes > 2 * 1000
    monkeypatch.setattr(limits, "MOST_BYTES", made.nbytes)
    steps(denoiser, 10, given[2], 0)
    assert made.buckets == [Bucket(256, 16, 16), Bucket(256, 32, 32)]
    # One that is too large by itself is used all the same.
    monkeypatch.setattr(limits, "MOST_BYTES", 0)
    steps(denoiser, 10, given[0], 0)
    assert made.buckets == [Bucket(256, 48, 48)]


@pytest.mark.parametrize("prompt", [1, 15, 17, 260])
def test_scores_in_a_bucket_are_the_plain_ones(tiny_model, prompt):
    plain = GemmaDenoiser(tiny_model)
    made = BucketedSteps(uncaptured)
    bucketed = GemmaDenoiser(tiny_model, bucketed=made)
    # First as many as fit, so that what they leave is there to be seen.
    for lengths in ([30, 34], [5], [0, 1, 40, 0, 7], [1]):
        continuations = [ids(length, seed) for seed, length in enumerate(lengths)]
        ours, theirs = (
            one.score(one.encode(ids(prompt, 9)), continuations) for one in (bucketed, plain)
        )
        assert [len(each) for each in ours] == lengths
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    assert made.readings == [Reading(512 if prompt > 256 else 256, 64, scored=True)]


def test_more_continuations_than_a_bucket_holds_are_scored_plainly(tiny_model):
    made = BucketedSteps(uncaptured)
    bucketed, plain = GemmaDenoiser(tiny_model, bucketed=made), GemmaDenoiser(tiny_model)
    continuations = [ids(300, 1), ids(300, 2)]
    for a, b in zip(
        *(one.score(one.encode(ids(20, 3)), continuations) for one in (bucketed, plain)),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    assert made.readings == []


# Around the window of 16 and around the growth of the cached prompt by 256 tokens.
@pytest.mark.parametrize("start", [1, 14, 15, 16, 40, 250, 256])
@pytest.mark.parametrize("slack", [0, 40])
def test_a_tail_that_is_read_in_a_bucket_is_the_plain_one(tiny_model, start, slack):
    made = BucketedSteps(uncaptured)
    cache = CacheSettings(slack_tokens=slack)
    bucketed = GemmaDenoiser(tiny_model, cache, bucketed=made)
    bucketed.warm_up(400, lambda done, total: None)
    text = ids(start, 1)
    bucketed.encode(text)
    canvas, after = torch.tensor(ids(6, 4)), [ids(9, 5)]
    # Typed on, with a few tokens taken back in between.
    for tail, taken in ((1, 0), (16, 0), (17, 1), (64, 3), (2, 5), (30, 0)):
        text = text[: max(1, len(text) - taken)] + ids(tail, tail)
        before = bucketed.tokens_encoded
        ours = bucketed.encode(text)
        assert bucketed.tokens_encoded - before >= tail
        plain = GemmaDenoiser(tiny_model, cache)
        theirs = plain.encode(text)
        torch.testing.assert_close(ours.last_hidden, theirs.last_hidden, atol=2e-4, rtol=0)
        for a, b in zip(ours.prefix.layers, theirs.prefix.layers, strict=True):
            assert a.end == b.end == len(text)
            for x, y in zip(a.seen_at(len(text)), b.seen_at(len(text)), strict=True):
                torch.testing.assert_close(x, y, atol=2e-4, rtol=0)
        states, expected = (
            one.hidden(encoded, canvas, [6], None)
            for one, encoded in ((bucketed, ours), (plain, theirs))
        )
        torch.testing.assert_close(states, expected, atol=2e-4, rtol=0)
        torch.testing.assert_close(
            *(one.score(each, after) for one, each in ((bucketed, ours), (plain, theirs))),
            atol=2e-4,
            rtol=0,
        )


def test_a_tail_is_read_by_what_was_prepared_for_it(tiny_model):
    runs: list[object] = []

    def capture(forward):
        def run():
            runs.append(forward)
            return forward()

        return Captured(run)

    denoiser = GemmaDenoiser(tiny_model, bucketed=BucketedSteps(capture))
    text = ids(30, 1)
    denoiser.encode(text)
    denoiser.encode([*text, *ids(3, 2)])
    # Reading never makes the workspace grow.
    assert runs == []

    denoiser.warm_up(200, lambda done, total: None)
    for tail, expect in ((0, 0), (1, 1), (64, 1), (65, 0)):
        text = [*text, *ids(tail, tail + 1)]
        runs.clear()
        if tail == 0:
            denoiser.encode(text)
            runs.clear()
        denoiser.encode(text)
        assert len(runs) == expect, tail


def raised(*errors: Exception) -> Exception:
    """The last of some errors, each raised while the one before was handled."""
    for before, error in itertools.pairwise(errors):
        error.__context__ = before
    return errors[-1]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
        raised(
            torch.OutOfMemoryError("CUDA out of memory"),
            RuntimeError("CUDA error: operation failed due to a previous error in capture"),
        ),
    ],
)
def test_running_out_of_memory_in_a_capture_is_told_and_leaves_nothing(tiny_model, error):
    fails = True

    def capture(forward):
        forward()
        if fails:
            raise error
        return uncaptured(forward)

    made = BucketedSteps(capture)
    denoiser = GemmaDenoiser(tiny_model, bucketed=made)
    given = canvases(tiny_model, [8], 0.6, 0)
    with pytest.raises(OutOfMemoryError, match="out of memory"):
        steps(denoiser, 30, given, 0)
    assert (made.buckets, made.nbytes) == ([], 0)

    fails = False
    for ours, theirs in zip(
        steps(denoiser, 30, given, 0),
        steps(GemmaDenoiser(tiny_model), 30, given, 0),
        strict=True,
    ):
        check_same(ours, theirs)


def test_another_error_in_a_capture_is_not_one_of_memory(tiny_model):
    def capture(forward):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    denoiser = GemmaDenoiser(tiny_model, bucketed=BucketedSteps(capture))
    with pytest.raises(RuntimeError, match="illegal") as caught:
        steps(denoiser, 30, canvases(tiny_model, [8], 0.6, 0), 0)
    assert not isinstance(caught.value, OutOfMemoryError)


def test_fused_steps_are_the_plain_steps(tiny_model):
    # A copy, because a model is either fused or not.
    model = copy.deepcopy(tiny_model)
    fused = GemmaDenoiser(model, bucketed=BucketedSteps(uncaptured, PLAIN))
    given = canvases(tiny_model, [7, 1, 4], 0.5, 0)
    plain = steps(GemmaDenoiser(tiny_model), 17, given, 0)
    for ours, theirs in zip(steps(fused, 17, given, 0), plain, strict=True):
        check_same(ours, theirs)
