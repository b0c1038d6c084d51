"""Several free segments in one canvas: what is written, and what never changes."""

from __future__ import annotations

import itertools
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.config import EngineSettings, LengthSettings, SamplerSettings, SeedSettings
from dg_lsp.engine.conversation import ConversationLayout
from dg_lsp.engine.denoising import Denoising
from dg_lsp.engine.gemma import gemma_family
from dg_lsp.engine.healing import text_of
from dg_lsp.engine.infilling import Filling
from dg_lsp.engine.prompt import plan_segments, segment_ids
from dg_lsp.engine.segments import joined_text, pinned_tokens
from dg_lsp.engine.uniform import UniformCorruption
from dg_lsp.job import Earlier, InfillJob, PinnedText
from dg_lsp.models.scripted import ScriptedDenoiser
from dg_lsp.reason import ReasonCode
from tests.engine.test_infilling import Filled
from tests.fuzzing import effort

TWO = "def area(self, <|radius|>):\n    return <|3.14 * radius|> ** 2\n"
THREE = "<|def|> area(self, <|radius|>):\n    return 3.14 * <|radius|> ** 2\n"


def parts(marked: str) -> list[str]:
    """The text outside and inside of `<|` and `|>`, in turn."""
    return re.split(r"<\||\|>", marked)


def job_of(marked: str, **job) -> InfillJob:
    prefix, *outside, suffix = parts(marked)[::2]
    pinned = job.pop("pinned", None) or tuple(map(PinnedText, outside))
    return InfillJob(prefix, suffix, pinned=pinned, **job)


class SegmentsDenoiser(ScriptedDenoiser):
    """Knows the tokens of each segment, and is unsure where a segment has another length."""

    def __init__(self, codec, job: InfillJob, marked: str, canvas_length: int) -> None:
        document = "".join(parts(marked)).replace("\r\n", "\n")
        super().__init__(codec, document, canvas_length=canvas_length)
        layout = ConversationLayout(EngineSettings().prompt, codec)
        prompt = layout.build(job, canvas_length)
        assert all(one.ids for one in prompt.pinned)
        inside = [one.replace("\r\n", "\n") for one in parts(marked)[1::2]]
        self._runs = [
            segment_ids(edges, codec, text)
            for edges, text in zip(prompt.segments, inside, strict=True)
        ]
        self._free: set[int] = set()

    def denoise(self, encoded, canvases, *rest):
        self._free = set(canvases.free.tolist())
        return super().denoise(encoded, canvases, *rest)

    def logits(self, encoded, canvas, lengths, conditioning):
        sure = self._certainty[min(encoded.steps, len(self._certainty) - 1)]
        logits = torch.zeros(len(canvas), self.vocab_size)
        start = 0
        for lane in canvas.split(list(lengths)):
            runs = iter(self._runs)
            for is_free, group in itertools.groupby(
                range(start, start + len(lane)), lambda row: row in self._free
            ):
                rows = [*group]
                known = next(runs) if is_free else canvas[rows].tolist()
                fits = len(known) == len(rows)
                for row, token in zip(rows, known, strict=fits):
                    logits[row, token] = sure if fits else sure / 4
            start += len(lane)
        return logits


def fill(
    codec,
    marked: str,
    canvas_length: int = 64,
    steps: int = 12,
    lengths: tuple[int, ...] = tuple(range(1, 25)),
    seeding: SeedSettings | None = None,
    **job,
) -> Filled:
    """Fill all spans between `<|` and `|>`, which the model knows."""
    made = job_of(marked, **job)
    plain = job_of(marked.replace("\r\n", "\n"))
    denoiser = SegmentsDenoiser(codec, plain, marked, canvas_length)
    settings = EngineSettings(
        sampler=SamplerSettings(max_denoising_steps=steps),
        length=LengthSettings(lengths=lengths),
        seeds=seeding or SeedSettings(),
    )
    drafts = []
    infill = Filling(
        made,
        denoiser,
        codec,
        gemma_family(settings, denoiser, codec),
        settings,
        lambda: False,
        drafts.append,
    ).run()
    return Filled(infill, denoiser, drafts)


@pytest.mark.parametrize(
    "marked",
    [
        TWO,
        THREE,
        # An edge inside of what is one token, at either side of a pinned text.
        "def area(self, ra<|dius):\n    return 3|>.14 * rad<|ius ** 2\n|>",
        "    # na<|ïve, 圆|> 🙂\n    ret<|urn 3|>.14\n",
        "def area(self, <|radius|>):\r\n    return <|3.14 * radius|> ** 2\r\n",
    ],
)
def test_fills_all_segments_at_once(tiny_codec, marked):
    filled = fill(tiny_codec, marked)

    outside, inside = parts(marked)[::2], parts(marked)[1::2]
    best = filled.infill.candidates[0]
    assert list(best.segments) == [one.replace("\r\n", "\n") for one in inside]
    whole = outside[0] + best.text + outside[-1]
    assert whole.replace("\r\n", "\n") == "".join(parts(marked)).replace("\r\n", "\n")
    assert len(best.confidences) == len(best.text)


