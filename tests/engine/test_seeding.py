"""Texts from elsewhere: lanes that start as them, and their place in the ranking."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dg_lsp.config import SeedSettings
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.family import FoundText
from dg_lsp.engine.seeding import usable, with_seeds
from dg_lsp.job import InfillJob, Seed
from dg_lsp.models.scripted import Reading, ScriptedDenoiser
from dg_lsp.reason import ReasonCode
from tests.engine.test_infilling import AREA, LONG, OPEN, OneByOne, fill, plain


class Disagreeing(ScriptedDenoiser):
    """Writes one document, and finds another one likely."""

    def __init__(self, codec: Codec, written: str, scored: str) -> None:
        super().__init__(codec, written)
        self._likely = ScriptedDenoiser(codec, scored)

    def encode(self, ids: Sequence[int], *rest: Any) -> Reading:
        self._likely_reading = self._likely.encode(ids, *rest)
        return super().encode(ids, *rest)

    def score(self, encoded: Reading, continuations: Sequence[Sequence[int]]) -> list[Tensor]:
        return self._likely.score(self._likely_reading, continuations)


class Counting(OneByOne):
    """Records which continuations the encoder was given."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.scored: list[tuple[int, ...]] = []
        self.calls = 0

    def score(self, encoded: Reading, continuations: Sequence[Sequence[int]]) -> list[Tensor]:
        self.calls += 1
        self.scored += map(tuple, continuations)
        return super().score(encoded, continuations)


RIGHT, WRONG = Seed("3.14 * radius"), Seed("self.radius")
BELIEVED = {"seeds": SeedSettings(prior_nats=1000.0)}
SURE = {"seeds": SeedSettings(sure_score=0.0)}


def test_a_lane_starts_as_each_of_the_best_seeds(tiny_codec):
    seeds = (RIGHT, WRONG, Seed("2"), Seed("3"))
    filled = fill(tiny_codec, AREA, seeds=seeds, engine={"seeds": SeedSettings(lanes=2)})
    from_noise = fill(tiny_codec, AREA)

    first = [b"".join(map(tiny_codec.token_bytes, ids)) for ids in filled.denoiser.canvases[0]]
    assert len(first) == len(from_noise.denoiser.canvases[0]) + 2
    assert [text.split(b" ** 2")[0] for text in first[-2:]] == [
        b" 3.14 * radius",
        b" self.radius",
    ]


def test_what_the_model_would_not_write_is_corrected(tiny_codec):
    # Of noise there is only the lane of nothing, so the right length comes from the seed.
    seeds = (Seed("3.14 * area"),)
    filled = fill(tiny_codec, AREA, seeds=seeds, length={"lengths": ()})

    best = filled.infill.candidates[0]
    assert (best.text, best.seed) == ("3.14 * radius", 0)


def test_a_text_from_noise_has_no_seed(tiny_codec):
    best = fill(tiny_codec, AREA, seeds=(WRONG,)).infill.candidates[0]
    assert (best.text, best.seed) == ("3.14 * radius", None)


def test_a_seed_that_much_speaks_for_comes_first_though_the_model_writes_another(tiny_codec):
    filled = fill(tiny_codec, AREA, seeds=(RIGHT, WRONG), engine=BELIEVED, candidates=3)
    assert filled.texts[0] == "3.14 * radius"
    filled = fill(tiny_codec, AREA, seeds=(WRONG,), engine=BELIEVED)
    best = filled.infill.candidates[0]
    assert (best.text, best.seed) == ("self.radius", 0)


def test_a_sure_seed_that_the_model_leaves_as_it_is_is_the_answer_after_one_step(tiny_codec):
    filled = fill(tiny_codec, AREA, seeds=(RIGHT,), engine=SURE)
    assert (filled.texts, filled.infill.steps) == (["3.14 * radius"], 1)

    corrected = fill(tiny_codec, AREA, seeds=(WRONG,), engine=SURE)
    assert corrected.texts == ["3.14 * radius"]
    assert corrected.infill.steps > 1


def test_where_nothing_is_missing_no_seed_is_believed(tiny_codec):
    whole = "def area(self, radius):\n    return 3.14 *<||> radius\n"
    copied = Seed(" radius **", score=99.0)
    believed = SeedSettings(prior_nats=1000.0, sure_score=0.0)
    filled = fill(tiny_codec, whole, seeds=(copied,), engine={"seeds": believed})
    assert filled.texts == []


