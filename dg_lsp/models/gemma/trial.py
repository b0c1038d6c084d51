"""Sample calls of a denoiser, and their results in two ways of running it compared.

They are the calls of a job: a prompt is read in pieces, as typing does, texts after it are
ranked, and canvases are denoised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dg_lsp.engine.denoiser import Canvases, Prediction, StepRequest
from dg_lsp.models.checking import tolerance_of, within
from dg_lsp.models.gemma.checking import CANVASES, PROMPT_TOKENS
from dg_lsp.models.gemma.denoiser import GemmaDenoiser
from dg_lsp.models.gemma.prefix_cache import Encoded

TAILS = (1, 16, 64)
"""Tokens that are read after a prompt: a keystroke's, and as many as each bucket holds."""
RANKED = (16, 8)
"""Tokens of the texts that are ranked together."""
TEMPERATURE = 0.7
DOCUMENT = "the self-test"
SHARED_PROMPTS = (200, 300)
"""Tokens of the prompts that share a step."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The results of the sample calls."""

    states: list[Tensor]
    """(hidden,) the encoder's state after each tail."""
    scores: list[Tensor]
    """(tokens,) of each ranked text."""
    steps: list[Prediction]


@torch.inference_mode()
def run_trial(denoiser: GemmaDenoiser) -> Trial:
    """The sample calls; the steps are after the prompt that was read in pieces."""
    ids = _ids(denoiser, PROMPT_TOKENS)
    read = len(ids) - sum(TAILS)
    encoded = denoiser.encode(ids[:read], DOCUMENT)
    # First, because this gives the workspace room, without which no tail is read in a bucket.
    scores = rank(denoiser, encoded)
    states = []
    for tail in TAILS:
        read += tail
        encoded = denoiser.encode(ids[:read], DOCUMENT)
        states.append(encoded.last_hidden)
    scores += rank(denoiser, encoded)
    denoiser.prefixes.take(DOCUMENT)
    return Trial(states, scores, sample_steps(denoiser, encoded))


def check_trial(found: Trial, expected: Trial, dtype: torch.dtype) -> None:
    """Raise `CheckFailedError` if the results differ by more than rounding explains."""
    for tail, ours, plain in zip(TAILS, found.states, expected.states, strict=True):
        check_state(f"a prompt of which {tail} tokens are new", ours, plain, dtype)
    check_scores(found.scores, expected.scores, dtype)
    check_steps(found.steps, expected.steps, dtype)


@torch.inference_mode()
def check_prepared(denoiser: GemmaDenoiser, sizes: Sequence[int]) -> None:
    """What is prepared for prompts of some sizes, compared with the same calls without it."""
    ids = _ids(denoiser, max(sizes, default=0) + max(TAILS))
    dtype = denoiser.model.lm_head.weight.dtype
    for size in sizes:
        encoded = denoiser.encode(ids[:size], DOCUMENT)
        found = rank(denoiser, encoded), sample_steps(denoiser, encoded)
        with denoiser.unpadded():
            scores, steps = rank(denoiser, encoded), sample_steps(denoiser, encoded)
        check_scores(found[0], scores, dtype)
        check_steps(found[1], steps, dtype)
        for tail in TAILS:
            longer = ids[: size + tail]
            _cut_back(denoiser, ids[:size])
            state = denoiser.encode(longer, DOCUMENT).last_hidden
            _cut_back(denoiser, ids[:size])
            with denoiser.unpadded():
                plain = denoiser.encode(longer, DOCUMENT).last_hidden
            what = f"a prompt of which {tail} tokens are new after {size}"
            check_state(what, state, plain, dtype)
        _cut_back(denoiser, ids[:size])
    denoiser.prefixes.take(DOCUMENT)


@torch.inference_mode()
def check_shared(denoiser: GemmaDenoiser) -> None:
    """A prepared step that two prompts share, compared with each one's step without it."""
    if denoiser.prompts_together < 2:
        return
    ids = _ids(denoiser, SHARED_PROMPTS[-1])
    names = [f"{DOCUMENT} {count}" for count in SHARED_PROMPTS]
    requests = []
    for name, count in zip(names, SHARED_PROMPTS, strict=True):
        dice = torch.Generator().manual_seed(count)
        encoded = denoiser.encode(ids[:count], name)
        requests.append(_request(denoiser, encoded, _canvases(denoiser, dice), dice))
    found = denoiser.denoise_together(requests)
    with denoiser.unpadded():
        expected = [request.on(denoiser) for request in requests]
    check_steps(found, expected, denoiser.model.lm_head.weight.dtype)
    for name in names:
        denoiser.prefixes.take(name)


