"""The engine with a second family, as unlike DiffusionGemma as its interfaces must allow.

Masked diffusion with length tokens (`dg_lsp.engine.masked`): a mask token, decisions that
stay, text on both sides of the canvas read at once, no causal encoder, no self-conditioning,
and a canvas that grows and shrinks while it is denoised.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from dg_lsp.config import Order
from dg_lsp.engine.engine import Engine
from dg_lsp.engine.infilling import Filling, JobStoppedError
from dg_lsp.engine.masked import MaskTokens, masked_family
from dg_lsp.job import Draft, Infill, InfillJob, MaskedPlace, Seed
from dg_lsp.reason import ReasonCode
from tests.engine.masked_model import MaskedDenoiser, mask_tokens, settings_of

PREFIX, SPAN, SUFFIX = "def area(self, radius):\n    return ", "3.14 * radius", " ** 2\n"


@dataclass
class Filled:
    infill: Infill
    denoiser: MaskedDenoiser
    drafts: list[Draft]

    @property
    def texts(self) -> list[str]:
        return [candidate.text for candidate in self.infill.candidates]


def fill(
    codec,
    length: int,
    span: str = SPAN,
    cancelled: Callable[[], bool] = lambda: False,
    masked: dict[str, Any] | None = None,
    empty: float = -5.0,
    tokens: MaskTokens | None = None,
    kind: type[MaskedDenoiser] = MaskedDenoiser,
    **job,
) -> Filled:
    job = {"prefix": PREFIX, "suffix": SUFFIX, **job}
    settings = settings_of(length, **(masked or {}))
    denoiser = kind(codec, job["prefix"], span, job["suffix"], empty)
    family = masked_family(
        settings, denoiser, codec, tokens or mask_tokens(codec), opening=[codec.control.bos]
    )
    drafts: list[Draft] = []
    infill = Filling(
        InfillJob(**job), denoiser, codec, family, settings, cancelled, drafts.append
    ).run()
    return Filled(infill, denoiser, drafts)


@pytest.mark.parametrize("length", [1, 2, 5, 9, 30])
def test_finds_the_span_however_long_its_first_canvas_is(tiny_codec, length):
    filled = fill(tiny_codec, length)

    assert filled.texts == [SPAN]
    [first] = filled.denoiser.canvases[0]
    # One position for each side that is healed, and one that can expand.
    assert len(first) == max(length, 3)
    assert set(first) == {mask_tokens(tiny_codec).mask}


def test_reads_both_sides_of_the_canvas(tiny_codec):
    filled = fill(tiny_codec, 8)

    [(before, after)] = filled.denoiser.read
    assert before[0] == tiny_codec.control.bos
    prefix, suffix = tiny_codec.encode(PREFIX), tiny_codec.encode(SUFFIX)
    assert tuple(prefix[: len(before) - 1]) == before[1:]
    assert tuple(suffix[len(suffix) - len(after) :]) == after


@pytest.mark.parametrize("order", ["entropy", "margin", "probability"])
def test_what_is_decided_stays_and_drafts_show_it_step_by_step(tiny_codec, order):
    filled = fill(tiny_codec, 12, masked={"order": Order(order)})

    mask = mask_tokens(tiny_codec).mask
    steps = [canvas for [canvas] in filled.denoiser.canvases]
    for earlier, later in itertools.pairwise(steps):
        kept = [token for token in earlier if token != mask]
        assert [token for token in later if token != mask][: len(kept)] == kept
    texts = [draft.text for draft in filled.drafts]
    assert texts[-1] == SPAN
    assert all(SPAN.startswith(text) for text in texts)
    assert texts == sorted(texts, key=len)


def test_drafts_say_where_tokens_are_undecided_and_how_wide_they_are(tiny_codec):
    filled = fill(tiny_codec, 12)

    assert filled.drafts[-1].masked == ()
    for draft in filled.drafts[:-1]:
        # Decided from the left: one gap, after what is written so far.
        assert all(place.at == len(draft.text) for place in draft.masked)
    widest = max(sum(place.width for place in draft.masked) for draft in filled.drafts)
    assert widest >= len(SPAN) - 4
    assert any(isinstance(place, MaskedPlace) for place in filled.drafts[0].masked)


def test_sure_tokens_are_decided_together(tiny_codec):
    one_by_one = fill(tiny_codec, 12)
    together = fill(tiny_codec, 12, masked={"sure_probability": 0.5})

    assert together.texts == one_by_one.texts == [SPAN]
    assert together.infill.steps < one_by_one.infill.steps / 2


@pytest.mark.parametrize("empty", [-5.0, -0.001])
def test_an_empty_text_is_judged_by_likelihood(tiny_codec, empty):
    # Nothing around the span is freed, so that the empty text is one deleted mask.
    filled = fill(tiny_codec, 12, empty=empty, prefix="", suffix="")

    assert filled.texts == ([] if empty > -0.01 else [SPAN])
    if empty > -0.01:
        assert filled.infill.reason.code is ReasonCode.NOTHING_MISSING


def test_a_span_that_is_deleted_whole_is_left_empty(tiny_codec):
    filled = fill(tiny_codec, 6, span="")

    assert filled.infill.candidates == ()
    assert filled.infill.reason.code is ReasonCode.NOTHING_MISSING


@pytest.mark.parametrize("max_steps", [1, 3])
def test_masks_left_when_the_steps_are_used_up_are_the_answer(tiny_codec, max_steps):
    filled = fill(tiny_codec, 12, masked={"max_steps": max_steps})

    assert filled.infill.candidates == ()
    assert filled.infill.reason.code is ReasonCode.UNDECIDED
    assert filled.drafts[-1].masked


def test_p2_decides_everything_in_its_number_of_steps(tiny_codec):
    filled = fill(tiny_codec, 12, masked={"order": Order.P2, "p2_steps": 4})

    assert filled.texts == [SPAN]
    assert filled.infill.steps <= 6


def test_the_same_seed_gives_the_same_answer(tiny_codec):
    first, second = (fill(tiny_codec, 12, seed=7) for _ in range(2))

    assert first.denoiser.canvases == second.denoiser.canvases
    assert first.texts == second.texts


def test_lanes_of_several_lengths_run_together(tiny_codec):
    filled = fill(tiny_codec, 1, masked={"start_masks": (3, 5, 30)}, candidates=3)

    assert filled.texts == [SPAN]
    assert [len(ids) for ids in filled.denoiser.canvases[0]] == [3, 5, 30]


@pytest.mark.parametrize("text", [SPAN, "2.71 * radius"])
def test_a_seed_starts_a_canvas_with_some_of_its_tokens_masked(tiny_codec, text):
    filled = fill(tiny_codec, 12, seeds=(Seed(text, 1.0),))

    mask = mask_tokens(tiny_codec).mask
    [noise, seeded] = filled.denoiser.canvases[0]
    assert set(noise) == {mask}
    assert mask in seeded
    assert set(seeded) != {mask}
    assert filled.texts[0] == SPAN


def test_texts_shown_before_are_no_candidates(tiny_codec):
    filled = fill(tiny_codec, 12, shown=(SPAN,), may_be_empty=False)

    assert filled.infill.candidates == ()
    assert filled.infill.reason.code is ReasonCode.ALREADY_SHOWN


def test_confidences_are_probabilities_and_tell_a_known_text_from_another(tiny_codec):
    known = fill(tiny_codec, 12).infill.candidates[0]
    other = fill(tiny_codec, 12, seeds=(Seed("x", 1.0),), candidates=9).infill.candidates

    assert 0.5 < known.confidence <= 1
    assert all(0 <= one.confidence <= 1 for one in other)
    assert other[0].score > other[-1].score


def test_a_rewrite_at_full_strength_starts_from_masks(tiny_codec):
    filled = fill(tiny_codec, 4, replaced="2.71 * radius", strength=1.0)

    assert {token for ids in filled.denoiser.canvases[0] for token in ids} == {
        mask_tokens(tiny_codec).mask
    }
    assert filled.texts == [SPAN]


def test_what_a_rewrite_does_not_mask_stays(tiny_codec):
    filled = fill(tiny_codec, 4, replaced="2.71 * radius", strength=0.4)

    mask = mask_tokens(tiny_codec).mask
    [start] = filled.denoiser.canvases[0]
    kept = {at: token for at, token in enumerate(start) if token != mask}
    assert kept
    assert mask in start
    [last] = filled.denoiser.canvases[-1]
    assert all(last[at] == token for at, token in kept.items())


def test_with_p2_the_rest_of_a_selection_may_be_revised_too(tiny_codec):
    p2 = {"order": Order.P2, "p2_steps": 8, "expand_budget": 0}
    selection = {"replaced": "2.71 * radius", "strength": 0.2, "prefix": "", "suffix": ""}
    job = {"masked": p2, **selection}
    sticky = fill(tiny_codec, 4, **job)
    revised = fill(tiny_codec, 4, **(job | {"masked": p2 | {"is_start_revisable": True}}))

    assert "2.71" in sticky.texts[0]
    assert revised.texts == [SPAN]


class Wavering(MaskedDenoiser):
    """Is surest of an expand at the end, and after that of deleting what it has added."""

    def denoise(self, encoded, canvases, *args):
        predicted = super().denoise(encoded, canvases, *args)
        [length] = canvases.lengths if not canvases.is_scored else [1]
        wanted = self._tokens.delete if length % 2 else self._tokens.expand
        if canvases.is_scored or canvases.disallowed[canvases.constraint[-1], wanted]:
            return predicted
        for tensor in (predicted.sampled, predicted.argmax):
            tensor[-1] = wanted
        predicted.entropy[-1] = 0.0
        return predicted


def test_a_canvas_that_is_again_what_it_was_before_expands_no_more(tiny_codec):
    document = {"prefix": "", "suffix": "", "kind": Wavering}
    filled = fill(tiny_codec, 12, **document)

    lengths = [len(canvas) for [canvas] in filled.denoiser.canvases]
    assert lengths[:3] == [12, 13, 12]
    assert 13 not in lengths[3:]
    assert filled.texts == [SPAN]


RACE = (2, 3, 4, 5, 6, 8, 14)


def race(codec, span: str = SPAN, **job) -> Filled:
    """A model that cannot change the length of a canvas."""
    tokens = MaskTokens(mask_tokens(codec).mask)
    masked = {"race_masks": RACE, **job.pop("masked", {})}
    return fill(codec, 12, span, tokens=tokens, masked=masked, **job)


@pytest.mark.parametrize("span", ["x", "radius", SPAN, "self.radius * 3.14"])
def test_without_length_tokens_the_first_step_shows_which_length_fits(tiny_codec, span):
    length = len(tiny_codec.encode(span))
    filled = race(tiny_codec, span, prefix="", suffix="")

    assert [len(ids) for ids in filled.denoiser.canvases[0]] == [*RACE]
    kept = [len(ids) for ids in filled.denoiser.canvases[1]]
    assert max(length, 2) in kept
    assert len(kept) == 2
    if length > 1:
        assert filled.texts[0] == span


@pytest.mark.parametrize(("keep_after", "lanes"), [(((1, 1),), 1), (((1, 3), (2, 2)), 3)])
def test_so_many_lengths_continue_after_the_first_step(tiny_codec, keep_after, lanes):
    filled = race(tiny_codec, masked={"keep_after": keep_after}, prefix="", suffix="")

    assert len(filled.denoiser.canvases[1]) == lanes
    assert filled.texts == [SPAN]


@pytest.mark.parametrize("empty_nats", [-0.001, -9.0])
def test_without_length_tokens_the_checkpoint_says_how_likely_nothing_is(
    tiny_codec, empty_nats
):
    filled = race(tiny_codec, masked={"empty_nats": empty_nats}, prefix="", suffix="")

    if empty_nats > -0.01:
        assert filled.infill.reason.code is ReasonCode.NOTHING_MISSING
    else:
        assert filled.texts[0] == SPAN


def test_without_length_tokens_a_rewrite_may_become_longer(tiny_codec):
    filled = race(tiny_codec, replaced="3.14", strength=1.0, prefix="", suffix="")

    length = len(tiny_codec.encode("3.14"))
    lengths = [len(ids) for ids in filled.denoiser.canvases[0]]
    assert lengths == [length, math.ceil(1.25 * length)]


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
    ("prefix", "span", "suffix"),
    [
        # "return" reaches over both tokens.
        ("def area():\n    retu", "rn 3.14", ""),
        ("def area():\n    ret", "urn 3.14", ""),
        # The typed tokens stay as they are.
        ("x = se", "t", ""),
        ("x = se", "lf * radius", ""),
        ("x = ", "self.rad", "ius\n"),
        ("x = se", "lf.rad", "ius\n"),
    ],
)
def test_tokens_at_the_cursor_are_healed_as_in_any_family(
    tiny_codec, length, prefix, span, suffix
):
    filled = fill(tiny_codec, length, span, prefix=prefix, suffix=suffix)

    assert filled.texts == [span]
    assert all(span.startswith(draft.text) for draft in filled.drafts)


async def test_the_engine_runs_it_like_any_other(tiny_codec):
    denoiser = MaskedDenoiser(tiny_codec, PREFIX, SPAN, SUFFIX)
    settings = settings_of(3)
    family = masked_family(settings, denoiser, tiny_codec, mask_tokens(tiny_codec))
    engine = Engine(denoiser, tiny_codec, family, settings, "masked")
    try:
        async with asyncio.timeout(30):
            infill = (await engine.submit(InfillJob(PREFIX, SUFFIX)).result()).infill
    finally:
        await engine.close()

    assert infill.candidates[0].text == SPAN
    assert infill.model == "masked"
