"""Runs one job, from the prompt to the infill."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from dg_lsp.config import EngineSettings
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Denoiser
from dg_lsp.engine.denoising import Denoising, Steps, alone, run
from dg_lsp.engine.family import Family, FoundText, LengthStrategy
from dg_lsp.engine.healing import text_of
from dg_lsp.engine.joint_lengths import (
    Option,
    combinations,
    known_options,
    measured,
    probes,
    unmeasured,
)
from dg_lsp.engine.lanes import Lane
from dg_lsp.engine.outcome import outcome
from dg_lsp.engine.prompt import (
    CanvasPlan,
    Prompt,
    healed_ids,
    noised,
    plan_canvas,
    plan_open_canvas,
    plan_rewrite,
    plan_segments,
    with_newlines,
)
from dg_lsp.engine.seeding import Rank
from dg_lsp.engine.segment_seeds import seeds_of
from dg_lsp.engine.segments import no_room, too_long_to_pin
from dg_lsp.engine.warm_start import warm_starts
from dg_lsp.engine.written import Written
from dg_lsp.job import Candidate, Draft, Infill, InfillJob
from dg_lsp.reason import Reason

T = TypeVar("T")


class JobStoppedError(Exception):
    """The job was cancelled or superseded; raised between two denoising steps."""


class _DeadlineError(Exception):
    """The job's time is up; the texts found so far become the result."""


class _AgreedError(Exception):
    """The model leaves a text with a high score unchanged, so this text is the answer."""


class _UndecidedError(Exception):
    """Some tokens of a block were not decided, so that nothing can follow it."""


