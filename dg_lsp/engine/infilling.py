"""One job from prompt to infill, on one thread. Knows nothing of queues or LSP."""

from __future__ import annotations

import dataclasses
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dg_lsp.config import EngineSettings, LengthMethod
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Denoiser
from dg_lsp.engine.denoising import Denoising, Lane
from dg_lsp.engine.prompt import (
    CanvasPlan,
    Prompt,
    build_prompt,
    healed_ids,
    plan_canvas,
    plan_open_canvas,
    plan_rewrite,
)
from dg_lsp.engine.span_length import fittest, lengths_around, lengths_to_try, race, rank
from dg_lsp.engine.span_text import meeting_point, span_text
from dg_lsp.job import Candidate, Draft, Infill, InfillJob

T = TypeVar("T")


class JobStoppedError(Exception):
    """The job was cancelled or superseded; raised between two denoising steps."""


class _DeadlineError(Exception):
    """The job's time is up; what there is becomes the result."""


@dataclass(frozen=True, slots=True)
class _Found:
    """One text for the span."""

    text: str
    confidences: tuple[float, ...]
    is_longest: bool = False
    """Whether the span filled all that it was given, and may be longer."""


class Filling:
    """One job under way."""

    def __init__(
        self,
        job: InfillJob,
        denoiser: Denoiser,
        codec: Codec,
        settings: EngineSettings,
        cancelled: Callable[[], bool],
        on_draft: Callable[[Draft], None],
    ) -> None:
        # Models see "\n" only; whoever asked turns line breaks back into the document's own.
        self._job = dataclasses.replace(
            job,
            prefix=job.prefix.replace("\r\n", "\n"),
            suffix=job.suffix.replace("\r\n", "\n"),
            replaced=job.replaced and job.replaced.replace("\r\n", "\n"),
        )
        self._denoiser, self._codec = denoiser, codec
        self._settings, self._cancelled, self._on_draft = settings, cancelled, on_draft
        self._steps = 0
        self._timings_ms: dict[str, float] = {}
        self._started = time.perf_counter()
        self._committed = _Found("", ())
        """The blocks that are settled."""
        self._lanes: list[Lane] = []
        """The lanes under way, for drafts and for the deadline."""

    def run(self) -> Infill:
        """Fill the span. Raises `JobStoppedError`."""
        prompt = self._timed(
            "prompt", lambda: build_prompt(self._job, self._codec, self._settings.prompt)
        )
        encoded = self._encode(prompt)
        try:
            found = self._find(prompt, encoded)
        except _DeadlineError:
            found = self._texts(fittest(self._lanes))
        ranked = self._timed("rank", lambda: self._ranked(found, prompt, encoded))
        self._timings_ms["total"] = (time.perf_counter() - self._started) * 1e3
        offered = [c for c in ranked if c.text]
        sure = [c for c in offered if c.confidence >= self._settings.min_confidence]
        reason = None
        if not offered:
            reason = "the model would leave the span empty"
        elif not sure:
            least = self._settings.min_confidence
            reason = f"confidence {offered[0].confidence:.2f} is below {least:.2f}"
        candidates = tuple(sure[: self._job.candidates])
        return Infill(candidates, self._steps, self._timings_ms, reason)

    def _find(self, prompt: Prompt, encoded: Any) -> list[_Found]:
        if self._job.replaced is not None:
            start = healed_ids(prompt, self._codec, self._job.replaced)
            return self._rewrite(prompt, encoded, start)
        if self._job.span_tokens is not None:
            return self._rewrite(prompt, encoded, [-1] * self._job.span_tokens)
        if self._settings.length.method is LengthMethod.FREE:
            return self._open(prompt, encoded)
        return self._race(prompt, encoded)

    def _race(self, prompt: Prompt, encoded: Any) -> list[_Found]:
        """Lanes of several lengths; where the longest wins, blocks go on beyond it."""
        budget = self._job.max_tokens + prompt.healed_tokens
        room = self._denoiser.canvas_length - prompt.anchored_tokens
        lengths = lengths_to_try(
            self._settings.length, max(1, prompt.healed_tokens), min(budget, room)
        )
        plans = [plan_canvas(prompt, length) for length in lengths]
        found = self._texts(self._denoise(plans, prompt, encoded))
        if found[0].is_longest and budget > lengths[-1]:
            longer = self._open(prompt, encoded)
            found += [candidate for candidate in longer if not candidate.is_longest]
        return found

    def _open(self, prompt: Prompt, encoded: Any) -> list[_Found]:
        """Canvases with no right anchor, block after block, cut where they meet the suffix."""
        left = self._job.max_tokens + prompt.healed_tokens
        while True:
            length = min(left, self._settings.block_tokens, self._denoiser.canvas_length)
            plans = [plan_open_canvas(prompt, length)] * self._job.candidates
            lanes = self._denoise(plans, prompt, encoded)
            found = self._texts(lanes)
            left -= length
            if left <= 0 or not found[0].is_longest:
                return found
            prompt, encoded = self._commit(lanes[0], prompt)

    def _rewrite(self, prompt: Prompt, encoded: Any, start_ids: list[int]) -> list[_Found]:
        """Start from known tokens, noised in part, or from noise of known length (-1)."""
        room = self._denoiser.canvas_length - prompt.anchored_tokens
        while len(start_ids) > room:
            block = start_ids[: self._settings.block_tokens]
            start_ids = start_ids[self._settings.block_tokens :]
            plan = dataclasses.replace(
                plan_open_canvas(prompt, len(block)),
                ids=(*prompt.left_anchor, *self._noised(block)),
            )
            lanes = self._denoise([plan], prompt, encoded)
            prompt, encoded = self._commit(lanes[0], prompt)
        lengths = [len(start_ids)] * self._job.candidates
        if self._job.span_tokens is None:
            lengths = lengths_around(len(start_ids), max(1, prompt.healed_tokens), room)
        plans = [
            plan_rewrite(prompt, self._noised((start_ids + [-1] * length)[:length]))
            for length in lengths
        ]
        return self._texts(self._denoise(plans, prompt, encoded))

    def _noised(self, ids: Sequence[int]) -> list[int]:
        dice = random.Random(f"{self._job.seed} {len(ids)}")
        return [-1 if dice.random() < self._job.noise else token_id for token_id in ids]

    def _denoise(self, plans: Sequence[CanvasPlan], prompt: Prompt, encoded: Any) -> list[Lane]:
        denoising = Denoising(
            self._denoiser,
            encoded,
            plans,
            self._codec,
            self._settings.sampler,
            self._job.seed,
        )

        def after_step() -> None:
            self._steps += 1
            self._lanes = denoising.lanes
            self._send_draft(denoising.step_idx)
            if self._cancelled():
                raise JobStoppedError
            deadline_s = self._job.deadline_s
            if deadline_s is not None and time.perf_counter() - self._started > deadline_s:
                raise _DeadlineError

        if self._cancelled():
            raise JobStoppedError
        return self._timed(
            "denoise",
            lambda: race(denoising, self._settings.length, self._job.candidates, after_step),
        )

    def _commit(self, lane: Lane, prompt: Prompt) -> tuple[Prompt, Any]:
        """Settle a block: its tokens become part of what is known before the next canvas."""
        block = self._texts([lane])[0]
        self._committed = _Found(block.text, block.confidences)
        prompt = dataclasses.replace(
            prompt,
            ids=(*prompt.ids, *prompt.left_anchor, *lane.argmax.tolist()),
            left_anchor=(),
            left_token=None,
        )
        return prompt, self._encode(prompt)

    def _encode(self, prompt: Prompt) -> Any:
        return self._timed("encode", lambda: self._denoiser.encode(prompt.ids))

    def _texts(self, lanes: Sequence[Lane]) -> list[_Found]:
        """What each lane says, after what is committed."""
        found = []
        for lane in lanes:
            probabilities = lane.log_probability.exp().tolist()
            text, confidences = span_text(
                lane.plan, self._codec, lane.argmax.tolist(), probabilities
            )
            text = self._committed.text + text
            confidences = self._committed.confidences + confidences
            longest = lane is max(lanes, key=lambda one: one.plan.free_length)
            if lane.plan.is_open:
                end = meeting_point(text, self._job.suffix)
                longest = end is None
                text, confidences = text[:end], confidences[:end]
            found.append(_Found(text, confidences, longest))
        return found

    def _send_draft(self, step: int) -> None:
        best = self._texts(fittest(self._lanes)[:1])[0]
        allowed = self._settings.sampler.max_denoising_steps
        self._on_draft(Draft(best.text, best.confidences, step, allowed))

    def _ranked(self, found: list[_Found], prompt: Prompt, encoded: Any) -> list[Candidate]:
        """Distinct texts by causal likelihood together with the suffix, the best first."""
        distinct = list({one.text: one for one in reversed(found)}.values())
        ids = [healed_ids(prompt, self._codec, one.text) for one in distinct]
        totals = rank(self._denoiser, encoded, prompt, ids)
        order = sorted(range(len(distinct)), key=lambda index: -totals[index])
        return [
            Candidate(
                text=distinct[index].text,
                confidence=_geometric_mean(distinct[index].confidences),
                score=totals[index],
                confidences=distinct[index].confidences,
            )
            for index in order
        ]

    def _timed(self, stage: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        try:
            return work()
        finally:
            elapsed = (time.perf_counter() - start) * 1e3
            self._timings_ms[stage] = self._timings_ms.get(stage, 0.0) + elapsed


def _geometric_mean(confidences: Sequence[float]) -> float:
    if not confidences:
        return 0.0
    logs = sum(math.log(max(confidence, 1e-12)) for confidence in confidences)
    return math.exp(logs / len(confidences))
