"""Seeds of several free segments: lanes that start as them, and their place in the ranking."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.config import EngineSettings, LengthSettings, SamplerSettings, SeedSettings
from dg_lsp.engine.gemma import gemma_family
from dg_lsp.engine.healing import text_of
from dg_lsp.engine.infilling import Filling
from dg_lsp.engine.segment_seeds import parts_around
from dg_lsp.job import InfillJob, PinnedText, Seed, source_of
from dg_lsp.models.scripted import ScriptedDenoiser
from tests.engine.test_segments import TWO, fill, texts
from tests.fuzzing import effort

BETWEEN = "):\n    return "
BELIEVED = SeedSettings(prior_nats=1000.0)


def each(first: tuple[str, ...] = (), second: tuple[str, ...] = (), score: float = 0.0):
    found = (tuple(Seed(text, score) for text in one) for one in (first, second))
    return {"segment_seeds": tuple(found)}


def starts(codec, filled, call: int = 1) -> list[str]:
    """What the canvases of a step hold; the first step measures lengths."""
    return [
        text_of(codec, lane).decode(errors="replace") for lane in filled.denoiser.canvases[call]
    ]


def test_lanes_start_as_the_seeds_of_each_segment_and_of_several_together(tiny_codec):
    filled = fill(tiny_codec, TWO, **each(("width",), ("2 * width",), score=10.0))

    held = starts(tiny_codec, filled)
    assert any(f"width{BETWEEN}2 * width **" in one for one in held)
    assert any(f"width{BETWEEN}" in one and "2 * width" not in one for one in held)
    assert any(f"width{BETWEEN}" not in one and "2 * width **" in one for one in held)


def test_no_more_lanes_start_as_seeds_than_the_model_is_set_to(tiny_codec):
    seeds = each(("width", "height", "side"), ("2 * width", "3 * width"))
    filled = fill(tiny_codec, TWO, seeding=SeedSettings(lanes=2), **seeds)

    assert len(starts(tiny_codec, filled)) == 12 + 2


def test_a_seed_of_the_right_length_is_corrected(tiny_codec):
    # From noise there are only the shortest lengths.
    short = fill(tiny_codec, TWO, lengths=())
    filled = fill(tiny_codec, TWO, lengths=(), **each(("radius",), ("3.14 * area",)))

    assert short.infill.candidates[0].segments != ("radius", "3.14 * radius")
    best = filled.infill.candidates[0]
    assert best.segments == ("radius", "3.14 * radius")
    assert best.seed is not None


def test_a_believed_seed_is_ranked_as_it_is_in_its_segment_alone(tiny_codec):
    job = each((), ("2 * width",))
    filled = fill(tiny_codec, TWO, seeding=BELIEVED, **job)

    best = filled.infill.candidates[0]
    assert best.segments == ("radius", "2 * width")
    assert best.text == f"radius{BETWEEN}2 * width"
    assert len(best.confidences) == len(best.text)
    source = source_of(best, InfillJob("", "", pinned=(PinnedText(BETWEEN),), **job).all_seeds)
    assert (source.seed.text, source.is_corrected) == ("2 * width", False)


def test_without_a_prior_the_model_decides(tiny_codec):
    filled = fill(tiny_codec, TWO, **each(("width",), ("2 * width",)))

    best = filled.infill.candidates[0]
    assert best.segments == ("radius", "3.14 * radius")


@pytest.mark.parametrize(
    ("found", "segments"),
    [
        (f"width{BETWEEN}2 * width", ("width", "2 * width")),
        # Without the pinned text, it is no text for this span.
        ("width):\n    print(2 * width", ("radius", "3.14 * radius")),
    ],
)
def test_a_seed_of_the_whole_span_takes_part_only_with_what_is_pinned(
    tiny_codec, found, segments
):
    filled = fill(tiny_codec, TWO, seeding=BELIEVED, seeds=(Seed(found),))

    assert filled.infill.candidates[0].segments == segments
    assert any(found in one for one in starts(tiny_codec, filled)) is (segments[0] == "width")


def test_sure_seeds_that_the_model_leaves_as_they_are_end_the_race(tiny_codec):
    sure = SeedSettings(sure_score=9.0)
    both = fill(tiny_codec, TWO, seeding=sure, **each(("radius",), ("3.14 * radius",), 10.0))
    one = fill(tiny_codec, TWO, seeding=sure, **each(("radius",), score=10.0))

    assert both.infill.candidates[0].segments == ("radius", "3.14 * radius")
    # One for the lengths, and one that leaves them.
    assert both.infill.steps == 2 < one.infill.steps


@pytest.mark.parametrize("score", [-1e6, 1e6])
def test_a_seed_of_any_score_is_no_error(tiny_codec, score):
    found = Seed(f"width{BETWEEN}2 * width", score)
    filled = fill(tiny_codec, TWO, seeds=(found,), **each(("width",), ("2 * width",), score))

    assert filled.infill.candidates


def test_what_was_shown_is_not_offered_again_as_a_seed(tiny_codec):
    found = Seed(f"width{BETWEEN}2 * width")
    filled = fill(tiny_codec, TWO, seeding=BELIEVED, seeds=(found,), shown=(found.text,))

    assert filled.infill.candidates[0].segments == ("radius", "3.14 * radius")


@pytest.mark.parametrize(
    ("text", "pinned", "parts"),
    [
        ("a = b", [" = "], ("a", "b")),
        ("f(x, y)", ["(", ", "], ("f", "x", "y)")),
        ("x", ["x"], ("", "")),
        ("b, a", ["a", "b"], None),
        ("", ["a"], None),
    ],
)
def test_what_is_around_the_pinned_texts(text, pinned, parts):
    assert parts_around(text, pinned) == parts


@given(
    st.lists(texts, min_size=1, max_size=2),
    st.lists(st.lists(texts, max_size=2), min_size=3, max_size=3),
    st.lists(texts, max_size=2),
    st.floats(-5, 15),
)
@effort(20)
def test_seeds_change_nothing_outside_the_free_positions(
    tiny_codec, pinned, seeds, whole, score
):
    """Whatever the seeds are: in no canvas of any step, and in no text that comes of it."""
    job = InfillJob(
        "def ",
        " = 3.14\n",
        pinned=tuple(map(PinnedText, pinned)),
        seeds=tuple(Seed(one.join(["", *pinned, ""]), score) for one in whole),
        segment_seeds=tuple(
            tuple(Seed(text, score) for text in one) for one in seeds[: len(pinned) + 1]
        ),
        candidates=4,
    )
    settings = EngineSettings(
        sampler=SamplerSettings(max_denoising_steps=4),
        length=LengthSettings(lengths=(2, 4)),
        seeds=SeedSettings(prior_nats_per_score=10.0, sure_score=10.0),
    )
    denoiser = ScriptedDenoiser(tiny_codec)
    family = gemma_family(settings, denoiser, tiny_codec)
    drafts = []
    infill = Filling(
        job, denoiser, tiny_codec, family, settings, lambda: False, drafts.append
    ).run()

    prompt = family.layout.build(job, denoiser.canvas_length)
    stays = [*(one.ids for one in prompt.pinned), (*prompt.right_anchor, *prompt.closing)]
    for canvas in itertools.chain(*denoiser.canvases):
        at = 0
        for edges, ids in zip(prompt.segments, stays, strict=True):
            at += edges.least_tokens
            at = next(
                start
                for start in range(at, len(canvas) + 1)
                if tuple(canvas[start : start + len(ids)]) == ids
            ) + len(ids)
    assert infill.candidates
    for one in (*drafts, *infill.candidates):
        between = [*pinned, ""]
        assert one.text == "".join(a + b for a, b in zip(one.segments, between, strict=True))