def _cut_back(denoiser: GemmaDenoiser, ids: Sequence[int]) -> None:
    """Leave only some tokens of the prompt in the cache, if it is there."""
    prefix = denoiser.prefixes.take(DOCUMENT)
    if prefix is not None:
        prefix.keep_common([*ids, -1])
        denoiser.prefixes.put(DOCUMENT, prefix)


def _ids(denoiser: GemmaDenoiser, count: int) -> list[int]:
    dice = torch.Generator().manual_seed(0)
    ids: list[int] = torch.randint(denoiser.vocab_size, (count,), generator=dice).tolist()
    return ids


def rank(denoiser: GemmaDenoiser, encoded: Encoded) -> list[Tensor]:
    """The log-probabilities of some texts after a prompt."""
    texts, ids = [], _ids(denoiser, sum(RANKED))
    for count in RANKED:
        texts.append(ids[:count])
        del ids[:count]
    return denoiser.score(encoded, texts)


def sample_steps(denoiser: GemmaDenoiser, encoded: Encoded) -> list[Prediction]:
    """Two steps after a prompt, the second conditioned on the first."""
    dice = torch.Generator().manual_seed(0)
    canvases = _canvases(denoiser, dice)
    found: list[Prediction] = []
    for _ in range(2):
        conditioning = found[-1].conditioning if found else None
        found.append(_request(denoiser, encoded, canvases, dice, conditioning).on(denoiser))
    return found


def _canvases(denoiser: GemmaDenoiser, dice: torch.Generator) -> Canvases:
    vocab, device = denoiser.vocab_size, denoiser.device
    lengths = tuple(min(length, denoiser.canvas_length) for length in CANVASES)
    is_free = torch.rand(sum(lengths), generator=dice) < 0.7
    is_free[0] = True
    free, pinned = is_free.nonzero().squeeze(1), (~is_free).nonzero().squeeze(1)
    return Canvases(
        lengths,
        free.to(device),
        pinned.to(device),
        (torch.rand(1, vocab, generator=dice) < 0.1).to(device),
        torch.zeros_like(free).to(device),
    )


def _request(
    denoiser: GemmaDenoiser,
    encoded: Encoded,
    canvases: Canvases,
    dice: torch.Generator,
    conditioning: Tensor | None = None,
) -> StepRequest:
    rows = sum(canvases.lengths)
    canvas = torch.randint(denoiser.vocab_size, (rows,), generator=dice)
    share = torch.rand(len(canvases.free), generator=dice)
    return StepRequest(
        *(encoded, canvases, canvas.to(denoiser.device), conditioning),
        *(TEMPERATURE, share.to(denoiser.device)),
    )


def check_steps(
    found: Sequence[Prediction], expected: Sequence[Prediction], dtype: torch.dtype
) -> None:
    """Steps against those of a denoiser that runs plainly."""
    limit = tolerance_of(dtype)
    for ours, plain in zip(found, expected, strict=True):
        for name in ("log_probability", "entropy", "free_fit", "pinned_fit"):
            a, b = getattr(ours, name), getattr(plain, name)
            if len(b):
                within(f"{name} of a step", (a - b).abs().mean(), limit.step)
        assert ours.conditioning is not None
        assert plain.conditioning is not None
        check_state(
            "the soft embeddings of a step", ours.conditioning, plain.conditioning, dtype
        )


def check_scores(
    found: Sequence[Tensor], expected: Sequence[Tensor], dtype: torch.dtype
) -> None:
    """Log-probabilities of ranked texts against those of a denoiser that runs plainly."""
    difference = (torch.cat([*found]) - torch.cat([*expected])).abs().mean()
    within("the score of a text", difference, tolerance_of(dtype).step)


def check_state(what: str, found: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    """States or embeddings against those of a denoiser that runs plainly."""
    ours, plain = found.float(), expected.float()
    within(what, (ours - plain).norm() / plain.norm(), tolerance_of(dtype).embedding)
