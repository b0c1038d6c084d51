"""A step in a bucket is the plain step."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dg_lsp.config import CacheSettings
from dg_lsp.engine.denoiser import Canvases, OutOfMemoryError, Prediction
from dg_lsp.engine.infilling import Filling
from dg_lsp.job import InfillJob, Seed
from dg_lsp.models import padding, prepared
from dg_lsp.models.captured import Captured, uncaptured
from dg_lsp.models.loading import load
from dg_lsp.models.qwen2 import bucketed as buckets
from dg_lsp.models.qwen2.bucketed import WARM, Bucket, BucketedSteps
from dg_lsp.models.qwen2.denoiser import LENGTHS_AT_ONCE, Qwen2Denoiser

MASK = 3


@pytest.fixture(scope="module")
def loaded(masked_checkpoint):
    return load(str(masked_checkpoint), "cpu")


@pytest.fixture
def denoiser_of(loaded):
    def make(capture=None, refresh_steps: int = 4) -> Qwen2Denoiser:
        made = None if capture is None else BucketedSteps(capture)
        cache = CacheSettings(refresh_steps=refresh_steps)
        return Qwen2Denoiser(loaded.denoiser.model, loaded.config, cache, made)

    return make


def text(count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(5, 290, (count,), generator=generator).tolist()


def canvases(vocab: int, lengths: list[int], seed: int = 0, constraints: int = 2) -> Canvases:
    generator = torch.Generator().manual_seed(seed)
    rows = sum(lengths)
    return Canvases(
        tuple(lengths),
        torch.arange(rows),
        torch.arange(0),
        torch.rand(constraints, vocab, generator=generator) < 0.3,
        torch.randint(constraints, (rows,), generator=generator),
    )


def steps(
    denoiser: Qwen2Denoiser, before: int, after: int, given: list[Canvases], seed: int = 0
) -> list[Prediction]:
    """Two steps of each of some canvases, one after the other in the same text."""
    generator = torch.Generator().manual_seed(seed)
    encoded = denoiser.encode(text(before, 1), "", text(after, 2))
    made = []
    for each in given:
        for temperature in (0.8, 0.2):
            rows = sum(each.lengths)
            canvas = torch.randint(5, 290, (rows,), generator=generator)
            canvas[torch.rand(rows, generator=generator) < 0.5] = MASK
            share = torch.rand(rows, generator=generator)
            made.append(denoiser.denoise(encoded, each, canvas, None, temperature, share))
    return made


def check_same(ours: list[Prediction], theirs: list[Prediction]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one.sampled, other.sampled)
        assert torch.equal(one.argmax, other.argmax)
        for name in ("log_probability", "entropy", "free_fit", "margin"):
            torch.testing.assert_close(
                *(getattr(each, name) for each in (one, other)), atol=2e-4, rtol=0, msg=name
            )
        assert len(one.pinned_fit) == 0


# Around the rows beside a canvas, without any text, and around a multiple of 64 cached tokens.
@pytest.mark.parametrize("before", [0, 1, 4, 5, 68, 260])
@pytest.mark.parametrize("after", [0, 1, 4, 5, 67])
def test_padding_changes_nothing(loaded, denoiser_of, before, after):
    vocab = loaded.denoiser.vocab_size
    given = [
        canvases(vocab, lengths, seed)
        for seed, lengths in enumerate([[5], [7], [1], [8], [6, 2], [3, 3, 9], [16], [17]])
    ]
    ours, theirs = denoiser_of(uncaptured), denoiser_of()

    check_same(steps(ours, before, after, given), steps(theirs, before, after, given))
    assert ours._bucketed.buckets
    assert ours.full_passes == theirs.full_passes


def test_what_stood_in_a_buffer_before_is_not_seen(loaded, denoiser_of):
    vocab = loaded.denoiser.vocab_size
    ours = denoiser_of(uncaptured)
    for seed, (before, after, lengths) in enumerate(
        [(200, 40, [16]), (3, 0, [4]), (120, 90, [9, 7]), (0, 3, [2]), (200, 40, [16])]
    ):
        given = [canvases(vocab, lengths, seed)] * 2
        theirs = denoiser_of()
        check_same(
            steps(ours, before, after, given, seed), steps(theirs, before, after, given, seed)
        )


def test_results_outlive_the_next_step(loaded, denoiser_of):
    ours = denoiser_of(uncaptured)
    given = [canvases(loaded.denoiser.vocab_size, [8])] * 2
    first = steps(ours, 30, 10, given)
    kept = [one.entropy.clone() for one in first]
    steps(ours, 20, 10, given, seed=5)

    for one, before in zip(first, kept, strict=True):
        assert torch.equal(one.entropy, before)


def counted():
    """A capture that counts what was captured, and how often each was run."""
    runs: list[int] = []

    def capture(forward):
        runs.append(0)
        number = len(runs) - 1
        forward()

        def run():
            runs[number] += 1
            return forward()

        return Captured(run, nbytes=1000)

    return capture, runs


def test_a_step_is_captured_once_and_then_run(loaded, denoiser_of):
    capture, runs = counted()
    ours = denoiser_of(capture, refresh_steps=0)
    vocab = loaded.denoiser.vocab_size
    # Canvases that shrink, as deletes let them.
    given = [canvases(vocab, [length]) for length in (16, 14, 12, 9)]
    steps(ours, 30, 10, given)

    # The first step of all reads the text.
    assert ours.full_passes == 1
    assert runs == [7]
    assert ours._bucketed.buckets == [Bucket(256, 32, 16)]
    steps(ours, 60, 10, given)
    assert runs == [14]


def test_steps_are_prepared_again_when_buffers_moved(loaded, denoiser_of):
    capture, runs = counted()
    ours = denoiser_of(capture, refresh_steps=0)
    given = [canvases(loaded.denoiser.vocab_size, [8])]
    for before in (30, 300, 30):
        steps(ours, before, 10, given)

    assert ours._bucketed.buckets == [Bucket(256, 16, 16), Bucket(512, 16, 16)]
    assert runs == [1, 1, 1]


@pytest.mark.parametrize("why", ["lengths", "constraints", "rows", "scored", "exact"])
def test_what_no_bucket_holds_runs_plainly(loaded, denoiser_of, monkeypatch, why):
    vocab = loaded.denoiser.vocab_size
    lengths = [*range(1, LENGTHS_AT_ONCE + 2)] if why == "lengths" else [12]
    count = padding.CONSTRAINTS + 1 if why == "constraints" else 2
    given = [canvases(vocab, lengths, constraints=count)]
    if why == "rows":
        monkeypatch.setattr(buckets, "ROWS", (8,))
    if why == "scored":
        given = [dataclasses.replace(one, is_scored=True) for one in given]
    refresh_steps = 1 if why == "exact" else 4
    ours, theirs = denoiser_of(uncaptured, refresh_steps), denoiser_of(None, refresh_steps)

    check_same(steps(ours, 30, 10, given), steps(theirs, 30, 10, given))
    assert ours._bucketed.buckets == []


def test_warming_up_prepares_steps_and_tells_how_far_it_is(loaded, denoiser_of):
    ours = denoiser_of(uncaptured)
    told: list[tuple[int, int]] = []
    ours.warm_up(300, lambda done, total: told.append((done, total)))

    ready = ours._bucketed.buckets
    assert {bucket.cached for bucket in ready} == {256, 320}
    assert {(bucket.rows, bucket.free) for bucket in ready} == {*WARM}
    assert told == [(number + 1, len(ready)) for number in range(len(ready))]
    # Neither without buckets nor where every step is exact is there anything to prepare.
    for other in (denoiser_of(), denoiser_of(uncaptured, refresh_steps=1)):
        other.warm_up(300, lambda done, total: told.append((0, 0)))
    assert (0, 0) not in told

    # Whatever a job is like, nothing grows any more.
    vocab = loaded.denoiser.vocab_size
    for lengths in ([64], [40, 64, 80, 128], [128] * 3):
        steps(ours, 250, 40, [canvases(vocab, lengths)])
    assert set(ready) <= set(ours._bucketed.buckets)


def test_the_least_recently_used_steps_are_dropped(loaded, denoiser_of, monkeypatch):
    monkeypatch.setattr(prepared, "MOST_PREPARED", 2)
    ours = denoiser_of(uncaptured, refresh_steps=0)
    small, middle, large = (
        canvases(loaded.denoiser.vocab_size, [count]) for count in (5, 20, 40)
    )
    ours._reserve(256, 64)
    for given in (large, small, middle, small, large):
        steps(ours, 10, 10, [given])

    assert ours._bucketed.buckets == [Bucket(256, 16, 16), Bucket(256, 48, 48)]


def test_steps_hold_no_more_bytes_than_allowed(loaded, denoiser_of, monkeypatch):
    capture, _ = counted()
    ours = denoiser_of(capture, refresh_steps=0)
    vocab = loaded.denoiser.vocab_size
    ours._reserve(256, 64)
    for count in (40, 20):
        steps(ours, 10, 10, [canvases(vocab, [count])])
    assert ours._bucketed.nbytes > 2 * 1000
    monkeypatch.setattr(prepared, "MOST_BYTES", ours._bucketed.nbytes)
    steps(ours, 10, 10, [canvases(vocab, [5])])
    assert ours._bucketed.buckets == [Bucket(256, 16, 16), Bucket(256, 32, 32)]


def test_freed_memory_is_taken_again(loaded, denoiser_of):
    ours = denoiser_of(uncaptured)
    given = [canvases(loaded.denoiser.vocab_size, [8])]
    before = steps(ours, 30, 10, given)

    assert ours.shrink() > 0
    assert (ours._bucketed.buckets, ours.shrink()) == ([], 0)
    check_same(steps(ours, 30, 10, given), before)


@pytest.mark.parametrize(
    ("error", "expect"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemoryError),
        (RuntimeError("CUDA error: an illegal memory access"), RuntimeError),
    ],
)
def test_a_capture_that_fails_in_a_job_leaves_nothing(loaded, denoiser_of, error, expect):
    fails = True

    def capture(forward):
        if fails:
            raise error
        return uncaptured(forward)

    ours = denoiser_of(capture)
    given = [canvases(loaded.denoiser.vocab_size, [8])]
    with pytest.raises(expect):
        steps(ours, 30, 10, given)
    assert (ours._bucketed.buckets, ours._bucketed.nbytes) == ([], 0)

    fails = False
    check_same(steps(ours, 30, 10, given), steps(denoiser_of(), 30, 10, given))


class Operations(TorchDispatchMode):
    """Notes the operations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.names.append(str(operation))
        return operation(*args, **(kwargs or {}))


