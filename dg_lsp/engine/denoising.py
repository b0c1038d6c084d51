"""The denoising loop over anchored canvases.

The steps carry the numbers of transformers' `DiffusionGemmaGenerationMixin.generate`:

    1.a  the encoder reads everything known before the canvas (done by the caller)
    1.b  canvases are prepared: pinned positions hold the document, free ones noise
    1.c  for each denoising step:
         i    the decoder predicts all positions from the canvases, the cache and the
              self-conditioning of the step before
         ii   tokens are selected: constraints, temperature, a sample and an argmax per position
         iii  the sampler accepts and renoises; pinned positions are never written
         iv   the stopping criterion examines the free positions
         v    the prediction becomes self-conditioning, as soft embeddings
    1.d-f     the caller commits a settled canvas and continues with the next block

What differs from the reference: only free positions are sampled, accepted, counted and
renoised; a pinned position is exactly its token, in the canvas and in self-conditioning; a
healed position accepts only tokens that agree with the text typed there, and its noise is the
typed token. With nothing pinned, healed or disallowed and the same random numbers, the
canvases equal the reference's, token for token (a test checks this).

Several canvases ("lanes") go through the decoder in one forward pass; none sees the others.
A lane that has settled leaves it.
A step waits for the device once, for the data that stopping and drafts need.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Denoiser, Prediction, StepRequest
from dg_lsp.engine.family import Corruption, LengthStrategy
from dg_lsp.engine.healing import mended
from dg_lsp.engine.lanes import Constraints, Lane, StepView, arrange
from dg_lsp.engine.prompt import CanvasPlan

T = TypeVar("T")

Steps: TypeAlias = Generator[StepRequest, Prediction, T]
"""Work that stops at each step for the denoiser's answer, so that whoever owns the denoiser can
answer several at a time."""


class Denoising:
    """Denoises canvases that share one prompt, step by step."""

    def __init__(
        self,
        denoiser: Denoiser,
        encoded: Any,
        plans: Sequence[CanvasPlan],
        codec: Codec,
        corruption: Corruption,
    ) -> None:
        """Step 1.b. Raises `ValueError` for a canvas with no free position."""
        self._denoiser, self._encoded, self._corruption = denoiser, encoded, corruption
        self._device = denoiser.device
        self._constraints = Constraints(codec, denoiser.vocab_size)
        self.step_idx = 0
        self.lanes: list[Lane] = []
        for plan in plans:
            if plan.free_length < 1:
                raise ValueError("a canvas needs at least one free position")
            start, empty = torch.tensor(plan.free_ids), torch.zeros(plan.free_length)
            lane = Lane(plan, corruption.memory(plan), start, empty)
            lane.control_tokens = corruption.control_tokens(lane)
            self.lanes.append(lane)
        self._fits_pinned = True
        self._rows = arrange(self.lanes, self._constraints, self._device)
        self._canvas = self._filled([plan.ids for plan in plans])
        self._conditioning: Tensor | None = None

    @property
    def done(self) -> bool:
        """Whether every lane has settled or the steps are used up."""
        used_up = self.step_idx >= self._corruption.max_steps
        return used_up or all(lane.settled for lane in self.lanes)

    def step(self) -> None:
        """One denoising step (1.c) of all lanes; settled lanes do not change."""
        self.take(self.request().on(self._denoiser))

    def request(self) -> StepRequest:
        """What the next step asks of the denoiser: i., ii. and v."""
        return StepRequest(
            self._encoded,
            self._rows.canvases,
            self._canvas,
            self._conditioning,
            self._corruption.temperature(self.step_idx),
            self._corruption.share(self._rows),
        )

    def first_distributions(self) -> list[Tensor]:
        """What the first step predicts: for each lane, log-probabilities (free, vocab) at
        temperature 1 and within the constraints, of text tokens only.

        Large, so lane by lane, and only for short ones.
        """
        canvases, found, start = self._rows.canvases, [], 0
        # Constraint 0 disallows all control tokens.
        limits = canvases.disallowed[canvases.constraint] | canvases.disallowed[0]
        for canvas, ours in zip(
            self._canvas.split(canvases.lengths), self._rows.free_slices, strict=True
        ):
            logits = self._denoiser.logits(self._encoded, canvas, (len(canvas),), None)
            rows = logits[canvases.free[ours] - start]
            found.append(rows.masked_fill(limits[ours], -torch.inf).log_softmax(-1))
            start += len(canvas)
        return found

    def take(self, predicted: Prediction) -> None:
        """Finish the step with the denoiser's answer."""
        free = self._rows.canvases.free
        # iii.
        committed = self._corruption.commit(self._canvas[free], predicted, self._rows)
        self._canvas[free] = committed
        self._conditioning = predicted.conditioning
        self.step_idx += 1
        # iv.
        self._look(predicted, committed)

    def _look(self, predicted: Prediction, committed: Tensor) -> None:
        """Give every lane its part of the result, in one transfer from the device."""
        # Ids of a vocabulary are exact in float32 up to 2 ** 24.
        parts = (
            committed.float(),
            predicted.argmax.float(),
            predicted.log_probability,
            predicted.entropy,
            predicted.free_fit,
            predicted.pinned_fit,
        )
        sizes = [len(part) for part in parts]
        canvas, argmax, log_probability, entropy, free_fit, pinned_fit = (
            torch.cat(parts).cpu().split(sizes)
        )
        resized: dict[int, Sequence[Sequence[int]]] = {}
        for number, lane in enumerate(self._rows.lanes):
            free, pinned = self._rows.free_slices[number], self._rows.pinned_slices[number]
            lane.steps = self.step_idx
            lane.free_fit = float(free_fit[free].mean())
            if pinned.stop > pinned.start:
                lane.pinned_fit = float(pinned_fit[pinned].mean())
            if lane.plan.pinned and self._fits_pinned:
                lane.segment_fits = _segment_fits(lane.plan, free_fit[free], pinned_fit[pinned])
            view = StepView(
                canvas[free].long(), argmax[free].long(), log_probability[free], entropy[free]
            )
            segments = self._corruption.observe(lane, view)
            if segments is not None:
                resized[number] = segments
        if resized:
            self._resize(resized)
        has_changed = self._follow_limits() or bool(resized)
        if has_changed or any(lane.settled for lane in self._rows.lanes):
            self._arrange()

    def _follow_limits(self) -> bool:
        """Whether positions now accept other tokens, by those that are shown."""
        changed = False
        rows = self._rows
        given = zip(rows.lanes, rows.limits, rows.control_tokens, strict=True)
        for lane, limits, control_tokens in given:
            lane.control_tokens = self._corruption.control_tokens(lane)
            changed |= lane.control_tokens != control_tokens
            healed = self._constraints.healed(lane)
            lane.shown = torch.tensor(mended(healed, lane.shown.tolist()))
            if tuple(one.limit for one in healed) != limits:
                # Its last step was within limits that no longer hold.
                changed, lane.settled = True, False
        return changed

    def _resize(self, resized: dict[int, Sequence[Sequence[int]]]) -> None:
        """Replace the free positions of some lanes; all other lanes keep theirs."""
        if self._conditioning is not None:
            raise ValueError("the length of a self-conditioned canvas cannot change")
        lengths = self._rows.canvases.lengths
        canvases = [part.tolist() for part in self._canvas.split(lengths)]
        for number, segments in resized.items():
            lane = self._rows.lanes[number]
            lane.plan = lane.plan.with_segments(segments)
            canvases[number] = [*lane.plan.ids]
        self._canvas = torch.tensor([i for ids in canvases for i in ids], device=self._device)

    def keep(self, lanes: Sequence[Lane], *, fits_pinned: bool = True) -> None:
        """Continue with these lanes only, in their current order.

        Without `fits_pinned`, lanes keep the fits of pinned tokens that they have.
        """
        self.lanes = [lane for lane in self.lanes if any(lane is kept for kept in lanes)]
        self._fits_pinned = fits_pinned
        self._arrange()

    def _arrange(self) -> None:
        """Continue with the rows of those lanes that have not settled."""
        running = [lane for lane in self.lanes if not lane.settled]
        if not running:
            return
        rows = []
        start = 0
        for lane in self._rows.lanes:
            end = start + len(lane.plan.ids)
            if any(lane is kept for kept in running):
                rows.append(torch.arange(start, end, device=self._device))
            start = end
        if len(rows) < len(self._rows.lanes):
            index = torch.cat(rows)
            self._canvas = self._canvas[index]
            if self._conditioning is not None:
                self._conditioning = self._conditioning[index]
        self._rows = arrange(self.lanes, self._constraints, self._device, self._fits_pinned)

    def _filled(self, canvases: Sequence[Sequence[int]]) -> Tensor:
        """All canvases (rows,), with noise in place of -1."""
        free = self._rows.canvases.free
        start = torch.tensor([i for ids in canvases for i in ids], device=self._device)
        canvas = torch.where(start < 0, 0, start)
        noise = self._corruption.noise(self._rows)
        canvas[free] = torch.where(start[free] < 0, noise, start[free])
        return canvas


