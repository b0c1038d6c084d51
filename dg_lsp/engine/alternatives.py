"""What else may stand in place of one word: the distribution of one step, as whole texts.

All else is pinned. Canvases of about the word's length start from noise, and the first step's
best tokens make up texts, which are healed like any other span and ranked like any others. So
texts of different lengths compare, and their probabilities add up to one.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dg_lsp.config import MAX_CHARS_PER_TOKEN
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Denoiser
from dg_lsp.engine.denoising import Denoising
from dg_lsp.engine.family import Family, FoundText
from dg_lsp.engine.healing import text_of
from dg_lsp.engine.prompt import CanvasPlan, healed_ids, plan_canvas
from dg_lsp.engine.span_text import span_text
from dg_lsp.job import Infill, InfillJob
from dg_lsp.reason import Reason, ReasonCode

if TYPE_CHECKING:
    from torch import Tensor

MOST_TOKENS = 16
"""A word of more tokens, healed ones included, is refused: it is a text to rewrite."""
FEWEST, NEAR = 3, 2
"""Which lengths are tried: the shortest ones, as a common word is one token, and those near the
word's own."""
WIDTH = 8
"""How many texts a canvas yields."""


def alternatives(
    job: InfillJob, denoiser: Denoiser, codec: Codec, family: Family, temperature: float = 1.0
) -> Infill:
    """The likeliest texts in place of the job's word, best first, and the word among them.

    `temperature` divides the log-likelihoods from which the probabilities follow.
    """
    word = job.replaced or ""
    began = time.perf_counter()
    if len(word) > MOST_TOKENS * MAX_CHARS_PER_TOKEN:
        return _too_long(f"{len(word)} characters")
    # Models see only "\n".
    before, after = (text.replace("\r\n", "\n") for text in (job.prefix, job.suffix))
    prompt = family.layout.build(
        replace(job, prefix=before, suffix=after), denoiser.canvas_length
    )
    typed = healed_ids(prompt, codec, word)
    if len(typed) > MOST_TOKENS:
        return _too_long(f"{len(typed)} tokens")
    encoded = denoiser.encode(prompt.ids, job.document_key, prompt.after)
    read = time.perf_counter()
    room = denoiser.canvas_length - prompt.anchored_tokens
    least, own = prompt.least_tokens, len(typed)
    lengths = {*range(least, least + FEWEST), *range(own - NEAR, own + NEAR + 1)}
    plans = [
        plan_canvas(prompt, length) for length in sorted(lengths) if least <= length <= room
    ]
    denoising = Denoising(denoiser, encoded, plans, codec, family.corrupt(job.seed))
    found = [FoundText(word, (1.0,) * len(word))]
    for plan, distribution in zip(plans, denoising.first_distributions(), strict=True):
        found += _texts(plan, codec, distribution)
    stepped = time.perf_counter()
    ranked = family.ranker.rank(found, prompt, encoded, {}, is_rewrite=True)
    shares = shares_of([candidate.score for candidate in ranked], temperature)
    weighed = [
        replace(candidate, confidence=share)
        for candidate, share in zip(ranked, shares, strict=True)
    ]
    others = [candidate for candidate in weighed if candidate.text != word]
    kept = {word, *(candidate.text for candidate in others[: job.alternatives])}
    ended = time.perf_counter()
    return Infill(
        tuple(candidate for candidate in weighed if candidate.text in kept),
        1,
        {
            "encode": (read - began) * 1e3,
            "denoise": (stepped - read) * 1e3,
            "rank": (ended - stepped) * 1e3,
            "total": (ended - began) * 1e3,
        },
        prompt_tokens=len(prompt.ids),
        cached_tokens=getattr(encoded, "reused", 0),
    )


def _too_long(size: str) -> Infill:
    long = f"the text has {size}; alternatives are for one word"
    return Infill((), 0, reason=Reason(ReasonCode.TOO_LONG, long))


def _texts(plan: CanvasPlan, codec: Codec, distribution: Tensor) -> Iterator[FoundText]:
    """The likeliest texts of a canvas whose positions have these log-probabilities."""
    before, after = (text_of(codec, ids) for ids in (plan.left_tokens, plan.right_tokens))
    for ids, probabilities in _likeliest(distribution):
        written = text_of(codec, ids)
        # What a healed position accepts follows from the one before it.
        if (
            len(written) <= len(before) + len(after)
            or not written.startswith(before)
            or not written.endswith(after)
        ):
            continue
        text, confidences = span_text(plan, codec, ids, probabilities)
        if text == text.strip() and text.isprintable() and "\ufffd" not in text:
            yield FoundText(text, confidences)


def _likeliest(distribution: Tensor) -> list[tuple[list[int], list[float]]]:
    """The likeliest sequences of tokens, with the probability of each token.

    The positions of one step are independent of each other.
    """
    best: list[tuple[float, list[int], list[float]]] = [(0.0, [], [])]
    width = min(WIDTH, distribution.shape[1])
    values, indices = distribution.topk(width, dim=-1)
    for logs, ids in zip(values.tolist(), indices.tolist(), strict=True):
        longer = (
            (total + log, [*tokens, token], [*each, math.exp(log)])
            for total, tokens, each in best
            for log, token in zip(logs, ids, strict=True)
            if log > -math.inf
        )
        best = heapq.nlargest(WIDTH, longer, key=lambda one: one[0])
    return [(tokens, each) for _, tokens, each in best]


def shares_of(scores: Sequence[float], temperature: float) -> list[float]:
    """The probability of each text among all, by their log-likelihoods."""
    most = max(scores)
    weights = [math.exp((score - most) / temperature) for score in scores]
    return [weight / sum(weights) for weight in weights]
