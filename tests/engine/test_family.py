"""The engine with a second family, as unlike DiffusionGemma as its interfaces must allow.

Masked diffusion with length tokens, in the manner of DreamOn (arXiv 2602.01326): a mask token,
commits that stay, text on both sides of the canvas read at once, no causal encoder, no
self-conditioning, and a canvas that grows and shrinks while it is denoised.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dg_lsp.config import EngineSettings
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.denoiser import Canvases, Prediction
from dg_lsp.engine.engine import Engine
from dg_lsp.engine.family import Family, FoundText
from dg_lsp.engine.healing import freed_after, freed_before, text_of
from dg_lsp.engine.infilling import Filling, JobStoppedError
from dg_lsp.engine.lanes import Lane, Rows, StepView
from dg_lsp.engine.prompt import CanvasPlan, Prompt
from dg_lsp.job import Candidate, Draft, Infill, InfillJob

PREFIX, SPAN, SUFFIX = "def area(self, radius):\n    return ", "3.14 * radius", " ** 2\n"
SURE, UNSURE = -0.01, -0.5


@dataclass(frozen=True, slots=True)
class LengthTokens:
    """Control tokens of the tiny tokenizer in other roles."""

    mask: int
    delete: int
    expand: int

    @classmethod
    def of(cls, codec: Codec) -> LengthTokens:
        return cls(codec.control.pad, codec.control.turn_end, codec.control.turn_start)


class MaskedDenoiser:
    """Knows the span by heart; says "delete" past its end and "expand" where masks run short.

    It has no `score`, as there is no causal encoder.
    """

    def __init__(self, codec: Codec, span: str, canvas_length: int = 64) -> None:
        self.vocab_size, self.canvas_length = codec.vocab_size, canvas_length
        self.device = torch.device("cpu")
        self.read: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        self.canvases: list[list[int]] = []
        self._tokens, self._span = LengthTokens.of(codec), codec.encode(span)

    def encode(self, ids: Sequence[int], document: str = "", after: Sequence[int] = ()) -> None:
        self.read.append((tuple(ids), tuple(after)))

    def denoise(
        self,
        encoded: None,
        canvases: Canvases,
        canvas: Tensor,
        conditioning: Tensor | None,
        temperature: float,
        share: Tensor,
    ) -> Prediction:
        assert conditioning is None
        known = canvas.tolist()
        self.canvases.append(known)
        short = len(self._span) - len(known)
        best = [
            *(self._span if short <= 0 else self._span[: len(known)]),
            *[self._tokens.delete] * -short,
        ]
        if short > 0:
            best[-1] = self._tokens.expand
        argmax = torch.tensor(best)
        assert not canvases.disallowed[canvases.constraint, argmax].any()
        # The left end is the surest, so that commits come in the order of the text.
        sureness = torch.linspace(SURE, UNSURE, len(known))
        return Prediction(argmax, argmax, sureness, -sureness, sureness, argmax[:0] * 1.0, None)

    def logits(self, *_: Any) -> Tensor:
        raise AssertionError("the engine asks for no logits")

    def shrink(self) -> int:
        return 0


class WithinLimits(MaskedDenoiser):
    """Predicts some token that is allowed where the one it knows is not."""

    def denoise(self, encoded, canvases, canvas, *rest) -> Prediction:
        free = Canvases(
            *(canvases.lengths, canvases.free, canvases.pinned),
            disallowed=torch.zeros_like(canvases.disallowed),
            constraint=canvases.constraint,
        )
        known = super().denoise(encoded, free, canvas, *rest)
        disallowed = canvases.disallowed[canvases.constraint]
        is_out = disallowed.gather(1, known.argmax[:, None]).squeeze(1)
        argmax = torch.where(is_out, (~disallowed).long().argmax(1), known.argmax)
        sureness = known.log_probability - is_out.float()
        return replace(known, sampled=argmax, argmax=argmax, log_probability=sureness)


class MaskedCorruption:
    max_steps = 100

    def __init__(self, tokens: LengthTokens, most: int) -> None:
        self._tokens, self._most = tokens, most
        self.control_tokens = frozenset({tokens.delete, tokens.expand})

    def memory(self, plan: CanvasPlan) -> dict[str, Any]:
        return {"log_probability": torch.zeros(plan.free_length)}

    def noise(self, rows: Rows) -> Tensor:
        return torch.full_like(rows.lane_index, self._tokens.mask)

    def temperature(self, step_idx: int) -> float:
        return 0.1

    def share(self, rows: Rows) -> Tensor:
        return torch.zeros(len(rows.lane_index))

    def commit(self, canvas: Tensor, predicted: Prediction, rows: Rows) -> Tensor:
        """The surest masked position of each lane becomes a token and stays one."""
        committed = canvas.clone()
        for free in rows.free_slices:
            masked = canvas[free] == self._tokens.mask
            sureness = predicted.log_probability[free].masked_fill(~masked, -math.inf)
            if masked.any():
                surest = free.start + int(sureness.argmax())
                committed[surest] = predicted.argmax[surest]
        return committed

    def observe(self, lane: Lane, view: StepView) -> Sequence[int] | None:
        mask, delete, expand = self._tokens.mask, self._tokens.delete, self._tokens.expand
        ids, left = view.canvas.tolist(), []
        for at, token in enumerate(ids):
            if token == delete:
                # All that is masked to its right goes with it.
                left += [one for one in ids[at + 1 :] if one not in (mask, delete)]
                break
            room = len(ids) < self._most
            left += [mask] * (2 if room else 1) if token == expand else [token]
        lane.shown = torch.tensor(left, dtype=torch.long)
        lane.log_probability = torch.where(lane.shown == mask, -9.0, SURE)
        lane.settled = mask not in left
        return left if left != ids else None


@dataclass(frozen=True, slots=True)
class BothSides:
    codec: Codec

    def build(self, job: InfillJob, canvas_length: int) -> Prompt:
        before = (self.codec.control.bos, *self.codec.encode(job.prefix))
        return Prompt(before, (), (), (), (), after=tuple(self.codec.encode(job.suffix)))


class HealedBothSides:
    """The same with the tokens at the cursor in the canvas."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def build(self, job: InfillJob, canvas_length: int) -> Prompt:
        before, after = self._codec.encode(job.prefix), self._codec.encode(job.suffix)
        left, right = freed_before(self._codec, before), freed_after(self._codec, after)
        return Prompt(
            (self._codec.control.bos, *before[: len(before) - len(left)]),
            *(left, right, (), ()),
            after=tuple(after[len(right) :]),
        )


