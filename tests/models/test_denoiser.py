"""The loaded network as the engine calls it, against the class's own forward."""

from __future__ import annotations

import pytest
import torch

from dg_lsp.models.denoiser import GemmaDenoiser

# The window of the tiny model is 16: shorter, as long, one past it, far past it.
PROMPT_LENGTHS = [1, 3, 15, 16, 17, 40]


@pytest.fixture
def denoiser(tiny_model) -> GemmaDenoiser:
    return GemmaDenoiser(tiny_model)


def tokens(count: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(5, 300, (count,), generator=generator).tolist()


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@torch.inference_mode()
def causal_log_probabilities(model, prompt: list[int], continuation: list[int]) -> torch.Tensor:
    """Each token's log-probability, from one pass of the encoder over the whole text."""
    ids = torch.tensor([prompt + continuation])
    hidden = model.model.encoder(input_ids=ids).last_hidden_state[0]
    cap = model.final_logit_softcapping
    logits = torch.tanh(model.lm_head(hidden).float() / cap) * cap
    each = torch.log_softmax(logits, -1)[len(prompt) - 1 : -1]
    return each.gather(1, torch.tensor(continuation)[:, None]).squeeze(1)


@pytest.mark.parametrize("conditioned", [False, True], ids=["first-step", "later-step"])
@pytest.mark.parametrize("canvas_length", [1, 12, 30])
@pytest.mark.parametrize("prompt_length", PROMPT_LENGTHS)
def test_encode_and_denoise_are_the_forward_of_the_class(
    tiny_model, denoiser, prompt_length, canvas_length, conditioned
):
    prompt, canvas = tokens(prompt_length), torch.tensor(tokens(canvas_length, 1))
    conditioning = None
    if conditioned:
        generator = torch.Generator().manual_seed(2)
        conditioning = torch.randn(canvas_length, denoiser.vocab_size, generator=generator) * 4
    with torch.inference_mode():
        theirs = tiny_model(
            input_ids=torch.tensor([prompt]),
            decoder_input_ids=canvas[None],
            self_conditioning_logits=None if conditioning is None else conditioning[None],
        ).logits[0]

    ours = denoiser.denoise(denoiser.encode(prompt), canvas, [canvas_length], conditioning)
    assert ours.dtype == torch.float32
    close(ours, theirs)


@pytest.mark.parametrize("prompt_length", PROMPT_LENGTHS)
def test_scores_are_those_of_reading_the_whole_text(tiny_model, denoiser, prompt_length):
    prompt = tokens(prompt_length)
    # Longer than the window, alone and beside others.
    continuations = [tokens(5, 1), tokens(1, 2), tokens(40, 3), tokens(16, 4)]

    scores = denoiser.score(denoiser.encode(prompt), continuations)
    alone = [denoiser.score(denoiser.encode(prompt), [one])[0] for one in continuations]
    for score, single, continuation in zip(scores, alone, continuations, strict=True):
        expect = causal_log_probabilities(tiny_model, prompt, continuation)
        assert score.dtype == torch.float32
        close(score, expect)
        close(single, expect)


@pytest.mark.parametrize("lengths", [[0], [0, 3], [3, 0], [2, 0, 3]])
def test_a_continuation_of_no_tokens_has_no_scores(denoiser, lengths):
    continuations = [tokens(length, length) for length in lengths]
    scores = denoiser.score(denoiser.encode(tokens(5)), continuations)

    assert [len(score) for score in scores] == lengths


@pytest.mark.parametrize("prompt_length", PROMPT_LENGTHS)
def test_an_encoding_is_read_and_never_changed(denoiser, prompt_length):
    encoded = denoiser.encode(tokens(prompt_length))
    canvas = torch.tensor(tokens(20, 1))

    def read() -> list[torch.Tensor]:
        cached = [
            tensor.clone()
            for layer in encoded.cache.layers
            for tensor in (layer.keys, layer.values)
        ]
        return [*cached, torch.tensor(encoded.cache.get_seq_length()), encoded.last_hidden]

    before = read()
    first = denoiser.denoise(encoded, canvas, [20], None)
    scores = denoiser.score(encoded, [tokens(30, 2), tokens(4, 3)])
    denoiser.denoise(encoded, canvas, [12, 8], first)

    for earlier, later in zip(before, read(), strict=True):
        assert torch.equal(earlier, later)
    assert torch.equal(first, denoiser.denoise(encoded, canvas, [20], None))
    for earlier, later in zip(
        scores, denoiser.score(encoded, [tokens(30, 2), tokens(4, 3)]), strict=True
    ):
        assert torch.equal(earlier, later)


def test_says_what_it_is(denoiser, tiny_config):
    assert denoiser.vocab_size == tiny_config.text_config.vocab_size
    assert denoiser.canvas_length == tiny_config.canvas_length
    assert denoiser.device == torch.device("cpu")
