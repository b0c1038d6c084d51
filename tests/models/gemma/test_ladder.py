"""Every rung of the ladder, reached because the one above fails.

A GPU is played by a CPU: our products and fused kernels are their references, which other tests
compare with the kernels, and a graph is the step itself.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dg_lsp.config import CacheSettings
from dg_lsp.evaluation.methods import infiller
from dg_lsp.job import InfillJob
from dg_lsp.models import device as devices
from dg_lsp.models import kernels, packed_layers
from dg_lsp.models import ladder as ladders
from dg_lsp.models.captured import Captured, uncaptured
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.device import DeviceLostError
from dg_lsp.models.gemma import ladder, trial
from dg_lsp.models.gemma.attention import Router
from dg_lsp.models.gemma.buckets import Reading
from dg_lsp.models.gemma.fused import ops as fused_ops
from dg_lsp.models.gemma.ladder import LADDER, PLAIN, LadderDenoiser
from dg_lsp.models.gemma.step import PLAIN as PLAIN_PARTS
from dg_lsp.models.gemma.weights import load_packed
from dg_lsp.models.kernels import ops, products, reference
from dg_lsp.models.loading import load
from dg_lsp.models.registry import open_checkpoint
from dg_lsp.reason import ReasonCode

FUSED, CAPTURED, EAGER, _ = LADDER


def experts_of_split(*routed):
    return reference.grouped_experts(*routed, ops._gelu)


@pytest.fixture(autouse=True)
def like_a_gpu(monkeypatch):
    monkeypatch.setattr(kernels, "available_on", lambda device: kernels._is_allowed)
    monkeypatch.setattr(packed_layers, "has_bitsandbytes", lambda: False)
    monkeypatch.setattr(products, "split", lambda rows: rows)
    monkeypatch.setattr(products, "linear_of_split", reference.linear)
    monkeypatch.setattr(products, "experts_of_split", experts_of_split)
    monkeypatch.setattr(ladder, "GraphCapture", lambda: uncaptured)
    monkeypatch.setattr(ladder, "compiled", lambda vocabulary: PLAIN_PARTS)


@pytest.fixture
def model(packed_checkpoint):
    config = open_checkpoint(packed_checkpoint).config
    return load_packed(packed_checkpoint, config, torch.device("cpu"), torch.float32)


def rung_of(denoiser) -> ladder.Rung:
    """The rung that a denoiser stands on, judged by what it does."""
    bucketed = denoiser._bucketed
    has_kernels = kernels._is_allowed
    return next(
        rung
        for rung in LADDER
        if (rung.has_kernels, rung.is_captured, rung.is_fused)
        == (has_kernels, bucketed is not None, denoiser.is_fused)
    )


def settled(model):
    return LadderDenoiser(model, CacheSettings(), LADDER)


def spoiled(function, by=1.5):
    """The function with one wrong number in its result."""

    def spoil(*arguments, **options):
        found = function(*arguments, **options).clone()
        found.view(-1)[0] += by * found.abs().max() + 1
        return found

    return spoil


def broken(*arguments, **options):
    raise RuntimeError("PassManager::run failed\n  at ttgir")


def test_the_fastest_way_is_used_if_nothing_is_wrong(model):
    denoiser = settled(model)

    assert rung_of(denoiser) == FUSED
    assert denoiser.notes == ()


@pytest.mark.parametrize("name", ["attend", "rotate_and_store"])
def test_a_fused_kernel_with_one_wrong_number(model, monkeypatch, name):
    monkeypatch.setattr(fused_ops, name, spoiled(getattr(fused_ops, name), by=100))
    denoiser = settled(model)

    assert rung_of(denoiser) == CAPTURED
    [note] = denoiser.notes
    assert note.code is ReasonCode.WRONG_NUMBERS
    assert FUSED.name in note.message
    assert CAPTURED.name in note.message
    # The class's own layers are back.
    assert not any(isinstance(module, Router) for module in model.modules())


def test_compiled_code_that_gives_other_numbers(model, monkeypatch):
    def layer(*arguments):
        return PLAIN_PARTS.layer(*arguments) * 1.05

    parts = dataclasses.replace(PLAIN_PARTS, layer=layer)
    monkeypatch.setattr(ladder, "compiled", lambda vocabulary: parts)
    denoiser = settled(model)

    assert rung_of(denoiser) == CAPTURED
    assert [note.code for note in denoiser.notes] == [ReasonCode.WRONG_NUMBERS]


def test_compiling_that_raises(model, monkeypatch):
    parts = dataclasses.replace(PLAIN_PARTS, layer=broken)
    monkeypatch.setattr(ladder, "compiled", lambda vocabulary: parts)
    denoiser = settled(model)

    assert rung_of(denoiser) == CAPTURED
    [note] = denoiser.notes
    assert note.code is ReasonCode.KERNEL_FAILED
    assert "PassManager::run failed" in note.message
    assert "\n" not in note.message


def refuse(step):
    raise RuntimeError("operation not permitted when stream is capturing")


def stale(step):
    """A graph that does not see its new inputs."""
    first = step()
    return Captured(lambda: first)


@pytest.mark.parametrize(
    ("capture", "code"),
    [(refuse, ReasonCode.KERNEL_FAILED), (stale, ReasonCode.WRONG_NUMBERS)],
)
def test_steps_that_cannot_be_captured(model, monkeypatch, capture, code):
    monkeypatch.setattr(ladder, "GraphCapture", lambda: capture)
    denoiser = settled(model)

    assert rung_of(denoiser) == EAGER
    assert [note.code for note in denoiser.notes] == [code, code]
    assert all(EAGER.name in note.message for note in denoiser.notes)


@pytest.mark.parametrize("name", ["linear_of_split", "experts_of_split"])
@pytest.mark.parametrize("is_wrong", [True, False])
def test_products_that_are_wrong_or_raise(model, monkeypatch, name, is_wrong):
    kernel = spoiled(getattr(products, name)) if is_wrong else broken
    monkeypatch.setattr(products, name, kernel)
    denoiser = settled(model)

    assert rung_of(denoiser) == PLAIN
    code = ReasonCode.WRONG_NUMBERS if is_wrong else ReasonCode.KERNEL_FAILED
    assert [note.code for note in denoiser.notes] == [code] * 3
    # What it does now is right.
    matrix = model.model.decoder.layers[0].self_attn.o_proj
    rows = torch.randn(3, matrix.shape[1])
    torch.testing.assert_close(matrix(rows), reference.linear(rows, matrix.stored))


@pytest.mark.parametrize("tile", kernels.TOKENS_PER_TILE)
def test_one_tile_size_that_is_wrong(model, monkeypatch, tile):
    right = products.linear_of_split

    def of_size(rows, weight):
        wrong = products._tile(len(rows)) == tile
        return (spoiled(right) if wrong else right)(rows, weight)

    monkeypatch.setattr(products, "linear_of_split", of_size)

    assert rung_of(settled(model)) == PLAIN


class Failing:
    """A capture of forward passes, which are run by `act` once it is set."""

    def __init__(self) -> None:
        self.act = None

    def __call__(self, forward):
        if self.act is None:
            return uncaptured(forward)
        # Raises here if it raises at all, like a capture.
        self.act(forward)
        return Captured(lambda: self.act(forward))


def raising(error):
    def act(forward):
        raise error

    return act


def off(forward):
    """Results that are not those of the forward pass."""
    found = forward()
    if isinstance(found, torch.Tensor):
        return found * 1.2
    selection, soft = found
    return dataclasses.replace(selection, entropy=selection.entropy + 1), soft


RAISING = [
    (raising(RuntimeError("CUDA error: invalid argument")), ReasonCode.KERNEL_FAILED),
    (raising(torch.OutOfMemoryError("CUDA out of memory")), ReasonCode.OUT_OF_MEMORY),
]
WRONG = (off, ReasonCode.WRONG_NUMBERS)


@pytest.fixture
def capture(monkeypatch):
    failing = Failing()
    monkeypatch.setattr(ladder, "GraphCapture", lambda: failing)
    return failing


@pytest.mark.parametrize(
    "bucket",
    [
        *(Reading(cached, 16, scored=False) for cached in (256,)),
        *(Reading(cached, 64, scored=False) for cached in (256,)),
        *(Reading(cached, 64, scored=True) for cached in (256, 512)),
    ],
    ids=str,
)
def test_the_self_test_reads_tails_and_ranks(model, monkeypatch, bucket):
    prepare = ladder.BucketedSteps.prepare

    def wrong(self, model, workspace, asked):
        one = prepare(self, model, workspace, asked)
        if asked == bucket:
            right = vars(one).setdefault("right", one._run)
            one._run = lambda: right() * 1.2
        return one

    monkeypatch.setattr(ladder.BucketedSteps, "prepare", wrong)
    denoiser = settled(model)

    assert rung_of(denoiser) == EAGER
    assert [note.code for note in denoiser.notes] == [ReasonCode.WRONG_NUMBERS] * 2


def warm_up(denoiser, prompt_tokens=320) -> None:
    denoiser.warm_up(prompt_tokens, lambda done, total: None)


@pytest.mark.parametrize(("act", "code"), [*RAISING, WRONG])
def test_what_fails_while_steps_are_prepared(model, capture, act, code):
    denoiser = settled(model)
    capture.act = act
    warm_up(denoiser)

    assert rung_of(denoiser) == EAGER
    assert denoiser.runs_as == EAGER.name
    assert {note.code for note in denoiser.notes} == {code}
    assert FUSED.name in denoiser.notes[0].message
    assert all(EAGER.name in note.message for note in denoiser.notes)
    check_right(denoiser, model)


def test_only_the_fused_way_fails_while_steps_are_prepared(model):
    """With longer prompts than that of the self-test."""
    denoiser = settled(model)
    plain_layer = denoiser._bucketed.fused.layer

    def layer(*arguments):
        if arguments[-1].keys.shape[1] > 700:
            raise RuntimeError("Triton Error [CUDA]: out of resources")
        return plain_layer(*arguments)

    denoiser._bucketed.fused = dataclasses.replace(PLAIN_PARTS, layer=layer)
    warm_up(denoiser, 1024)

    assert rung_of(denoiser) == CAPTURED
    assert [note.code for note in denoiser.notes] == [ReasonCode.KERNEL_FAILED]
    check_right(denoiser, model)


@pytest.mark.parametrize(
    ("call", "act", "code"),
    [
        *((call, *how) for call in ("step", "score") for how in RAISING),
        # Tails are prepared at startup, and their numbers are checked there.
        ("tail", *RAISING[0]),
        *((call, *WRONG) for call in ("step", "score")),
    ],
)
def test_what_fails_in_a_job_leads_down_and_the_job_goes_on(model, capture, call, act, code):
    denoiser = settled(model)
    warm_up(denoiser)
    assert rung_of(denoiser) == FUSED
    # As after memory ran out: everything has to be prepared again.
    denoiser.shrink()
    if call == "tail":
        # Without room in the workspace, no tail is read in a bucket.
        results(denoiser, "score")
    capture.act = act
    found = results(denoiser, call)

    assert rung_of(denoiser) == EAGER
    [note] = denoiser.notes
    assert note.code is code
    check_right(denoiser, model)
    assert_close(found, results(plainly(model), call))


def test_a_kernel_that_fails_in_a_job_leads_to_plain_torch(model, monkeypatch):
    denoiser = settled(model)
    warm_up(denoiser)
    monkeypatch.setattr(products, "linear_of_split", broken)
    found = results(denoiser, "score")

    assert rung_of(denoiser) == PLAIN
    assert [note.code for note in denoiser.notes] == [ReasonCode.KERNEL_FAILED] * 2
    assert all(PLAIN.name in note.message for note in denoiser.notes)
    assert_close(found, results(plainly(model), "score"))


def test_what_fails_on_every_rung_says_nothing_about_them(model):
    denoiser = settled(model)
    warm_up(denoiser)
    with pytest.raises(ValueError, match="at least one token"):
        denoiser.encode([])

    assert rung_of(denoiser) == FUSED
    assert denoiser.notes == ()
    check_right(denoiser, model)


def test_other_documents_leave_the_cache_before_graphs_are_given_up(model, capture):
    denoiser = settled(model)
    warm_up(denoiser)
    denoiser.shrink()
    denoiser.encode(range(5, 105), "another document")

    def act(forward):
        if denoiser.prefixes.documents:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward()

    capture.act = act
    results(denoiser, "step")

    assert rung_of(denoiser) == FUSED
    assert "another document" not in denoiser.prefixes.documents
    # The second time, the graphs are.
    denoiser.shrink()
    capture.act = raising(torch.OutOfMemoryError("CUDA out of memory"))
    results(denoiser, "step")
    assert rung_of(denoiser) == EAGER
    assert [note.code for note in denoiser.notes] == [ReasonCode.OUT_OF_MEMORY]


def test_a_gpu_that_is_lost_in_a_job_is_left_to_the_engine(model, capture, monkeypatch):
    denoiser = settled(model)
    warm_up(denoiser)
    denoiser.shrink()
    capture.act = raising(RuntimeError("CUDA error: an illegal memory access"))
    monkeypatch.setattr(devices, "works", lambda device: False)
    with pytest.raises(RuntimeError, match="illegal"):
        results(denoiser, "step")

    assert denoiser.notes == ()


def test_the_text_of_a_job_does_not_change_and_the_user_is_told(packed_checkpoint, capture):
    loaded = load(str(packed_checkpoint), "cpu")
    job = InfillJob("def area(self, radius):\n    return ", "\n", candidates=2)
    plain = infiller(loaded.settings, job, loaded)
    denoiser = settled(loaded.denoiser.model)
    falling = dataclasses.replace(loaded, denoiser=denoiser)
    assert (falling.info_now().runs_as, falling.info_now().notes) == (FUSED.name, ())
    capture.act = raising(RuntimeError("CUDA error: invalid argument"))
    infill = infiller(loaded.settings, job, falling)

    assert [one.text for one in infill.candidates] == [one.text for one in plain.candidates]
    assert infill.steps == plain.steps
    info = falling.info_now()
    assert info.runs_as == EAGER.name
    assert [note.code for note in info.notes] == [ReasonCode.KERNEL_FAILED]
    assert "invalid argument" in info.notes[0].message


def test_after_a_loss_of_the_gpu_the_model_starts_without_graphs(model, monkeypatch):
    monkeypatch.setattr(ladders, "_lost_as", frozenset([FUSED.name]))
    denoiser = settled(model)

    assert rung_of(denoiser) == EAGER
    [note] = denoiser.notes
    assert note.code is ReasonCode.GPU_LOST
    assert FUSED.name in note.message
    assert EAGER.name in note.message
    check_right(denoiser, model)


def results(denoiser, call) -> list[torch.Tensor]:
    """Of what a job does with a prompt."""
    ids = [5 + n % 290 for n in range(150)]
    if call == "tail":
        denoiser.encode(ids[:140], "document")
        return [denoiser.encode(ids, "document").last_hidden]
    encoded = denoiser.encode(ids)
    if call == "score":
        return denoiser.score(encoded, [ids[:9], ids[9:20]])
    return [step.log_probability for step in trial.sample_steps(denoiser, encoded)]


def plainly(model):
    return ladder.denoiser_at(PLAIN, model, CacheSettings())


def assert_close(found, expected) -> None:
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)


def check_right(denoiser, model) -> None:
    """What it computes now is right; it cannot be used after that."""
    calls = ("step", "tail", "score")
    found = [each for call in calls for each in results(denoiser, call)]
    assert_close(found, [each for call in calls for each in results(plainly(model), call)])


def test_without_any_way_left_the_model_is_refused(model, monkeypatch):
    monkeypatch.setattr(ops, "linear", broken)
    monkeypatch.setattr(packed_layers.ops, "linear", broken)
    with pytest.raises(CheckpointError) as raised:
        settled(model)

    assert raised.value.code is ReasonCode.KERNEL_FAILED


def test_a_gpu_that_refuses_everything_ends_the_descent(model, monkeypatch):
    monkeypatch.setattr(products, "linear_of_split", broken)
    monkeypatch.setattr(devices, "works", lambda device: False)
    with pytest.raises(DeviceLostError) as raised:
        settled(model)

    assert raised.value.code is ReasonCode.GPU_LOST


def test_numbers_that_are_no_numbers(model, monkeypatch):
    def hollow(*arguments):
        return torch.full_like(right(*arguments), torch.nan)

    right = products.experts_of_split
    monkeypatch.setattr(products, "experts_of_split", hollow)

    assert rung_of(settled(model)) == PLAIN


def test_the_rungs_give_the_same_numbers(model):
    """Going down and up again leaves nothing behind."""
    names = [rung_of(ladder.denoiser_at(rung, model, CacheSettings())) for rung in LADDER]
    assert names == [*LADDER]
    assert rung_of(settled(model)) == FUSED
