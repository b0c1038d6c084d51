"""Steps of several prompts in one forward pass, against each prompt's step alone."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from dg_lsp.config import CacheSettings
from dg_lsp.engine.denoiser import Canvases, SharingDenoiser, StepRequest
from dg_lsp.models.captured import uncaptured
from dg_lsp.models.gemma import buckets
from dg_lsp.models.gemma.bucketed import BucketedSteps
from dg_lsp.models.gemma.buckets import PROMPTS_TOGETHER
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.folded import fold
from dg_lsp.models.gemma.step import PLAIN
from dg_lsp.models.gemma.trial import check_shared

TOLERANCE = 2e-4
PARTS = ("log_probability", "entropy", "free_fit", "pinned_fit", "conditioning")


CAPACITY = 512


@pytest.fixture(params=["class", "folded", "bucketed", "fused"])
def denoiser(tiny_model, request) -> GemmaDenoiser:
    if request.param in ("class", "folded"):
        folded = fold(tiny_model) if request.param == "folded" else None
        return GemmaDenoiser(tiny_model, folded=folded)
    model = copy.deepcopy(tiny_model)
    parts = PLAIN if request.param == "fused" else None
    return bucketed(model, BucketedSteps(uncaptured, parts))


def bucketed(model, steps: BucketedSteps) -> GemmaDenoiser:
    denoiser = GemmaDenoiser(model, bucketed=steps)
    denoiser._shared.capacity = CAPACITY
    return denoiser


def tokens(count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(5, 300, (count,), generator=generator).tolist()


def asking(
    denoiser: GemmaDenoiser,
    prompt: int,
    lengths: tuple[int, ...],
    seed: int,
    *,
    conditioned: bool = True,
    temperature: float = 1.0,
    pins: bool = True,
    document: str | None = None,
) -> StepRequest:
    """Canvases after a prompt of some length; every third row is pinned."""
    rows = sum(lengths)
    generator = torch.Generator().manual_seed(seed)
    free = torch.tensor([row for row in range(rows) if row % 3 or row == 0])
    pinned = torch.tensor([row for row in range(rows) if not row % 3 and row], dtype=torch.long)
    disallowed = torch.rand(2, denoiser.vocab_size, generator=generator) < 0.3
    canvases = Canvases(
        lengths, free, pinned if pins else pinned[:0], disallowed, torch.arange(len(free)) % 2
    )
    hidden = denoiser.model.lm_head.weight.shape[1]
    encoded = denoiser.encode(tokens(prompt, seed), str(seed) if document is None else document)
    return StepRequest(
        encoded,
        canvases,
        torch.tensor(tokens(rows, seed + 100)),
        torch.randn(rows, hidden, generator=generator) if conditioned else None,
        temperature,
        torch.rand(len(free), generator=generator),
    )


def check(denoiser: GemmaDenoiser, requests: list[StepRequest]) -> None:
    together = denoiser.denoise_together(requests)
    for found, request in zip(together, requests, strict=True):
        alone = request.on(denoiser)
        assert torch.equal(found.argmax, alone.argmax)
        assert torch.equal(found.sampled, alone.sampled)
        for part in PARTS:
            ours, theirs = getattr(found, part), getattr(alone, part)
            assert ours.shape == theirs.shape
            torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=0)


def test_prompts_of_several_lengths_get_the_answers_that_each_gets_alone(denoiser):
    """The tiny model's window is 16: shorter, one past it, far past it; temperatures and
    constraints of their own."""
    assert isinstance(denoiser, SharingDenoiser)
    check(
        denoiser,
        [
            asking(denoiser, 3, (5,), 1),
            asking(denoiser, 17, (4, 9, 6), 2, temperature=0.4),
            asking(denoiser, 60, (30, 1), 3, temperature=0.7),
            asking(denoiser, 15, (12,), 4, pins=False),
        ],
    )


@pytest.mark.parametrize("conditioned", [(False, False), (True, False), (False, True)])
def test_the_first_step_of_one_prompt_meets_a_later_one_of_another(denoiser, conditioned):
    first, second = conditioned
    check(
        denoiser,
        [
            asking(denoiser, 9, (7, 8), 1, conditioned=first),
            asking(denoiser, 30, (10,), 2, conditioned=second),
        ],
    )


def test_many_rows_take_the_way_of_many_rows(denoiser):
    """Experts and attention run in another way from about a hundred rows on."""
    lengths = (30, 40, 50, 20)
    check(denoiser, [asking(denoiser, 20 + seed, lengths, seed) for seed in range(3)])


def test_prompts_come_and_go(denoiser):
    """What is in the workspace is used as long as it holds all prompts that are asked for."""
    some = [asking(denoiser, 10 + 7 * seed, (6, 3), seed) for seed in range(5)]
    for numbers in ((0, 1), (0, 1, 2), (2, 0), (3, 2), (4, 3, 2, 1, 0), (1, 4), (4, 0)):
        check(denoiser, [some[number] for number in numbers])


def test_other_canvases_after_the_same_prompts(denoiser):
    first, second = asking(denoiser, 20, (6, 3), 1), asking(denoiser, 30, (8,), 2)
    check(denoiser, [first, second])
    longer = asking(denoiser, 20, (40, 30), 1)
    check(denoiser, [dataclasses.replace(longer, encoded=first.encoded), second])


def test_two_prompts_of_one_document_do_not_take_each_other_s_place(denoiser):
    """Each is read once more at most, not at every step."""
    requests = [
        asking(denoiser, 40, (6,), 1, document=""),
        asking(denoiser, 50, (9,), 2, document=""),
    ]
    before = denoiser.tokens_encoded
    for _ in range(3):
        check(denoiser, requests)
    assert denoiser.tokens_encoded - before <= 40


def test_as_many_prompts_as_the_budget_holds(tiny_model):
    denoiser = GemmaDenoiser(tiny_model, CacheSettings(prefix_bytes=2**30))
    denoiser.encode(tokens(300, 1), "a.py")
    size = denoiser.prefixes.nbytes
    # In the cache and in the workspace.
    denoiser.prefixes.budget_bytes = 6 * size + 1
    assert denoiser.prompts_together == 3
    denoiser.prefixes.budget_bytes = size // 2
    assert denoiser.prompts_together == 1


def test_prompts_in_use_are_evicted_last(tiny_model):
    denoiser = GemmaDenoiser(tiny_model)
    requests = [asking(denoiser, 40, (6,), seed, document=f"{seed}.py") for seed in (1, 2, 3)]
    denoiser.denoise_together(requests[:2])
    denoiser.prefixes.budget_bytes = denoiser.prefixes.nbytes
    denoiser.encode(tokens(40, 9), "9.py")
    assert denoiser.prefixes.documents == ["1.py", "2.py", "9.py"]


def test_more_than_a_bucket_holds_is_divided(tiny_model):
    """Nine prompts, and prompts that are too long together or alone."""
    steps = BucketedSteps(uncaptured)
    denoiser = bucketed(tiny_model, steps)
    nine = [asking(denoiser, 10 + seed, (5,), seed) for seed in range(9)]
    # Makes room for one prompt.
    nine[0].on(denoiser)
    check(denoiser, nine)
    assert [bucket.cached for bucket in steps.buckets if bucket.prompts > 1] == [256]
    lengths = (300, 200, 40, 600)
    check(denoiser, [asking(denoiser, length, (5,), length) for length in lengths])


def test_a_shared_step_is_prepared_once(tiny_model):
    steps = BucketedSteps(uncaptured)
    denoiser = bucketed(tiny_model, steps)
    requests = [asking(denoiser, 30 + seed, (5,), seed) for seed in range(4)]
    for some in (requests[:2], requests[1:3], requests, requests[2:]):
        denoiser.denoise_together(some)
    assert [bucket.prompts for bucket in steps.buckets] == [PROMPTS_TOGETHER]
    assert steps.times_prepared == 1


def test_warming_up_takes_memory_of_the_cache_for_shared_steps(tiny_model, monkeypatch):
    # For the whole process.
    monkeypatch.setattr("dg_lsp.models.gemma.denoiser.only_compiled", lambda: None)
    monkeypatch.setattr(buckets, "WARM_SHARED", ((16, 16),))
    monkeypatch.setattr(buckets, "WARM", ((16, 16),))
    steps = BucketedSteps(uncaptured, PLAIN)
    denoiser = GemmaDenoiser(
        copy.deepcopy(tiny_model), CacheSettings(prefix_bytes=2**26), steps
    )
    assert denoiser.prompts_together == 1
    told = []
    for _ in range(2):
        denoiser.warm_up(256, lambda done, total: told.append((done, total)))
        held = denoiser._shared.nbytes
        assert held == denoiser._shared.bytes_of(denoiser._shared.capacity)
        assert denoiser.prefixes.budget_bytes == 2**26 - held
    assert told[-1][0] == told[-1][1]
    assert denoiser.prompts_together > 1
    check_shared(denoiser)
    # A slower way that needs masks shares nothing, and has all of the memory for prompts.
    denoiser.run_in(BucketedSteps(uncaptured))
    denoiser.warm_up(256, lambda done, total: None)
    assert (denoiser.prompts_together, denoiser.prefixes.budget_bytes) == (1, 2**26)
    # Too little memory for it, and masks that would take too much.
    for size, parts in ((2**18, PLAIN), (2**26, None)):
        denoiser = GemmaDenoiser(
            copy.deepcopy(tiny_model),
            CacheSettings(prefix_bytes=size),
            BucketedSteps(uncaptured, parts),
        )
        denoiser.warm_up(256, lambda done, total: None)
        assert (denoiser.prompts_together, denoiser.prefixes.budget_bytes) == (1, size)


def test_shrinking_frees_what_steps_share(denoiser):
    requests = [asking(denoiser, 40, (6,), seed) for seed in (1, 2)]
    denoiser.denoise_together(requests)
    held = denoiser._shared.nbytes
    assert 0 < held < denoiser.shrink()
    check(denoiser, requests)