def test_nothing_in_a_captured_step_waits_for_the_device(loaded, denoiser_of):
    seen: list[str] = []

    def capture(forward):
        with Operations() as noted:
            forward()
        seen.extend(noted.names)
        return uncaptured(forward)

    steps(denoiser_of(capture), 30, 10, [canvases(loaded.denoiser.vocab_size, [8])])

    waiting = ("_local_scalar_dense", "nonzero", "unique", "masked_select")
    assert len(seen) > 20
    assert [name for name in seen if any(word in name for word in waiting)] == []


@pytest.mark.parametrize(
    "job",
    [
        InfillJob("def area(self):\n    ret", " ** 2\n"),
        InfillJob("x = ", "\n", replaced="self.radius * 3.14", strength=0.5),
        InfillJob("x = 1\n" * 60, "y = 2\n" * 30, candidates=3),
        InfillJob("x = ", "\n", seeds=(Seed("self.radius", 1.0), Seed("radius", 0.5))),
    ],
)
def test_a_whole_job_ends_the_same(loaded, denoiser_of, job):
    found = []
    for capture in (uncaptured, None):
        denoiser = denoiser_of(capture)
        family = loaded.family(denoiser=denoiser)
        infill = Filling(
            *(job, denoiser, loaded.codec, family, loaded.settings),
            lambda: False,
            lambda draft: None,
        ).run()
        texts = [candidate.text for candidate in infill.candidates]
        found.append((texts, infill.steps, infill.reason, denoiser.full_passes))
        if capture is not None:
            assert denoiser._bucketed.buckets

    assert found[0] == found[1]