@pytest.mark.parametrize("sure_score", [0.0, math.inf])
@pytest.mark.parametrize(
    "believed",
    [SeedSettings(prior_nats=1000.0), SeedSettings(prior_nats_per_score=10.0)],
    ids=["prior", "prior by score"],
)
@pytest.mark.parametrize(("may_be_empty", "texts"), [(True, []), (False, [" 3.14"])])
def test_no_prior_counts_where_an_empty_text_is_likeliest(
    tiny_codec, believed, sure_score, may_be_empty, texts
):
    # The decoder leaves the seed as it is, and the encoder finds that nothing is missing.
    settings = dataclasses.replace(believed, sure_score=sure_score)
    denoiser = Disagreeing(tiny_codec, "return 3.14 * 2\n", scored="return * 2\n")
    filled = fill(
        tiny_codec,
        "return<||> * 2\n",
        denoiser=denoiser,
        seeds=(Seed(" 3.14", score=99.0),),
        engine={"seeds": settings},
        may_be_empty=may_be_empty,
    )
    assert filled.texts == texts
    assert (filled.infill.steps == 1) is (sure_score == 0.0)


def test_each_text_goes_through_the_encoder_once(tiny_codec):
    denoiser = Counting(tiny_codec, plain(AREA))
    seeds = (WRONG, Seed("2"), Seed("radius"))
    lengths = {"keep_after": ((1, 4),)}
    fill(tiny_codec, AREA, denoiser=denoiser, seeds=seeds, length=lengths)

    assert denoiser.calls > 1, "no lane settled before the others"
    assert len(denoiser.scored) == len(set(denoiser.scored))


def test_a_seed_that_no_canvas_holds_is_ranked_all_the_same(tiny_codec):
    span = LONG.split("<|")[1].split("|>")[0]
    filled = fill(tiny_codec, LONG, seeds=(Seed(span),), length=OPEN, max_tokens=400)
    assert filled.texts[0] == span


@pytest.mark.parametrize("useless", ["", " \n", "3.14 \ufffd"])
def test_seeds_that_say_nothing_or_half_a_character_do_not_take_part(tiny_codec, useless):
    plain = fill(tiny_codec, AREA)
    filled = fill(tiny_codec, AREA, seeds=(Seed(useless),), engine=BELIEVED)
    assert filled.denoiser.canvases == plain.denoiser.canvases
    assert filled.infill.candidates == plain.infill.candidates


def test_line_ends_of_dos_are_as_the_model_sees_them(tiny_codec):
    seeds = (Seed("a\r\nb"), Seed("a\nb"))
    assert usable(InfillJob("", "", seeds=seeds), tiny_codec) == {0: Seed("a\nb")}


def test_a_candidate_names_its_seed_by_the_number_in_the_job(tiny_codec):
    seeds = (Seed(" "), RIGHT, RIGHT, WRONG)
    candidates = fill(tiny_codec, AREA, seeds=seeds, engine=BELIEVED, candidates=3)
    numbers = {one.text: one.seed for one in candidates.infill.candidates if one.seed}
    assert numbers == {RIGHT.text: 1, WRONG.text: 3}


def test_a_rewrite_does_not_start_from_what_it_replaces(tiny_codec):
    job = InfillJob("", "", seeds=(Seed("a"), Seed("b")), replaced="a", strength=1.0)
    assert usable(job, tiny_codec) == {1: Seed("b")}


SELECTION = "total = width * height + depth"


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("total = width * height - depth", 0.0, 0.3),
        ("total = width * depth + height", 0.1, 0.5),
        ("total = width", 0.3, 0.9),
        (f"{SELECTION}\nprint(total)\nreturn total * width * 2", 0.3, 0.9),
        ("try:", 0.8, 1.0),
        ("pass\n" * 60, 0.9, 1.0),
    ],
)
def test_a_rewrite_takes_a_seed_only_at_a_strength_that_allows_as_much_change(
    tiny_codec, text, least, most
):
    def takes(strength: float) -> bool:
        job = InfillJob("", "", seeds=(Seed(text),), replaced=SELECTION, strength=strength)
        return bool(usable(job, tiny_codec))

    strengths = [number / 100 for number in range(1, 101)]
    taken = [takes(strength) for strength in strengths]
    assert taken == sorted(taken)
    assert least < strengths[taken.index(True)] <= most


def test_a_lane_of_a_rewrite_starts_as_a_seed_noised_where_it_differs(tiny_codec):
    def started(strength: float) -> list[bytes]:
        # With this seed, the one token that differs is noise only at high strengths.
        filled = fill(
            tiny_codec,
            AREA,
            replaced="3.14 * area",
            seeds=(RIGHT, WRONG),
            strength=strength,
            seed=1,
            engine={"seeds": SeedSettings(lanes=1)},
        )
        plain = fill(tiny_codec, AREA, replaced="3.14 * area", strength=strength, seed=1)
        (canvases, alone) = filled.denoiser.canvases[0], plain.denoiser.canvases[0]
        assert len(canvases) == len(alone) + 1
        return [tiny_codec.token_bytes(token) for token in canvases[-1]]

    kept, noised = started(0.4), started(1.0)
    seed = b"".join(map(tiny_codec.token_bytes, tiny_codec.encode(" 3.14 * radius")))
    assert b"".join(kept).startswith(seed)
    # What the seed and the selection share is kept, however freely the rest may change.
    assert b"".join(noised).startswith(b" 3.14 *")
    assert not b"".join(noised).startswith(seed)