def _segment_fits(plan: CanvasPlan, free_fit: Tensor, pinned_fit: Tensor) -> Any:
    """The mean fits of each segment, and of the pinned positions right after it."""
    segments = plan.segments
    ends = [*(run.start for run in plan.pinned), plan.free_end]
    nexts = [*(run.end for run in plan.pinned), len(plan.ids)]
    free = free_fit.split([one.length for one in segments])
    after = pinned_fit[plan.free_start :].split(
        [end - start for start, end in zip(ends, nexts, strict=True)]
    )
    return tuple(
        (float(one.mean()), float(then.mean()) if len(then) else 0.0)
        for one, then in zip(free, after, strict=True)
    )


def run(
    denoising: Denoising,
    strategy: LengthStrategy,
    wanted: int,
    after_step: Callable[[], None],
) -> Steps[list[Lane]]:
    """Denoise all lanes, dropping the worst on the way; returns the rest, best first.

    Keeps at least `wanted` lanes. `after_step` is called after each step and may raise.
    """
    while not denoising.done:
        denoising.take((yield denoising.request()))
        after_step()
        survivors = survivors_of(denoising, strategy, wanted)
        if len(survivors) < len(denoising.lanes):
            denoising.keep(survivors, fits_pinned=strategy.may_drop(denoising.step_idx))
    return strategy.fittest(denoising.lanes)


def alone(steps: Steps[T], denoiser: Denoiser) -> T:
    """Do the work, each step by itself."""
    try:
        request = next(steps)
        while True:
            request = steps.send(request.on(denoiser))
    except StopIteration as end:
        result: T = end.value
        return result


def at_once(work: Callable[[], T]) -> Steps[T]:
    """Work that makes no step which others could share."""
    yield from ()
    return work()


def survivors_of(denoising: Denoising, strategy: LengthStrategy, wanted: int) -> list[Lane]:
    """The lanes that go on, at least half of them from noise.

    A text that somebody wrote looks fit wherever it stands, so that lanes which start from
    seeds would leave the others no chance.
    """
    lanes, step_idx = denoising.lanes, denoising.step_idx
    survivors = strategy.survivors(lanes, step_idx, wanted)
    if len(survivors) == len(lanes):
        return survivors
    seeded = [lane for lane in survivors if lane.plan.seed is not None]
    seeded = seeded[: len(survivors) // 2]
    others = [lane for lane in strategy.fittest(lanes) if lane.plan.seed is None]
    return [*others[: len(survivors) - len(seeded)], *seeded]
