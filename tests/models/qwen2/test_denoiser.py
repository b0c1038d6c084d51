"""The masked Qwen2 against transformers' own class, and its cached steps against exact ones."""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen2ForCausalLM

from dg_lsp.config import CacheSettings
from dg_lsp.engine.denoiser import Canvases
from dg_lsp.models.likelihood import TEXT
from dg_lsp.models.loading import load
from dg_lsp.models.qwen2.config import read_config
from dg_lsp.models.qwen2.context import rotated, turn
from dg_lsp.models.qwen2.denoiser import Qwen2Denoiser
from dg_lsp.models.qwen2.weights import load_weights

BEFORE, AFTER = (2, *range(30, 60)), (*range(60, 85), 1)
CANVAS = (3, 40, 3, 3, 41, 3)
CPU = torch.device("cpu")


def reference_logits(directory, ids) -> torch.Tensor:
    """What transformers' class says with a mask that is true everywhere, not shifted."""
    model = Qwen2ForCausalLM.from_pretrained(
        directory, config=read_config(directory).network, dtype=torch.float32
    ).eval()
    mask = torch.ones(1, 1, len(ids), len(ids), dtype=torch.bool)
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), attention_mask=mask).logits[0]


def denoiser_of(directory, refresh_steps: int = 1) -> Qwen2Denoiser:
    config = read_config(directory)
    model = load_weights(directory, config.network, CPU, torch.float32)
    return Qwen2Denoiser(model, config, CacheSettings(refresh_steps=refresh_steps))


def logits(denoiser, canvases, encoded=None) -> torch.Tensor:
    encoded = encoded or denoiser.encode(BEFORE, "", AFTER)
    canvas = torch.tensor([token for each in canvases for token in each])
    return denoiser.logits(encoded, canvas, [len(each) for each in canvases], None)


@pytest.mark.parametrize("tied", [False, True])
def test_logits_are_those_of_transformers_shifted_by_one(
    save_masked_checkpoint, tmp_path, tied
):
    save_masked_checkpoint(tmp_path, tie_word_embeddings=tied)
    start = len(BEFORE)
    expect = reference_logits(tmp_path, [*BEFORE, *CANVAS, *AFTER])

    found = logits(denoiser_of(tmp_path), [CANVAS])

    torch.testing.assert_close(
        found, expect[start - 1 : start - 1 + len(CANVAS)], atol=1e-4, rtol=0
    )
    unshifted = expect[start : start + len(CANVAS)]
    assert (found - unshifted).abs().max() > 0.1


def test_the_first_row_of_all_keeps_its_own_output(masked_checkpoint):
    expect = reference_logits(masked_checkpoint, [*CANVAS, *AFTER])
    denoiser = denoiser_of(masked_checkpoint)

    found = logits(denoiser, [CANVAS], denoiser.encode((), "", AFTER))

    rows = [0, *range(len(CANVAS) - 1)]
    torch.testing.assert_close(found, expect[rows], atol=1e-4, rtol=0)


def test_what_follows_the_canvas_matters(masked_checkpoint):
    denoiser = denoiser_of(masked_checkpoint)
    other = denoiser.encode(BEFORE, "", AFTER[::-1])

    assert (logits(denoiser, [CANVAS]) - logits(denoiser, [CANVAS], other)).abs().max() > 0.1


