"""Methods of finding a length that need the model: cut open canvases, or shift the anchor.

Shifting: a long canvas with no known text after the span is denoised for a few steps. Each
position then has a probability for every token, including those at the start of the suffix.
The canvas is cut where the suffix fits best, the anchor is pinned there, and denoising starts
again. docs/quality.md compares both with the race; the engine cuts open canvases only if the
longest lane wins a race.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dg_lsp.engine.conversation import build_prompt
from dg_lsp.engine.denoising import Denoising
from dg_lsp.engine.prompt import plan_canvas, plan_open_canvas
from dg_lsp.engine.span_text import span_text
from dg_lsp.evaluation.asking import causal_of
from dg_lsp.evaluation.counting import CountingDenoiser
from dg_lsp.evaluation.lengths import Choice
from dg_lsp.evaluation.methods import OpenFilling
from dg_lsp.evaluation.spans import TrueSpan, job_of
from dg_lsp.models.loading import LoadedModel

LOOK_AFTER_STEPS = 4
FITTED_TOKENS = 4
"""Tokens of the suffix that are searched; near the canvas's end there is room for fewer."""


def cut_open_canvas(model: LoadedModel, span: TrueSpan) -> Choice:
    """Fill a span with open canvases, cut where they meet the suffix."""
    denoiser = CountingDenoiser(causal_of(model))
    filling = OpenFilling(
        job_of(span),
        denoiser,
        model.codec,
        model.family(denoiser=denoiser),
        model.settings,
        cancelled=lambda: False,
        on_draft=lambda draft: None,
    )
    candidates = filling.run().candidates
    return Choice(candidates[0].text if candidates else "", denoiser.rows, denoiser.steps)


def shifted(model: LoadedModel, span: TrueSpan) -> Choice:
    """Fill a span by shifting its right anchor."""
    denoiser = CountingDenoiser(causal_of(model))
    job = job_of(span)
    prompt = build_prompt(job, model.codec, model.settings.prompt)
    encoded = model.denoiser.encode(prompt.ids)
    corrupt = model.family().corrupt
    room = model.denoiser.canvas_length - prompt.anchored_tokens
    plan = plan_open_canvas(prompt, min(job.max_tokens + prompt.healed_tokens, room))
    opened = Denoising(denoiser, encoded, [plan], model.codec, corrupt(job.seed))
    for _ in range(LOOK_AFTER_STEPS):
        opened.step()
    known = [*prompt.right_tokens, *prompt.right_anchor][:FITTED_TOKENS]
    start = len(prompt.left_tokens)
    scores = denoiser.last_logits.log_softmax(-1)
    best = _best_fit(scores, known, start) if known else len(plan.ids)
    length = best + len(prompt.right_tokens)
    final = plan_canvas(prompt, max(prompt.least_tokens, min(length, room)))
    closed = Denoising(denoiser, encoded, [final], model.codec, corrupt(job.seed))
    while not closed.done:
        closed.step()
    lane = closed.lanes[0]
    free = lane.shown.tolist()
    text, _ = span_text(lane.plan, model.codec, free, [1.0] * len(free))
    return Choice(text, denoiser.rows, denoiser.steps)


def _best_fit(log_probabilities: Tensor, known: Sequence[int], start: int) -> int:
    """The position at which the known tokens have the highest mean log-probability.

    `log_probabilities` is (canvas_length, vocab).
    """
    canvas_length = len(log_probabilities)

    def fit(position: int) -> float:
        there = known[: canvas_length - position]
        rows = torch.arange(position, position + len(there))
        return float(log_probabilities[rows, torch.tensor(there)].mean())

    return max(range(start, canvas_length), key=fit)


LIVE: dict[str, Callable[[LoadedModel, TrueSpan], Choice]] = {
    "free canvas, cut at the suffix": cut_open_canvas,
    "right anchor shifted": shifted,
}
