"""The loaded network as the engine calls it, against the class's own forward."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from dg_lsp.engine.denoiser import Canvases, OutOfMemoryError
from dg_lsp.models.captured import uncaptured
from dg_lsp.models.gemma.bucketed import BucketedSteps
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.prefix_cache import Encoded
from dg_lsp.models.gemma.step import head_of

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
    before = soft = None
    if conditioned:
        generator = torch.Generator().manual_seed(2)
        before = torch.randn(canvas_length, denoiser.vocab_size, generator=generator) * 4
        embedding = tiny_model.model.decoder.embed_tokens
        soft = before.softmax(-1) @ embedding.weight.detach() * embedding.embed_scale
    with torch.inference_mode():
        theirs = tiny_model(
            input_ids=torch.tensor([prompt]),
            decoder_input_ids=canvas[None],
            self_conditioning_logits=None if before is None else before[None],
        ).logits[0]
        hidden = denoiser.hidden(denoiser.encode(prompt), canvas, [canvas_length], soft)
        ours = head_of(tiny_model).logits(hidden)

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
    continuations = [tokens(30, 2), tokens(4, 3)]

    first = denoiser.hidden(encoded, canvas, [20], None)
    scores = denoiser.score(encoded, continuations)
    denoiser.hidden(encoded, canvas, [12, 8], first)
    # Its document is read on, and then anew.
    denoiser.encode(tokens(prompt_length) + tokens(30, 4))
    close(denoiser.hidden(encoded, canvas, [20], None), first)
    denoiser.encode(tokens(50, 5))

    close(denoiser.hidden(encoded, canvas, [20], None), first)
    denoiser.encode(tokens(50, 6))
    for earlier, later in zip(scores, denoiser.score(encoded, continuations), strict=True):
        close(later, earlier)


def test_says_what_it_is(denoiser, tiny_config):
    assert denoiser.vocab_size == tiny_config.text_config.vocab_size
    assert denoiser.canvas_length == tiny_config.canvas_length
    assert denoiser.device == torch.device("cpu")


def canvases_of(denoiser: GemmaDenoiser, rows: int) -> Canvases:
    """One canvas that is all free, with nothing disallowed."""
    everything = torch.zeros(1, denoiser.vocab_size, dtype=torch.bool)
    none = torch.empty(0, dtype=torch.long)
    return Canvases((rows,), torch.arange(rows), none, everything, torch.zeros(rows).long())


def denoise_once(denoiser: GemmaDenoiser, encoded: Encoded) -> torch.Tensor:
    predicted = denoiser.denoise(
        encoded, canvases_of(denoiser, 6), torch.arange(40, 46), None, 0.5, torch.rand(6)
    )
    return predicted.log_probability


@pytest.mark.parametrize("bucketed", [None, BucketedSteps(uncaptured)], ids=["plain", "bucket"])
@pytest.mark.parametrize("half", ["encoder", "decoder"])
@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory: 9 B")],
)
def test_running_out_of_memory_leaves_it_usable(tiny_model, monkeypatch, bucketed, half, error):
    def out_of_memory(*args, **kwargs):
        raise error

    denoiser = GemmaDenoiser(tiny_model, bucketed=bucketed)
    prompt = tokens(30)
    encoded = denoiser.encode(prompt, "a")
    expect = denoise_once(denoiser, encoded)
    stack = {
        "encoder": tiny_model.model.encoder.language_model,
        "decoder": tiny_model.model.decoder,
    }[half]
    with monkeypatch.context() as patch:
        # Some layers have read on by then.
        patch.setattr(stack.layers[2], "forward", out_of_memory)
        with pytest.raises(OutOfMemoryError, match="cpu"):
            denoise_once(denoiser, denoiser.encode([*prompt, 7, 8], "a"))

    close(denoise_once(denoiser, denoiser.encode(prompt, "a")), expect)
    assert denoiser.shrink() > 0
    assert (denoiser.shrink(), denoiser.prefixes.documents) == (0, [])
    close(denoise_once(denoiser, encoded), expect)


def tensors_of(denoiser: GemmaDenoiser) -> list[torch.Tensor]:
    """All tensors that it reaches, but for the model's own."""
    own = {id(tensor) for tensor in denoiser.model.state_dict(keep_vars=True).values()}
    found: dict[int, torch.Tensor] = {}
    seen: set[int] = set()
    todo: list[object] = [denoiser]
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, type | torch.nn.Module):
            continue
        seen.add(id(one))
        if isinstance(one, torch.Tensor):
            if id(one) not in own:
                found[id(one)] = one
            continue
        todo += gc.get_referents(one)
    return list(found.values())


def test_shrinking_leaves_no_tensor_behind(denoiser):
    encoded = denoiser.encode(tokens(30), "a")
    denoise_once(denoiser, encoded)
    held = [weakref.ref(tensor) for tensor in tensors_of(denoiser)]
    assert len(held) > 4 * len(denoiser.layer_shapes)
    del encoded
    denoiser.shrink()
    gc.collect()

    assert [one() for one in held] == [None] * len(held)