class Filling:
    """A running job."""

    def __init__(
        self,
        job: InfillJob,
        denoiser: Denoiser,
        codec: Codec,
        family: Family,
        settings: EngineSettings,
        cancelled: Callable[[], bool],
        on_draft: Callable[[Draft], None],
    ) -> None:
        self._job = with_newlines(job)
        self._seeds = seeds_of(self._job, codec, settings.seeds)
        self._sure_ids: set[tuple[int, ...]] = set()
        """The free positions of the canvases that start as seeds of a high score."""
        self._denoiser, self._codec, self._family = denoiser, codec, family
        self._settings, self._cancelled, self._on_draft = settings, cancelled, on_draft
        self._steps = 0
        self._timings_ms: dict[str, float] = {}
        self._started = time.perf_counter()
        self._written = Written(self._job, codec)
        self._block, self._blocks = 1, 1
        self._is_cut_short = False
        """Whether the deadline ended it."""
        self._is_undecided = False
        """Whether the steps were used up before every token of a text was decided."""
        self._complete: list[FoundText] = []
        """The texts found so far, while a longer one is tried."""
        self._lanes: list[Lane] = []
        """The current lanes, for drafts and for the deadline."""
        self._known: dict[str, Any] = {}
        """What the ranker knows about texts after the job's prompt."""
        self._num_ranked = 0
        """Number of settled lanes when `_candidate` was chosen."""
        self._candidate: Candidate | None = None
        """The best of the settled lanes."""

    def run(self) -> Infill:
        """Fill the span. Raises `JobStoppedError`."""
        return alone(self.steps(), self._denoiser)

    def steps(self) -> Steps[Infill]:
        """The same, step by step."""
        refused = self._refusal()
        if refused is not None:
            return Infill((), 0, reason=refused)
        prompt = self._timed("prompt", self._laid_out)
        refused = no_room(prompt, self._denoiser.canvas_length) if self._job.pinned else None
        if refused is not None:
            return Infill((), 0, reason=refused)
        self._written.left_tokens = prompt.left_tokens
        encoded = self._encode(prompt)
        try:
            found = yield from self._find(prompt, encoded)
        except _DeadlineError:
            self._is_cut_short = True
            found = self._complete or self._texts(self._family.lengths.fittest(self._lanes))
        except _UndecidedError:
            self._is_undecided, found = True, []
        except _AgreedError:
            found = self._texts([lane for lane in self._lanes if self._agrees(lane)])
        ranked = self._timed("rank", lambda: self._ranked(found, prompt, encoded))
        self._timings_ms["total"] = (time.perf_counter() - self._started) * 1e3
        offered, reason = outcome(
            self._job,
            ranked,
            self._settings.min_confidence,
            self._steps,
            is_cut_short=self._is_cut_short,
            is_undecided=self._is_undecided,
        )
        return Infill(
            offered,
            self._steps,
            self._timings_ms,
            reason,
            prompt_tokens=len(prompt.ids),
            cached_tokens=getattr(encoded, "reused", 0),
        )

    def _refusal(self) -> Reason | None:
        """Why the job's texts cannot be pinned."""
        if not self._job.pinned:
            return None
        return too_long_to_pin(self._job.pinned, self._denoiser.canvas_length)

    def _laid_out(self) -> Prompt:
        return self._family.layout.build(self._job, self._denoiser.canvas_length)

    def _find(self, prompt: Prompt, encoded: Any) -> Steps[list[FoundText]]:
        if self._job.pinned:
            return (yield from self._segments(prompt, encoded))
        if self._job.replaced is not None:
            start = healed_ids(prompt, self._codec, self._job.replaced)
            return (yield from self._rewrite(prompt, encoded, start))
        if self._job.span_tokens is not None:
            start = [-1] * self._job.span_tokens
            return (yield from self._rewrite(prompt, encoded, start))
        return (yield from self._race(prompt, encoded))

    def _race(self, prompt: Prompt, encoded: Any) -> Steps[list[FoundText]]:
        """Race lanes of several lengths; if the longest wins, continue with further blocks."""
        budget = self._job.max_tokens + prompt.healed_tokens
        room = self._denoiser.canvas_length - prompt.anchored_tokens
        warm = warm_starts(prompt, self._codec, self._job.earlier, room)
        strategy = self._family.lengths
        if warm:
            strategy = strategy.near(warm[0].free_length)
        lengths = strategy.lengths(prompt.least_tokens, min(budget, room))
        plans = [*(plan_canvas(prompt, length) for length in lengths), *warm]
        plans += self._seeded(prompt, room, self._family.seed_strength)
        lanes = yield from self._denoise(plans, prompt, encoded, strategy)
        self._complete = self._texts(lanes)
        # At the end of a document, nothing says where a longer text would end.
        may_go_on = (
            lengths[-1] < budget
            and self._job.suffix.strip()
            and lanes[0].plan.seed is None
            and not warm
        )
        if may_go_on and self._family.lengths.ran_out(lanes[0], lengths[-1]):
            longer = yield from self._open(prompt, encoded)
            return [*self._complete, *(one for one in longer if one.meets)]
        return self._complete

    def _segments(self, prompt: Prompt, encoded: Any) -> Steps[list[FoundText]]:
        """Race canvases with several free segments, whose lengths are chosen jointly."""
        room = self._denoiser.canvas_length - prompt.anchored_tokens
        room = max(prompt.least_tokens, min(room, self._job.max_tokens + prompt.healed_tokens))
        segments, strategy = prompt.segments, self._family.lengths
        known = known_options(self._job, prompt, self._codec, room)
        if all(known):
            options = known
            strategy = strategy.near(sum(len(one[0].start) for one in known))
        else:
            least = min(one.least_tokens for one in segments)
            lengths = strategy.lengths(least, room)
            if len(lengths) == 1:
                options = unmeasured(segments, known, lengths[0], room)
            else:
                tried = probes(segments, known, lengths, room)
                plans = [plan_segments(prompt, starts) for starts in tried]
                lanes = yield from self._one_step(plans, encoded)
                options = measured(known, lanes, strategy)
        plans = [plan_segments(prompt, starts) for starts in combinations(options, room)]
        plans += self._seeded(prompt, room, self._family.seed_strength, cold=options)
        return self._texts((yield from self._denoise(plans, prompt, encoded, strategy)))

    def _seeded(
        self,
        prompt: Prompt,
        room: int,
        strength: float,
        old_ids: Sequence[int] = (),
        cold: Sequence[Sequence[Option]] = (),
    ) -> list[CanvasPlan]:
        """Canvases that start as seeds, with as much noise as `strength` says where they differ
        from the text that is rewritten; `cold` is how each segment starts without one."""
        starts = self._seeds.starts(prompt, room, cold)
        self._sure_ids = {one.ids for one in starts if one.is_sure}
        return [
            plan_segments(prompt, one.noised(strength, self._job.seed, old_ids), one.seed)
            for one in starts
        ]

    def _agrees(self, lane: Lane) -> bool:
        """Whether a lane still holds the seed that it started as, one that much speaks for."""
        if self._job.replaced is not None or lane.plan.seed is None or lane.masked:
            return False
        return tuple(lane.shown.tolist()) in self._sure_ids

    def _open(self, prompt: Prompt, encoded: Any) -> Steps[list[FoundText]]:
        """Fill canvases without a right anchor, block by block, until they meet the suffix."""
        self._written.is_open_ended = True
        left = self._job.max_tokens + prompt.healed_tokens
        while True:
            length = min(left, self._block_tokens)
            plans = [plan_open_canvas(prompt, length)] * self._job.candidates
            lanes = yield from self._denoise(plans, prompt, encoded)
            found = self._texts(lanes)
            left -= length
            if left <= 0 or found[0].meets:
                return found
            prompt, encoded = self._commit(lanes[0], prompt)

    def _rewrite(
        self, prompt: Prompt, encoded: Any, start_ids: list[int]
    ) -> Steps[list[FoundText]]:
        """Start from known tokens, partly noised, or from noise of known length (-1)."""
        room = self._denoiser.canvas_length - prompt.anchored_tokens
        blocks: list[list[int]] = []
        while len(start_ids) > room:
            # The last canvas has at least the freed tokens after the span.
            rest = max(1, len(prompt.right_tokens))
            length = max(1, min(self._block_tokens, len(start_ids) - rest))
            blocks.append(start_ids[:length])
            start_ids = start_ids[length:]
        self._blocks = len(blocks) + 1
        for number, block in enumerate(blocks, start=1):
            self._block = number
            self._written.rest = self._old_text([*blocks[number:], start_ids], prompt)
            start = self._noised(block)
            plan = plan_open_canvas(prompt, len(block)).with_segments([start])
            lanes = yield from self._denoise([plan], prompt, encoded)
            prompt, encoded = self._commit(lanes[0], prompt)
        self._block, self._written.rest = self._blocks, ""
        lengths = [len(start_ids)] * self._job.candidates
        if self._job.span_tokens is None:
            lengths = self._family.lengths.lengths_around(
                len(start_ids), prompt.least_tokens, room
            )
        plans = [
            plan_rewrite(prompt, self._noised((start_ids + [-1] * length)[:length]))
            for length in lengths
        ]
        if self._blocks == 1:
            # A seed stands for the whole selection.
            plans += self._seeded(prompt, room, self._job.strength, start_ids)
        return self._texts((yield from self._denoise(plans, prompt, encoded)))

    def _old_text(self, blocks: Sequence[Sequence[int]], prompt: Prompt) -> str:
        """The old text of a rewrite's blocks."""
        ids = [token_id for block in blocks for token_id in block if token_id >= 0]
        healed = text_of(self._codec, prompt.right_tokens)
        written = text_of(self._codec, ids).removesuffix(healed)
        return written.decode(errors="replace")

    @property
    def _is_length_open(self) -> bool:
        """Whether the span may have any length, from nothing on."""
        return self._job.replaced is None and self._job.span_tokens is None

    @property
    def _block_tokens(self) -> int:
        return min(self._settings.block_tokens, self._denoiser.canvas_length)

    def _denoise(
        self,
        plans: Sequence[CanvasPlan],
        prompt: Prompt,
        encoded: Any,
        strategy: LengthStrategy | None = None,
    ) -> Steps[list[Lane]]:
        corruption = self._family.corrupt(self._job.seed)
        denoising = Denoising(self._denoiser, encoded, plans, self._codec, corruption)
        strategy, wanted = strategy or self._family.lengths, self._job.candidates

        def after_step() -> None:
            self._steps += 1
            self._lanes = denoising.lanes
            if self._is_length_open and not self._written.is_open_ended and not denoising.done:
                self._rank_settled(prompt, encoded)
            self._send_draft(denoising.step_idx, corruption.max_steps)
            if denoising.step_idx == 1 and any(map(self._agrees, self._lanes)):
                raise _AgreedError
            self._stop_if_over()

        if self._cancelled():
            raise JobStoppedError
        with self._timing("denoise"):
            return (yield from run(denoising, strategy, wanted, after_step))

    def _one_step(self, plans: Sequence[CanvasPlan], encoded: Any) -> Steps[list[Lane]]:
        """The canvases after their first step."""
        corruption = self._family.corrupt(self._job.seed)
        denoising = Denoising(self._denoiser, encoded, plans, self._codec, corruption)
        with self._timing("denoise"):
            denoising.take((yield denoising.request()))
        self._steps += 1
        self._lanes = denoising.lanes
        self._stop_if_over()
        return denoising.lanes

    def _stop_if_over(self) -> None:
        """Raise if nobody wants the job any more, or if its time is up."""
        if self._cancelled():
            raise JobStoppedError
        deadline_s = self._job.deadline_s
        if deadline_s is not None and time.perf_counter() - self._started > deadline_s:
            raise _DeadlineError

    def _commit(self, lane: Lane, prompt: Prompt) -> tuple[Prompt, Any]:
        """Commit a settled block: its tokens become known text before the next canvas."""
        if lane.masked:
            raise _UndecidedError
        ids = self._written.commit(lane)
        prompt = dataclasses.replace(prompt, ids=(*prompt.ids, *ids), left_tokens=())
        return prompt, self._encode(prompt)

    def _encode(self, prompt: Prompt) -> Any:
        return self._timed(
            "encode",
            lambda: self._denoiser.encode(prompt.ids, self._job.document_key, prompt.after),
        )

    def _texts(self, lanes: Sequence[Lane]) -> list[FoundText]:
        return [self._written.found_in(lane) for lane in lanes]

    def _noised(self, ids: Sequence[int], kept: frozenset[int] = frozenset()) -> list[int]:
        return noised(ids, self._job.strength, self._job.seed, kept)

    def _rank_settled(self, prompt: Prompt, encoded: Any) -> None:
        """Rank the settled lanes as at the end, once they are half of all lanes.

        The decoder's confidence in a lane does not predict whether its text will be suggested.
        The ranking does, and a settled lane keeps its rank.
        """
        settled = [lane for lane in self._lanes if lane.settled]
        if 2 * len(settled) < len(self._lanes) or len(settled) == self._num_ranked:
            return
        self._num_ranked = len(settled)
        self._candidate = next(iter(self._ranked(self._texts(settled), prompt, encoded)), None)

    def _send_draft(self, step: int, allowed: int) -> None:
        best = self._texts(self._family.lengths.fittest(self._lanes)[:1])[0]
        self._on_draft(
            Draft(
                *(best.text, best.confidences, step, allowed, self._block, self._blocks),
                candidate=self._candidate,
                masked=best.masked,
                segments=best.segments,
            )
        )

    def _ranked(self, found: list[FoundText], prompt: Prompt, encoded: Any) -> list[Candidate]:
        decided = [one for one in found if one.is_decided]
        self._is_undecided |= len(decided) < len(found)
        is_rewrite = self._job.replaced is not None

        def rank(texts: Sequence[FoundText]) -> list[Candidate]:
            return self._family.ranker.rank(
                texts, prompt, encoded, self._known, is_rewrite=is_rewrite
            )

        found = [one for one in decided if "\ufffd" not in one.text]
        found = self._compared(found, rank)
        if not self._job.may_be_empty:
            found = [one for one in found if _is_written(one)] or found
        elif self._is_length_open and not self._job.pinned:
            # Whether anything is missing does not depend on which lane got how far.
            found = [*found, FoundText("", ())]
        return rank([one for one in found if not self._job.was_shown(one.text)])

    def _compared(self, found: list[FoundText], rank: Rank) -> list[FoundText]:
        """All texts that take part in the ranking: what lanes wrote, and seeds."""
        return self._seeds.compared(found, rank)

    def _timed(self, stage: str, work: Callable[[], T]) -> T:
        with self._timing(stage):
            return work()

    @contextlib.contextmanager
    def _timing(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = (time.perf_counter() - start) * 1e3
            self._timings_ms[stage] = self._timings_ms.get(stage, 0.0) + elapsed


def _is_written(found: FoundText) -> bool:
    """Whether a text has something in every segment."""
    return all(one.strip() for one in found.segments) if found.segments else bool(found.text)