def test_canvases_together_are_as_each_alone(masked_checkpoint):
    canvases = [CANVAS, CANVAS[::-1], (3, 3), (*CANVAS, 44)]
    denoiser = denoiser_of(masked_checkpoint)

    alone = torch.cat([logits(denoiser, [each]) for each in canvases])

    torch.testing.assert_close(logits(denoiser, canvases), alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("before", [BEFORE, BEFORE[:1], BEFORE[:3]])
@pytest.mark.parametrize("after", [AFTER, AFTER[:1], ()])
def test_a_step_on_a_fresh_context_is_exact(masked_checkpoint, before, after):
    exact, cached = denoiser_of(masked_checkpoint), denoiser_of(masked_checkpoint, 8)
    expect = logits(exact, [CANVAS], exact.encode(before, "", after))
    encoded = cached.encode(before, "", after)

    first = logits(cached, [CANVAS], encoded)
    again = logits(cached, [CANVAS], encoded)

    torch.testing.assert_close(first, expect, atol=1e-4, rtol=0)
    torch.testing.assert_close(again, expect, atol=1e-4, rtol=0)
    assert cached.full_passes == 1


@pytest.mark.parametrize("canvases", [[(3,) * 2], [(3,) * 40], [(3,) * n for n in range(1, 8)]])
def test_in_one_layer_keys_are_rotated_to_any_length_exactly(
    save_masked_checkpoint, tmp_path, canvases
):
    # In the first layer, keys and values follow from their own tokens alone.
    save_masked_checkpoint(tmp_path, num_hidden_layers=1)
    exact, cached = denoiser_of(tmp_path), denoiser_of(tmp_path, 0)
    encoded = cached.encode(BEFORE, "", AFTER)
    logits(cached, [CANVAS], encoded)

    found = logits(cached, canvases, encoded)

    torch.testing.assert_close(found, logits(exact, canvases), atol=1e-4, rtol=0)
    assert cached.full_passes == 1


def test_rotations_add_up(masked_denoiser):
    rotary = masked_denoiser.model.model.rotary_emb
    keys = torch.randn(1, 2, 5, 16)

    there = rotated(keys, *turn(rotary, 7))

    torch.testing.assert_close(rotated(there, *turn(rotary, -7)), keys)
    torch.testing.assert_close(
        rotated(there, *turn(rotary, 3)), rotated(keys, *turn(rotary, 10))
    )


def step(
    denoiser, encoded, *canvases, temperature=0.5, allowed=None, pinned=(), is_scored=False
):
    ids = torch.tensor([token for each in canvases for token in each])
    free = torch.tensor([at for at in range(len(ids)) if at not in pinned])
    disallowed = torch.zeros(1, denoiser.vocab_size, dtype=torch.bool)
    if allowed is not None:
        disallowed[:] = True
        disallowed[0, torch.tensor(allowed)] = False
    rows = Canvases(
        tuple(map(len, canvases)),
        free,
        torch.tensor(pinned, dtype=torch.long),
        disallowed,
        torch.zeros(len(free), dtype=torch.long),
        is_scored=is_scored,
    )
    share = torch.linspace(0, 0.99, len(free))
    return denoiser.denoise(encoded, rows, ids, None, temperature, share)


@pytest.mark.parametrize(("refresh_steps", "expect"), [(1, 9), (2, 5), (4, 3), (8, 2), (0, 1)])
def test_the_context_is_read_again_after_so_many_steps(
    masked_checkpoint, refresh_steps, expect
):
    denoiser = denoiser_of(masked_checkpoint, refresh_steps)
    encoded = denoiser.encode(BEFORE, "", AFTER)
    for _ in range(9):
        step(denoiser, encoded, CANVAS)

    assert denoiser.full_passes == expect


def test_comparing_texts_reads_no_context_again(masked_checkpoint):
    denoiser = denoiser_of(masked_checkpoint, 2)
    encoded = denoiser.encode(BEFORE, "", AFTER)
    step(denoiser, encoded, CANVAS)
    for _ in range(9):
        step(denoiser, encoded, CANVAS, (3, 40), is_scored=True)

    assert denoiser.full_passes == 1


def test_a_prediction_is_within_constraints_and_the_nucleus(masked_checkpoint):
    denoiser = denoiser_of(masked_checkpoint)
    encoded = denoiser.encode(BEFORE, "", AFTER)
    raw = logits(denoiser, [CANVAS])
    allowed = [*range(20, 90)]

    found = step(denoiser, encoded, CANVAS, allowed=allowed, pinned=(1,))

    free = [0, 2, 3, 4, 5]
    limited = torch.full_like(raw, -torch.inf)
    limited[:, allowed] = raw[:, allowed] / 0.5
    probability, order = limited.softmax(-1).sort(-1, descending=True)
    for row, at in enumerate(free):
        size = int((probability[at].cumsum(-1) < 0.9).sum()) + 1
        nucleus = probability[at][:size] / probability[at][:size].sum()
        assert found.argmax[row] == order[at, 0]
        assert found.sampled[row] in order[at, :size]
        assert found.log_probability[row].exp() == pytest.approx(nucleus[0].item(), abs=1e-4)
        entropy = -(nucleus * nucleus.log()).sum().item()
        assert found.entropy[row] == pytest.approx(entropy, abs=1e-4)
        second = nucleus[1].item() if size > 1 else 0.0
        assert found.margin[row] == pytest.approx(nucleus[0].item() - second, abs=1e-4)
    fits = raw.log_softmax(-1)
    expect = fits[free].gather(1, found.argmax[:, None])[:, 0]
    torch.testing.assert_close(found.free_fit, expect, atol=1e-4, rtol=0)
    assert found.pinned_fit.item() == pytest.approx(fits[1, CANVAS[1]].item(), abs=1e-4)
    assert found.conditioning is None


def test_samples_follow_their_shares(masked_checkpoint):
    denoiser = denoiser_of(masked_checkpoint)
    encoded = denoiser.encode(BEFORE, "", AFTER)

    found = step(denoiser, encoded, CANVAS, temperature=5.0)

    # A share of 0 is the best token.
    assert found.sampled[0] == found.argmax[0]
    assert (found.sampled[1:] != found.argmax[1:]).any()


def test_memory_can_be_freed_and_the_next_job_runs(masked_checkpoint):
    denoiser = denoiser_of(masked_checkpoint, 4)
    encoded = denoiser.encode(BEFORE, "", AFTER)
    before = logits(denoiser, [CANVAS], encoded)

    assert denoiser.shrink() > 0
    assert denoiser.shrink() == 0
    torch.testing.assert_close(logits(denoiser, [CANVAS], encoded), before)


def test_surprise_tells_weights_apart(masked_checkpoint, save_masked_checkpoint, tmp_path):
    one, other = load(str(masked_checkpoint), "cpu"), denoiser_of(masked_checkpoint)
    ids = one.codec.encode(TEXT)
    with torch.no_grad():
        other.model.model.layers[0].mlp.down_proj.weight.mul_(-1)

    assert one.denoiser.surprise(ids) == pytest.approx(one.denoiser.surprise(ids))
    assert abs(one.denoiser.surprise(ids) - other.surprise(ids)) > 1e-3


@pytest.mark.parametrize(
    ("before", "after", "canvas", "expect"),
    [
        (BEFORE, AFTER, CANVAS, 1),
        (BEFORE[:-1], AFTER, CANVAS, 2),
        (BEFORE, AFTER[1:], CANVAS, 2),
        (BEFORE, AFTER, CANVAS[:-1], 2),
        (BEFORE, AFTER, (*CANVAS[:-1], 44), 2),
    ],
)
def test_a_job_that_begins_like_the_one_before_reads_nothing_again(
    masked_checkpoint, before, after, canvas, expect
):
    denoiser = denoiser_of(masked_checkpoint, 0)
    first = denoiser.encode(BEFORE, "", AFTER)
    for given in (CANVAS, CANVAS[::-1]):
        step(denoiser, first, given)

    encoded = denoiser.encode(before, "", after)
    found = [step(denoiser, encoded, given) for given in (canvas, canvas[::-1])]

    assert denoiser.full_passes == expect
    fresh = denoiser_of(masked_checkpoint, 0)
    encoded = fresh.encode(before, "", after)
    for one, given in zip(found, (canvas, canvas[::-1]), strict=True):
        assert torch.equal(one.entropy, step(fresh, encoded, given).entropy)
