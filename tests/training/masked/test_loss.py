"""The loss is that of a model that reads both sides and predicts a row at the one before it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from dg_lsp.training.masked.corruption import IGNORED
from dg_lsp.training.masked.examples import Batch
from dg_lsp.training.masked.loss import reading_mask, shifted_losses

_ = IGNORED


def batch(causal: bool = False) -> Batch:
    return Batch(
        ids=np.array([[2, 10, 3, 3, 12, 0], [2, 10, 11, 12, 13, 14]]),
        targets=np.array([[_, _, 11, 1, _, _], [_, 10, 11, 12, 13, 14]]),
        weights=np.array([[0, 0, 2, 0.5, 0, 0], [0, 1, 1, 1, 1, 1]], np.float32),
        lengths=np.array([5, 6]),
        causal=np.array([causal, True]),
    )


@pytest.fixture(scope="module")
def model() -> Qwen2ForCausalLM:
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
    )
    return Qwen2ForCausalLM(config).eval()


def test_infills_read_both_sides_and_causal_examples_what_is_before():
    infill, causal = reading_mask(batch())[:, 0]

    assert infill.tolist() == [[True] * 5 + [False]] * 6
    assert torch.equal(causal, torch.ones(6, 6).tril().bool())


@torch.no_grad()
def test_row_i_is_predicted_by_the_output_at_i_minus_1(model):
    causal, masked = shifted_losses(model, batch(), torch.device("cpu"))
    everywhere = torch.ones(1, 1, 5, 5, dtype=torch.bool)
    ids = torch.tensor([[2, 10, 3, 3, 12]])
    logits = model(input_ids=ids, attention_mask=everywhere).logits[0].log_softmax(-1)
    expect = -(2 * logits[1, 11] + 0.5 * logits[2, 1]) / 2.5
    unshifted = -(2 * logits[2, 11] + 0.5 * logits[3, 1]) / 2.5

    assert float(masked) == pytest.approx(float(expect), abs=1e-5)
    assert float(masked) != pytest.approx(float(unshifted), abs=1e-3)

    plain = torch.tensor([[2, 10, 11, 12, 13, 14]])
    own = float(model(input_ids=plain, labels=plain).loss)
    assert float(causal) == pytest.approx(own, abs=1e-5)


@torch.no_grad()
def test_a_batch_without_infills_has_no_masked_loss(model):
    _, masked = shifted_losses(model, batch(causal=True), torch.device("cpu"))

    assert float(masked) == 0
