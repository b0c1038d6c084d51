"""Several free segments in one canvas of a masked model."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.config import MaskedSettings, Order
from dg_lsp.engine.denoising import Denoising
from dg_lsp.engine.infilling import Filling
from dg_lsp.engine.masked import MaskTokens, masked_family
from dg_lsp.engine.masked.corruption import MaskedCorruption
from dg_lsp.engine.masked.layout import BothSidesLayout
from dg_lsp.engine.prompt import plan_segments, segment_ids
from dg_lsp.engine.segments import joined_text
from dg_lsp.job import Earlier, InfillJob, PinnedText, Seed
from dg_lsp.reason import ReasonCode
from tests.engine.masked_model import MaskedDenoiser, mask_tokens, settings_of
from tests.engine.test_infilling import Filled
from tests.engine.test_segments import THREE, TWO, job_of, parts
from tests.fuzzing import effort


def layout_of(codec) -> BothSidesLayout:
    return BothSidesLayout(settings_of(1).prompt, codec, (codec.control.bos,), (), None)


class SegmentsDenoiser(MaskedDenoiser):
    """Knows what belongs into each segment, and where it ends."""

    def __init__(self, codec, marked: str) -> None:
        outside, inside = parts(marked)[::2], parts(marked)[1::2]
        between = "".join(parts(marked)[1:-1])
        super().__init__(codec, outside[0], between, outside[-1])
        prompt = layout_of(codec).build(job_of(marked), self.canvas_length)
        self._runs = [
            (segment_ids(edges, codec, text), len(edges.right_tokens))
            for edges, text in zip(prompt.segments, inside, strict=True)
        ]

    def denoise(self, encoded, canvases, canvas, *rest):
        if canvases.is_scored:
            return super().denoise(encoded, canvases, canvas, *rest)
        free = {*canvases.free.tolist()}
        self._held, start = [], 0
        for lane in canvas.split(canvases.lengths):
            rows, runs = range(start, start + len(lane)), iter(self._runs)
            for is_free, group in itertools.groupby(rows, free.__contains__):
                count = len([*group])
                self._held += self._known(*next(runs), count) if is_free else [0] * count
            start += len(lane)
        return super().denoise(encoded, canvases, canvas, *rest)

    def _written(self, encoded, canvases) -> list[int]:
        return super()._written(encoded, canvases) if canvases.is_scored else self._held


def fill(codec, marked: str, length: int = 6, canvas_length=64, tokens=None, **job) -> Filled:
    masked = job.pop("masked", {})
    settings = settings_of(length, **masked)
    denoiser = SegmentsDenoiser(codec, marked)
    denoiser.canvas_length = canvas_length
    family = masked_family(
        settings, denoiser, codec, tokens or mask_tokens(codec), opening=[codec.control.bos]
    )
    drafts = []
    infill = Filling(
        job_of(marked, **job), denoiser, codec, family, settings, lambda: False, drafts.append
    ).run()
    return Filled(infill, denoiser, drafts)


@pytest.mark.parametrize("length", [1, 2, 6, 12])
@pytest.mark.parametrize(
    "marked",
    [
        TWO,
        THREE,
        # An edge inside of what is one token.
        "def area(self, ra<|dius):\n    return 3|>.14 * rad<|ius ** 2\n|>",
    ],
)
def test_finds_all_segments_however_long_they_are_at_first(tiny_codec, marked, length):
    filled = fill(tiny_codec, marked, length)

    best = filled.infill.candidates[0]
    assert list(best.segments) == parts(marked)[1::2]
    assert best.text == "".join(parts(marked)[1:-1])
    assert len(best.confidences) == len(best.text)


def test_an_empty_segment_does_not_end_the_others(tiny_codec):
    marked = "def area(self, radius<||>):\n    return <|3.14 * radius|> ** 2\n"

    assert fill(tiny_codec, marked).infill.candidates[0].segments == ("", "3.14 * radius")


@pytest.mark.parametrize("strength", [0.1, 0.5])
def test_seeds_are_lanes_with_some_of_their_tokens_masked(tiny_codec, strength):
    marked = "def area(self, <|radius|>):\n    return <|3.14 * radius + side|> ** 2\n"
    seeds = ((Seed("radius", 10.0),), (Seed("3.14 * radius + side", 10.0),))
    masked = {"seed_strength": strength}
    unseeded = fill(tiny_codec, marked)
    filled = fill(tiny_codec, marked, masked=masked, segment_seeds=seeds)

    assert filled.infill.candidates[0].segments == ("radius", "3.14 * radius + side")
    [noise], starts = unseeded.denoiser.canvases[0], filled.denoiser.canvases[0]
    mask = mask_tokens(tiny_codec).mask
    assert len(starts) > 1
    assert any(0 < canvas.count(mask) < noise.count(mask) for canvas in starts)


def test_drafts_say_where_masks_are_in_each_segment(tiny_codec):
    between = "\n\n    def area(self, radius):\n        return "
    marked = f"    return <|3.14 * radius|>{between}<|3.14 * radius|> ** 2\n"
    filled = fill(tiny_codec, marked)

    first = filled.drafts[0]
    assert {place.at <= len(first.segments[0]) for place in first.masked} == {True, False}
    for draft in filled.drafts:
        one, two = draft.segments
        assert draft.text == one + between + two
        for place in draft.masked:
            inside = place.at <= len(one) or place.at >= len(draft.text) - len(two)
            assert inside, "a mask within a pinned text"


def test_a_model_that_cannot_delete_tries_lengths(tiny_codec):
    tokens = dataclasses.replace(mask_tokens(tiny_codec), delete=None, expand=None)
    outside = parts(TWO)[::2]
    filled = fill(tiny_codec, TWO, tokens=tokens, masked={"race_masks": (2, 4, 6)})

    assert len(filled.denoiser.canvases[0]) > 1, "several lengths are tried in one step"
    for candidate in filled.infill.candidates:
        first, second = candidate.segments
        assert candidate.text == first + outside[1] + second


def test_what_is_decided_already_is_kept_and_saves_steps(tiny_codec):
    cold = fill(tiny_codec, TWO)
    warm = fill(
        tiny_codec,
        TWO,
        pinned=(PinnedText("):\n    return ", Earlier("radius")),),
        earlier=Earlier("3.14 * radius"),
    )

    assert warm.infill.candidates[0].segments == cold.infill.candidates[0].segments
    assert warm.infill.steps < cold.infill.steps


def test_more_than_the_canvas_takes_is_refused(tiny_codec):
    refused = fill(tiny_codec, "<|a|>" + "radius " * 80 + "<|b|>\n").infill

    assert refused.candidates == ()
    assert refused.reason.code is ReasonCode.CANVAS_FULL


def test_segments_share_a_canvas_that_is_too_short_for_their_first_lengths(tiny_codec):
    filled = fill(tiny_codec, TWO, length=30, canvas_length=32)

    assert filled.infill.candidates[0].segments == ("radius", "3.14 * radius")
    assert max(len(canvas) for [canvas] in filled.denoiser.canvases) <= 32


words = st.sampled_from([" ", "(", ")", ":\n    ", "radius", "rad", "ius", "3.1", " * ", "圆"])
texts = st.lists(words, min_size=1, max_size=5).map("".join)


class Undecided(MaskedDenoiser):
    """Writes anything, deletes and expands anywhere."""

    def __init__(self, codec, tokens: MaskTokens, seed: int) -> None:
        super().__init__(codec, "", "", "")
        self._generator = torch.Generator().manual_seed(seed)
        self._changing = torch.tensor(sorted(tokens.changing))

    def encode(self, ids, document="", after=()):
        return None

    def denoise(self, encoded, canvases, canvas, *rest):
        self.canvases.append([part.tolist() for part in canvas.split(canvases.lengths)])
        allowed = ~canvases.disallowed[canvases.constraint]
        scores = torch.rand(allowed.shape, generator=self._generator)
        scores[:, self._changing] += 0.7
        best = scores.masked_fill(~allowed, -1).argmax(1)
        sureness = -torch.rand(len(best), generator=self._generator)
        return self.prediction(best, sureness, len(canvases.pinned))


@given(
    texts,
    st.lists(texts, min_size=1, max_size=3),
    texts,
    st.lists(st.integers(1, 5), min_size=4, max_size=4),
    st.integers(0, 2**32 - 1),
    st.sampled_from([*Order]),
)
@effort(25)
def test_nothing_outside_the_free_positions_ever_changes(
    tiny_codec, prefix, pinned, suffix, lengths, seed, order
):
    """Whatever is deleted and expanded, at every step."""
    tokens = mask_tokens(tiny_codec)
    job = InfillJob(prefix, suffix, pinned=tuple(map(PinnedText, pinned)))
    prompt = layout_of(tiny_codec).build(job, 64)
    starts = [
        (-1,) * max(edges.least_tokens, length)
        for edges, length in zip(prompt.segments, lengths, strict=False)
    ]
    denoiser = Undecided(tiny_codec, tokens, seed)
    settings = MaskedSettings(order=order, window=24)
    corruption = MaskedCorruption(settings, tokens, tiny_codec, 64, torch.device("cpu"), seed)
    plan = plan_segments(prompt, starts)
    denoising = Denoising(denoiser, None, [plan], tiny_codec, corruption)
    between = [list(one.ids) for one in prompt.pinned]
    for _ in range(12):
        if denoising.done:
            break
        denoising.step()
        [lane] = denoising.lanes
        runs = [list(lane.plan.ids[run.start : run.end]) for run in lane.plan.pinned]
        assert runs == between
        assert len(lane.plan.ids) <= 64
        assert lane.plan.free_length == len(lane.shown) == len(lane.memory.positions)
        found = joined_text(lane, tiny_codec, job.pinned)
        together = zip(found.segments, [*pinned, ""], strict=True)
        assert found.text == "".join(a + b for a, b in together)
        assert found.is_decided or not lane.settled
    for [canvas] in denoiser.canvases:
        end = 0
        for run in between:
            starts = range(end, len(canvas) - len(run) + 1)
            end = len(run) + next(at for at in starts if canvas[at : at + len(run)] == run)