def test_a_rewrite_corrects_a_seed_and_names_it(tiny_codec):
    # All lanes but that of the seed are too short.
    filled = fill(tiny_codec, AREA, replaced="2", seeds=(Seed("3.14 * area"),), strength=1.0)
    best = filled.infill.candidates[0]
    assert (best.text, best.seed) == ("3.14 * radius", 0)


def test_no_seed_ends_a_rewrite_after_one_step(tiny_codec):
    filled = fill(
        tiny_codec, AREA, replaced="2", seeds=(RIGHT,), strength=1.0, engine=SURE, candidates=3
    )
    assert filled.texts[0] == RIGHT.text
    assert filled.infill.steps > 1
    assert "" not in filled.texts


def test_a_selection_of_several_blocks_is_rewritten_without_lanes_from_seeds(tiny_codec):
    span = LONG.split("<|")[1].split("|>")[0]
    filled, plain = (
        fill(tiny_codec, LONG, replaced=span, seeds=seeds, strength=0.1)
        for seeds in ((Seed("side_1 = 1"),), ())
    )
    assert filled.denoiser.canvases == plain.denoiser.canvases


def test_a_seed_follows_an_instruction_only_as_far_as_a_lane_corrects_it(tiny_codec):
    filled = fill(
        tiny_codec,
        AREA,
        replaced="2",
        instruction="use the radius",
        seeds=(Seed("3.14 * area"), WRONG),
        strength=1.0,
        candidates=9,
        engine={"seeds": SeedSettings(prior_nats=1000.0)},
    )
    best = filled.infill.candidates[0]
    assert (best.text, best.seed) == ("3.14 * radius", 0)
    assert {"3.14 * area", WRONG.text}.isdisjoint(filled.texts)


def test_a_rewrite_with_seeds_is_the_same_each_time(tiny_codec):
    one, other = (
        fill(tiny_codec, AREA, replaced="2 * area", seeds=(WRONG, RIGHT)).denoiser.canvases
        for _ in range(2)
    )
    assert one == other


def test_a_seed_beyond_the_token_budget_does_not_take_part(tiny_codec):
    seeds = (Seed("3.14 * radius"), Seed("3"))
    job = InfillJob("", "", seeds=seeds, max_tokens=3)
    assert usable(job, tiny_codec) == {1: Seed("3")}


def test_the_same_job_gives_the_same_text(tiny_codec):
    one, other = (
        fill(tiny_codec, AREA, seeds=(WRONG, Seed("2"))).denoiser.canvases for _ in range(2)
    )
    assert one == other


@given(
    st.lists(st.sampled_from("abcd")),
    st.lists(st.builds(Seed, st.sampled_from("bcde"), score=st.floats(-9, 99))),
)
def test_every_text_is_ranked_and_each_seed_once(written, seeds):
    kept = {seed.text: (n, seed) for n, seed in reversed([*enumerate(seeds)])}
    kept = dict(kept.values())
    found = [FoundText(text, (0.5,)) for text in written]
    settings = SeedSettings(prior_nats=2.0, prior_nats_per_score=0.5)
    ranked = with_seeds(found, kept, settings)

    assert {one.text for one in ranked} == {*written, *(seed.text for seed in kept.values())}
    assert len(ranked) == len(written) + sum(seed.text not in written for seed in kept.values())
    for one in ranked:
        if one.seed is not None:
            assert one.text == kept[one.seed].text
            assert one.prior_nats == 2.0 + 0.5 * kept[one.seed].score
            assert one.confidence is not None
            assert 0 <= one.confidence <= 1


SHOWN = [(), ("self.radius",), ("3.14 * radius",), ("self.radius", "3.14\n* radius")]


@pytest.mark.parametrize("shown", SHOWN)
@pytest.mark.parametrize("replaced", [None, "2 * radius"])
def test_no_text_that_was_shown_comes_again(tiny_codec, shown, replaced):
    filled = fill(
        tiny_codec,
        AREA,
        seeds=(RIGHT, WRONG),
        engine=BELIEVED,
        extra_candidates=30,
        replaced=replaced,
        strength=1.0,
        may_be_empty=False,
        shown=shown,
    )
    assert not {"".join(text.split()) for text in shown} & {
        "".join(text.split()) for text in filled.texts
    }
    if "self.radius" not in shown:
        assert "self.radius" in filled.texts


def test_where_all_was_shown_that_is_the_reason(tiny_codec):
    job = {"replaced": "2 * radius", "candidates": 30, "may_be_empty": False}
    shown = tuple(fill(tiny_codec, AREA, **job).texts)
    filled = fill(tiny_codec, AREA, shown=shown, **job)
    assert filled.infill.candidates == ()
    assert filled.infill.reason.code is ReasonCode.ALREADY_SHOWN