def test_drafts_and_candidates_say_what_is_in_each_segment(tiny_codec):
    filled = fill(tiny_codec, TWO, candidates=3)

    for one in (*filled.drafts, *filled.infill.candidates):
        first, second = one.segments
        assert one.text == f"{first}):\n    return {second}"
    pinned = filled.drafts[0].text.index("):\n    return ")
    assert set(filled.drafts[0].confidence[pinned : pinned + 14]) == {1.0}


def test_lengths_are_chosen_jointly_in_one_step_more(tiny_codec):
    filled = fill(tiny_codec, TWO)

    probed, raced = filled.denoiser.canvases[:2]
    assert len(probed) <= 25
    assert len(raced) == 12
    # Not only equal lengths: each segment has the one that suits it.
    best = filled.infill.candidates[0]
    assert len({len(tiny_codec.encode(one)) for one in best.segments}) == 2
    assert filled.infill.steps == len(filled.denoiser.canvases)


def test_a_text_that_a_segment_starts_from_saves_the_step_for_its_length(tiny_codec):
    cold = fill(tiny_codec, TWO)
    warm = fill(
        tiny_codec,
        TWO,
        pinned=(PinnedText("):\n    return ", Earlier("rad")),),
        earlier=Earlier("3.14 * rad"),
    )

    assert warm.infill.candidates[0].text == cold.infill.candidates[0].text
    assert warm.infill.steps < cold.infill.steps
    starts = [text_of(tiny_codec, lane) for lane in warm.denoiser.canvases[0]]
    assert b"rad):\n    return 3.14 * rad **" in starts[0]


def test_texts_that_do_not_fit_together_are_no_start(tiny_codec):
    long = Earlier("radius " * 30)
    pinned = (PinnedText("):\n    return ", long),)
    filled = fill(tiny_codec, TWO, pinned=pinned, earlier=long)

    assert filled.infill.candidates[0].segments == ("radius", "3.14 * radius")


def test_more_than_the_canvas_takes_is_refused(tiny_codec):
    marked = "<|a|>" + "radius " * 80 + "<|b|>\n"
    by_tokens = fill(tiny_codec, marked).infill
    by_characters = fill(tiny_codec, marked.replace("radius", "radius" * 40)).infill

    for refused in (by_tokens, by_characters):
        assert refused.candidates == ()
        assert refused.reason.code is ReasonCode.CANVAS_FULL
        assert refused.steps == 0
    assert "64 tokens" in by_tokens.reason.message


@pytest.mark.parametrize("text", [")", " ", "radius", "):\n    return ", "圆", " * ", "\n"])
def test_a_pinned_text_keeps_all_its_tokens(tiny_codec, text):
    pinned = pinned_tokens(tiny_codec, text)
    ids = [*pinned.right_tokens, *pinned.ids, *pinned.left_tokens]

    assert ids == tiny_codec.encode(text)


words = st.sampled_from([" ", "(", ")", ":\n    ", "radius", "rad", "ius", "3.1", " * ", "圆"])
texts = st.lists(words, min_size=1, max_size=5).map("".join)


@given(
    texts,
    st.lists(texts, min_size=1, max_size=3),
    texts,
    st.lists(st.integers(1, 5), min_size=4, max_size=4),
    st.integers(0, 2**32 - 1),
)
@effort(25)
def test_nothing_outside_the_free_positions_ever_changes(
    tiny_codec, prefix, pinned, suffix, lengths, seed
):
    """At no step, with a model that is sure of nothing, and in no text that is read off."""
    settings = EngineSettings()
    job = InfillJob(prefix, suffix, pinned=tuple(map(PinnedText, pinned)))
    prompt = ConversationLayout(settings.prompt, tiny_codec).build(job, 64)
    starts = [
        (-1,) * max(edges.least_tokens, length)
        for edges, length in zip(prompt.segments, lengths, strict=False)
    ]
    plan = plan_segments(prompt, starts)
    denoiser = ScriptedDenoiser(tiny_codec)
    corruption = UniformCorruption(SamplerSettings(), torch.device("cpu"), seed)
    denoising = Denoising(denoiser, denoiser.encode(prompt.ids), [plan], tiny_codec, corruption)
    free = {at for one in plan.segments for at in range(one.start, one.end)}
    for _ in range(4):
        denoising.step()
        [lane] = denoising.lanes
        [canvas] = denoiser.canvases[-1]
        for at, token in enumerate(plan.ids):
            assert (token == -1) == (at in free)
            assert canvas[at] == token or at in free
        found = joined_text(lane, tiny_codec, job.pinned)
        between = [*pinned, ""]
        together = zip(found.segments, between, strict=True)
        assert found.text == "".join(a + b for a, b in together)
        assert len(found.confidences) == len(found.text)
