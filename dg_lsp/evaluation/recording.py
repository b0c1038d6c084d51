"""Records races in which no lane is dropped, so that selection rules can be compared offline.

A race decides which lanes continue and which text wins, based on figures that exist after each
step. If every lane runs to its end, together with one of the true length, any rule can be
tried on the same races without the model.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dg_lsp.engine.conversation import build_prompt
from dg_lsp.engine.denoising import Denoising
from dg_lsp.engine.prompt import healed_ids, plan_canvas
from dg_lsp.engine.ranking import likelihoods_of
from dg_lsp.engine.span_length import lengths_to_try
from dg_lsp.engine.span_text import span_text
from dg_lsp.evaluation import EvaluationError
from dg_lsp.evaluation.asking import causal_of
from dg_lsp.evaluation.spans import TrueSpan, job_of
from dg_lsp.models.loading import LoadedModel


@dataclass(frozen=True, slots=True)
class LaneRecord:
    """One lane from its first step to its text."""

    length: int
    """Free tokens, healed ones included."""
    rows: int
    """Free and pinned tokens: what a step costs."""
    free_fits: tuple[float, ...]
    """Mean log-probability of the best free tokens after each step until it settled."""
    pinned_fits: tuple[float, ...]
    text: str
    tokens: int
    """Tokens of the text as the encoder reads it, healed ones included."""
    span_likelihood: float
    """The causal encoder's log-likelihood of those tokens, in nats."""
    suffix_likelihood: float
    """Its log-likelihood of the start of the suffix after them."""

    @property
    def steps(self) -> int:
        return len(self.free_fits)


@dataclass(frozen=True, slots=True)
class Race:
    """All lanes on one span."""

    span: TrueSpan
    true_length: int
    lanes: tuple[LaneRecord, ...]
    oracle: LaneRecord
    """The lane of the true length, which is among `lanes` only if its length is tried."""


def record(model: LoadedModel, span: TrueSpan) -> Race:
    """Run every lane to its end."""
    causal, settings = causal_of(model), model.settings
    job = job_of(span)
    prompt = build_prompt(job, model.codec, settings.prompt)
    true_length = len(healed_ids(prompt, model.codec, span.text))
    room = model.denoiser.canvas_length - prompt.anchored_tokens
    longest = min(job.max_tokens + prompt.healed_tokens, room)
    tried = lengths_to_try(settings.length, prompt.least_tokens, longest)
    oracle_length = min(true_length, room)
    lengths = sorted({*tried, oracle_length})
    encoded = model.denoiser.encode(prompt.ids)
    plans = [plan_canvas(prompt, length) for length in lengths]
    corruption = model.family().corrupt(job.seed)
    denoising = Denoising(model.denoiser, encoded, plans, model.codec, corruption)
    fits: list[list[tuple[float, float]]] = [[] for _ in lengths]
    while not denoising.done:
        denoising.step()
        for lane, lane_fits in zip(denoising.lanes, fits, strict=True):
            if lane.steps == denoising.step_idx:
                lane_fits.append((lane.free_fit, lane.pinned_fit))
    texts = [
        span_text(lane.plan, model.codec, lane.shown.tolist(), [1.0] * len(lane.shown))[0]
        for lane in denoising.lanes
    ]
    ids = [healed_ids(prompt, model.codec, text) for text in texts]
    records = {}
    for lane, lane_fits, text, own, likelihood in zip(
        denoising.lanes,
        fits,
        texts,
        ids,
        likelihoods_of(causal, encoded, prompt, ids),
        strict=True,
    ):
        of_span = len(own) * math.log(max(likelihood.per_token, 1e-30))
        records[lane.plan.free_length] = LaneRecord(
            length=lane.plan.free_length,
            rows=len(lane.plan.ids),
            free_fits=tuple(free for free, _ in lane_fits),
            pinned_fits=tuple(pinned for _, pinned in lane_fits),
            text=text,
            tokens=len(own),
            span_likelihood=of_span,
            suffix_likelihood=likelihood.total - of_span,
        )
    lanes = tuple(records[length] for length in tried)
    return Race(span, true_length, lanes, records[oracle_length])


def write_races(path: Path, fitted_on: Sequence[Race], told: Sequence[Race]) -> None:
    """Store races: those that biases are fitted on, and those that figures are reported for."""
    raw = {"fitted_on": fitted_on, "told": told}
    text = json.dumps({key: list(map(dataclasses.asdict, own)) for key, own in raw.items()})
    path.write_text(text, encoding="utf-8")


def read_races(path: Path) -> tuple[list[Race], list[Race]]:
    """Read what `write_races` wrote. Raises `EvaluationError`."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return list(map(_race, raw["fitted_on"])), list(map(_race, raw["told"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{path} has no recorded races; name another file") from error


def _race(raw: dict[str, Any]) -> Race:
    lanes = tuple(map(_lane, raw["lanes"]))
    return Race(TrueSpan(**raw["span"]), raw["true_length"], lanes, _lane(raw["oracle"]))


def _lane(raw: dict[str, Any]) -> LaneRecord:
    # JSON has lists only.
    own: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()
    }
    return LaneRecord(**own)