class OneCanvas:
    def __init__(self, length: int) -> None:
        self._length = length

    def lengths(self, shortest: int, longest: int) -> list[int]:
        return [min(self._length, longest)]

    def lengths_around(self, length: int, shortest: int, longest: int) -> list[int]:
        return [min(max(length, shortest), longest)]

    def fittest(self, lanes: Sequence[Lane]) -> list[Lane]:
        return sorted(lanes, key=lambda lane: -lane.free_fit)

    def ran_out(self, best: Lane, longest: int) -> bool:
        return False

    def survivors(self, lanes: Sequence[Lane], step_idx: int, wanted: int) -> list[Lane]:
        return [*lanes]


class Surest:
    def rank(
        self,
        found: Sequence[FoundText],
        prompt: Prompt,
        encoded: Any,
        known: dict[str, Any],
        *,
        is_rewrite: bool,
    ) -> list[Candidate]:
        return [
            Candidate(one.text, min(one.confidences, default=0.0), 0.0, one.confidences)
            for one in found
        ]


def masked_family(codec: Codec, length: int, most: int = 64) -> Family:
    tokens = LengthTokens.of(codec)
    return Family(
        layout=BothSides(codec),
        corrupt=lambda seed: MaskedCorruption(tokens, most),
        lengths=OneCanvas(length),
        ranker=Surest(),
    )


@dataclass
class Filled:
    infill: Infill
    denoiser: MaskedDenoiser
    drafts: list[Draft]


def fill(
    codec, length: int, span: str = SPAN, cancelled: Callable[[], bool] = lambda: False, **job
) -> Filled:
    denoiser = MaskedDenoiser(codec, span)
    drafts: list[Draft] = []
    infill = Filling(
        InfillJob(PREFIX, SUFFIX, **job),
        denoiser,
        codec,
        masked_family(codec, length),
        EngineSettings(),
        cancelled,
        drafts.append,
    ).run()
    return Filled(infill, denoiser, drafts)


