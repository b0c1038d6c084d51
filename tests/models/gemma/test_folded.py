"""The folded model against the class: the same numbers from fewer operations."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dg_lsp.engine.denoiser import Canvases
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.folded import fold
from dg_lsp.models.gemma.folded_layer import ROWS_ATTENDING, gated
from dg_lsp.models.gemma.ladder import settle

WINDOW = 16
MANY = (30, 2, 25, 31, 9, 32, 28)
"""Canvases of so many rows that attention runs in parts."""


@pytest.fixture(scope="module", params=[torch.float32, torch.float16], ids=str)
def model(tiny_model, request):
    """A model none of whose norms and factors is 1, and whose halves differ in theirs.

    In float32, after it was stored as this type: products are packed if that loses nothing.
    """
    changed = copy.deepcopy(tiny_model)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in changed.named_parameters():
            if "norm" in name or "scale" in name:
                parameter.copy_(0.5 + torch.rand(parameter.shape, generator=generator))
        for half, factor in ((changed.model.decoder, 0.8), (changed.model.encoder, 1.2)):
            for buffer_name, buffer in half.named_buffers():
                if buffer_name.endswith("layer_scalar"):
                    buffer.fill_(factor)
    return changed.to(request.param).float()


@pytest.fixture
def plain(model) -> GemmaDenoiser:
    return GemmaDenoiser(model)


@pytest.fixture
def folded(model) -> GemmaDenoiser:
    return GemmaDenoiser(model, folded=fold(model))


def tokens(count: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(5, 300, (count,), generator=generator).tolist()


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=5e-5, rtol=0)


@pytest.mark.parametrize("prompt_length", [1, WINDOW - 1, WINDOW, WINDOW + 1, 40])
def test_a_prompt_read_at_once_and_in_pieces(plain, folded, prompt_length):
    ids = tokens(prompt_length + 7)
    for count in (prompt_length, prompt_length + 1, prompt_length + 7):
        ours, theirs = (one.encode(ids[:count]) for one in (folded, plain))
        close(ours.last_hidden, theirs.last_hidden)
        for our_layer, their_layer in zip(
            ours.prefix.layers, theirs.prefix.layers, strict=True
        ):
            for one, other in zip(
                our_layer.seen_at(count), their_layer.seen_at(count), strict=True
            ):
                close(one, other)


@pytest.mark.parametrize("lengths", [(12,), (5, 9), (1, 30, 2), MANY])
@pytest.mark.parametrize("conditioned", [False, True], ids=["first-step", "later-step"])
def test_a_step(plain, folded, lengths, conditioned):
    rows = sum(lengths)
    canvas = torch.tensor(tokens(rows, 1))
    generator = torch.Generator().manual_seed(2)
    soft = None
    if conditioned:
        soft = torch.randn(rows, plain.model.lm_head.weight.shape[1], generator=generator)
    is_free = torch.arange(rows) % 3 != 2
    free, pinned = is_free.nonzero().squeeze(1), (~is_free).nonzero().squeeze(1)
    disallowed = torch.zeros(2, plain.vocab_size, dtype=torch.bool)
    disallowed[:, :4] = True
    disallowed[1, 100:] = True
    canvases = Canvases(lengths, free, pinned, disallowed, torch.arange(len(free)) % 2)
    share = torch.rand(len(free), generator=generator)
    prompt = tokens(40)
    ours, theirs = (
        one.denoise(one.encode(prompt), canvases, canvas, soft, 0.7, share)
        for one in (folded, plain)
    )
    assert ours.argmax.tolist() == theirs.argmax.tolist()
    assert ours.sampled.tolist() == theirs.sampled.tolist()
    for name in ("log_probability", "entropy", "free_fit", "pinned_fit", "conditioning"):
        close(getattr(ours, name), getattr(theirs, name))


def test_scores_and_logits(plain, folded):
    prompt, texts = tokens(25), [tokens(4, 1), [], tokens(9, 2)]
    for ours, theirs in zip(
        *(one.score(one.encode(prompt), texts) for one in (folded, plain)), strict=True
    ):
        close(ours, theirs)
    canvas = torch.tensor(tokens(9, 3))
    ours, theirs = (
        one.logits(one.encode(prompt), canvas, (4, 5), None) for one in (folded, plain)
    )
    close(ours, theirs)


class Computed(TorchDispatchMode):
    """Counts the operations that compute or copy something."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def test_a_step_takes_a_quarter_fewer_operations(plain, folded):
    """By count, because a time depends on the machine."""
    prompt, canvas = tokens(40), torch.tensor(tokens(12, 1))
    none = canvas[:0]
    disallowed = torch.zeros(1, plain.vocab_size, dtype=torch.bool)
    canvases = Canvases((5, 7), torch.arange(12), none, disallowed, torch.zeros_like(canvas))
    soft, share = torch.randn(12, plain.model.lm_head.weight.shape[1]), torch.rand(12)

    def operations(denoiser: GemmaDenoiser) -> int:
        encoded = denoiser.encode(prompt)
        denoiser.denoise(encoded, canvases, canvas, soft, 0.7, share)
        with Computed() as computed:
            denoiser.denoise(encoded, canvases, canvas, soft, 0.7, share)
        return computed.count

    assert operations(folded) <= 0.75 * operations(plain)


def test_the_gate_is_the_approximation_of_gelu():
    gate, up = torch.linspace(-9, 9, 400), torch.linspace(-3, 5, 400)
    theirs = torch.nn.functional.gelu(gate, approximate="tanh") * up
    torch.testing.assert_close(gated(gate, up), theirs, atol=2e-6, rtol=1e-6)


def test_small_models_in_float32_are_folded_on_a_cpu_and_no_others(model, tiny_model):
    assert settle(model, None)._folded is not None
    assert fold(copy.deepcopy(tiny_model).to(torch.bfloat16)) is None
    biased = copy.deepcopy(tiny_model)
    biased.model.decoder.layers[0].mlp.down_proj.bias = torch.nn.Parameter(torch.zeros(1))
    assert fold(biased) is None


def test_many_rows_are_more_than_run_at_once():
    assert sum(MANY) > ROWS_ATTENDING