@pytest.mark.parametrize("length", [1, 2, 5, 9, 30])
def test_finds_the_span_however_long_its_first_canvas_is(tiny_codec, length):
    filled = fill(tiny_codec, length)

    assert [candidate.text for candidate in filled.infill.candidates] == [SPAN]
    span, tokens = tiny_codec.encode(SPAN), LengthTokens.of(tiny_codec)
    assert len(filled.denoiser.canvases[0]) == length
    assert filled.denoiser.canvases[0] == [tokens.mask] * length
    # The last step commits the last token, or finds what is left to be too much.
    assert len(filled.denoiser.canvases[-1]) in (len(span), max(length, len(span)))


def test_reads_both_sides_of_the_canvas(tiny_codec):
    filled = fill(tiny_codec, 8)

    [(before, after)] = filled.denoiser.read
    assert before == (tiny_codec.control.bos, *tiny_codec.encode(PREFIX))
    assert after == tuple(tiny_codec.encode(SUFFIX))


def test_what_is_committed_stays_and_drafts_show_it_step_by_step(tiny_codec):
    filled = fill(tiny_codec, len(tiny_codec.encode(SPAN)))

    mask = LengthTokens.of(tiny_codec).mask
    for earlier, later in zip(
        filled.denoiser.canvases, filled.denoiser.canvases[1:], strict=False
    ):
        kept = [token for token in earlier if token != mask]
        assert later[: len(kept)] == kept
    texts = [draft.text for draft in filled.drafts]
    assert texts[-1] == SPAN
    assert all(SPAN.startswith(text) for text in texts)
    assert texts == sorted(texts, key=len)


def test_a_span_that_is_deleted_whole_is_left_empty(tiny_codec):
    filled = fill(tiny_codec, 6, span="")

    assert filled.infill.candidates == ()
    assert filled.infill.reason


def test_a_rewrite_starts_from_the_selection_with_masks_in_it(tiny_codec):
    filled = fill(tiny_codec, 4, replaced="2.71 * radius", strength=1.0)

    mask = LengthTokens.of(tiny_codec).mask
    assert set(filled.denoiser.canvases[0]) == {mask}
    assert [candidate.text for candidate in filled.infill.candidates] == [SPAN]


def test_a_cancelled_job_stops_between_two_steps(tiny_codec):
    steps = 0

    def cancelled() -> bool:
        nonlocal steps
        steps += 1
        return steps > 3

    with pytest.raises(JobStoppedError):
        fill(tiny_codec, 20, cancelled=cancelled)


@pytest.mark.parametrize("length", [3, 5, 9])
@pytest.mark.parametrize(
    ("prefix", "freed", "span", "suffix"),
    [
        # "return" reaches over both tokens.
        ("def area():\n    retu", 1, "rn 3.14", ""),
        ("def area():\n    ret", 2, "urn 3.14", ""),
        # The typed tokens stay as they are.
        ("x = se", 2, "t", ""),
        ("x = se", 2, "lf * radius", ""),
    ],
)
def test_tokens_at_the_cursor_are_healed_as_in_any_family(
    tiny_codec, length, prefix, freed, span, suffix
):
    family = replace(masked_family(tiny_codec, length), layout=HealedBothSides(tiny_codec))
    prompt = family.layout.build(InfillJob(prefix, suffix), 64)
    assert len(prompt.left_tokens) == freed
    healed = text_of(tiny_codec, prompt.left_tokens).decode()
    denoiser = WithinLimits(tiny_codec, healed + span)
    drafts: list[Draft] = []
    job = InfillJob(prefix, suffix)
    filling = Filling(
        *(job, denoiser, tiny_codec, family, EngineSettings(), lambda: False, drafts.append)
    )

    assert [candidate.text for candidate in filling.run().candidates] == [span]
    assert all(span.startswith(draft.text) for draft in drafts)


async def test_the_engine_runs_it_like_any_other(tiny_codec):
    denoiser = MaskedDenoiser(tiny_codec, SPAN)
    family = masked_family(tiny_codec, 3)
    engine = Engine(denoiser, tiny_codec, family, EngineSettings(), "masked")
    try:
        async with asyncio.timeout(30):
            infill = (await engine.submit(InfillJob(PREFIX, SUFFIX)).result()).infill
    finally:
        await engine.close()

    assert infill.candidates[0].text == SPAN
    assert infill.model == "masked"
