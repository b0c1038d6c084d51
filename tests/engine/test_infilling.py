"""One job from prompt to infill, with a denoiser that knows the document by heart."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from torch import Tensor

from dg_lsp.config import (
    EngineSettings,
    LengthSettings,
    PromptSettings,
    PromptStyle,
    SamplerSettings,
)
from dg_lsp.engine.gemma import gemma_family
from dg_lsp.engine.infilling import Filling, JobStoppedError
from dg_lsp.job import NOTHING_MISSING, Draft, Infill, InfillJob
from dg_lsp.models.scripted import ScriptedDenoiser
from dg_lsp.reason import ReasonCode

AREA = "def area(self, radius):\n    return <|3.14 * radius|> ** 2\n"
LONG = (
    "def area(self, radius):\n    <|"
    + "".join(f"side_{n} = self.radius * {n}  # side\n    " for n in range(9))
    + "|>return 3.14 ** 2\n"
)
# Two, three and four bytes of a token each, so that a block may end inside a character.
LONG_AND_WIDE = LONG.replace("# side", "# é漢🚀")
EVERY_LENGTH = tuple(range(1, 25))
# No lane is long enough, so that open canvases go on beyond the longest.
OPEN = {"lengths": (8,)}


def plain(marked: str) -> str:
    return marked.replace("<|", "").replace("|>", "")


@dataclass
class Filled:
    infill: Infill
    denoiser: ScriptedDenoiser
    drafts: list[Draft] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        return [candidate.text for candidate in self.infill.candidates]


def fill(
    codec,
    marked: str,
    *,
    known: str | None = None,
    prompt: dict[str, Any] | None = None,
    sampler: dict[str, Any] | None = None,
    length: dict[str, Any] | None = None,
    engine: dict[str, Any] | None = None,
    denoiser: ScriptedDenoiser | None = None,
    canvas_length: int = 64,
    cancelled: Callable[[], bool] = lambda: False,
    **job: Any,
) -> Filled:
    """Fill the span between `<|` and `|>`, which the model knows unless `known` is another."""
    prefix, rest = marked.split("<|")
    span, suffix = rest.split("|>")
    known = span if known is None else known
    if denoiser is None:
        document = f"{prefix}{known}{suffix}".replace("\r\n", "\n")
        denoiser = ScriptedDenoiser(codec, document, canvas_length=canvas_length)
    drafts: list[Draft] = []
    settings = EngineSettings(
        PromptSettings(**{"style": PromptStyle.BARE} | (prompt or {})),
        SamplerSettings(**{"max_denoising_steps": 12} | (sampler or {})),
        LengthSettings(**{"lengths": EVERY_LENGTH} | (length or {})),
        **(engine or {}),
    )
    infill = Filling(
        InfillJob(prefix, suffix, **job),
        denoiser,
        codec,
        gemma_family(settings, denoiser, codec),
        settings,
        cancelled,
        drafts.append,
    ).run()
    return Filled(infill, denoiser, drafts)


@pytest.mark.parametrize("style", PromptStyle)
@pytest.mark.parametrize(
    "marked",
    [
        AREA,
        "def area(self, <|radius):\n    return |>3.14 * radius ** 2\n",
        "def area(self, ra<|dius):\n    return 3.14 * ra|>dius ** 2\n",
        "def area(self, radius):<|\n    return 3.14 * radius|>",
        "<|def area|>(self, radius):\n    return 3.14\n",
        "    # na<|ïve, 圆|> 🙂\n    return 3.14\n",
        "    # naïve, 圆<| 🙂|>漢 = 2\n    return 3.14\n",
        "return<| |>3.14\n",
        "<|return 3.14|>",
    ],
)
def test_fills_the_known_span(tiny_codec, marked, style):
    filled = fill(tiny_codec, marked, prompt={"style": style})

    assert filled.texts == [marked.split("<|")[1].split("|>")[0]]
    assert filled.infill.reason is None
    best = filled.infill.candidates[0]
    assert best.confidence > 0.9
    assert len(best.confidences) == len(best.text)


@pytest.mark.parametrize("anchor", [4, 16])
@pytest.mark.parametrize(
    "marked",
    [
        AREA,
        "def area(self, rad<|ius):\n    return 3.14 * rad|>ius ** 2\n",
        "def area(self, radius):\n    <|return 3.14|>\n\n\ndef side(self):\n    pass\n",
    ],
)
def test_beyond_the_longest_lane_the_text_is_cut_where_it_meets_the_suffix(
    tiny_codec, marked, anchor
):
    filled = fill(
        tiny_codec,
        marked,
        prompt={"right_anchor_tokens": anchor},
        length=OPEN,
    )

    assert filled.texts == [marked.split("<|")[1].split("|>")[0]]


@pytest.mark.parametrize("marked", [LONG, LONG_AND_WIDE], ids=["ascii", "wide"])
@pytest.mark.parametrize("block_tokens", [16, 19, 40])
def test_a_long_span_goes_block_by_block(tiny_codec, marked, block_tokens):
    filled = fill(
        tiny_codec,
        marked,
        max_tokens=400,
        length=OPEN,
        engine={"block_tokens": block_tokens},
    )

    assert filled.texts[0] == marked.split("<|")[1].split("|>")[0]
    # Every prompt goes on from the one before.
    for earlier, later in itertools.pairwise(filled.denoiser.prompts):
        assert later[: len(earlier)] == earlier


@pytest.mark.parametrize("budget", range(22, 27))
def test_nothing_is_offered_that_ends_inside_a_character(tiny_codec, budget):
    filled = fill(tiny_codec, LONG_AND_WIDE, max_tokens=budget, may_be_empty=False)

    assert filled.texts
    assert not any("\ufffd" in text for text in filled.texts)


@pytest.mark.parametrize("job", [{}, {"replaced": "radius * 3.14 " * 30}, {"span_tokens": 90}])
def test_no_canvas_is_longer_than_the_model_was_trained_on(tiny_codec, job):
    filled = fill(
        tiny_codec,
        LONG,
        sampler={"max_denoising_steps": 2},
        denoiser=ScriptedDenoiser(tiny_codec, canvas_length=40),
        max_tokens=100,
        **job,
    )

    assert max(len(lane) for lanes in filled.denoiser.canvases for lane in lanes) <= 40


def test_goes_beyond_the_lanes_only_where_the_longest_of_them_wins(tiny_codec):
    settings = {"lengths": (4, 5, 6, 16), "keep_after": ((1, 2), (2, 1))}
    filled = fill(tiny_codec, AREA, length=settings)

    assert filled.texts == ["3.14 * radius"]
    # 6 free positions, 1 pinned for the rest of the line, the line break and the end of turn.
    assert {len(lane) for lane in filled.denoiser.canvases[-1]} == {9}
    assert len(filled.denoiser.prompts) == 1


@pytest.mark.parametrize("budget", [3, 8, 20])
def test_the_budget_bounds_what_is_written(tiny_codec, budget):
    for length in ({}, OPEN):
        filled = fill(tiny_codec, LONG, max_tokens=budget, length=length)

        for text in filled.texts:
            assert len(tiny_codec.encode(text)) <= budget + 2


class OneByOne(ScriptedDenoiser):
    """Its lanes settle one after the other, the first one at once."""

    def logits(
        self, encoded: Any, canvas: Tensor, lengths: Sequence[int], conditioning: Any
    ) -> Tensor:
        logits = super().logits(encoded, canvas, lengths, conditioning)
        for number, lane in enumerate(logits.split(list(lengths))):
            if encoded.steps < 2 * number:
                lane *= 0.5
        return logits


def test_drafts_carry_what_the_job_would_end_with(tiny_codec):
    denoiser = OneByOne(tiny_codec, plain(AREA))
    filled = fill(
        tiny_codec,
        AREA,
        extra_candidates=30,
        length={"keep_after": ((1, 4),)},
        denoiser=denoiser,
    )

    judged = [draft.candidate for draft in filled.drafts if draft.candidate is not None]
    assert judged, "no lane settled before the others"
    for candidate in judged:
        [same] = [one for one in filled.infill.candidates if one.text == candidate.text]
        assert candidate.confidence == pytest.approx(same.confidence)
    # A lane that has settled keeps its text, so what comes later is no worse.
    scores = [candidate.score for candidate in judged]
    assert scores == sorted(scores)


def test_drafts_of_a_rewrite_are_not_judged(tiny_codec):
    filled = fill(tiny_codec, AREA, replaced="2 * radius")

    assert filled.drafts
    assert {draft.candidate for draft in filled.drafts} == {None}


def test_drafts_count_the_steps_and_end_in_the_text(tiny_codec):
    filled = fill(tiny_codec, AREA, sampler={"max_denoising_steps": 9})

    steps = [draft.step for draft in filled.drafts]
    assert steps == list(range(1, len(steps) + 1))
    assert filled.infill.steps == len(steps) == len(filled.denoiser.canvases)
    assert {draft.steps_allowed for draft in filled.drafts} == {9}
    assert filled.drafts[-1].text == filled.texts[0]
    for draft in filled.drafts:
        assert len(draft.confidence) == len(draft.text)
        assert all(0 <= sure <= 1 for sure in draft.confidence)


def test_the_time_of_each_stage_is_told(tiny_codec):
    timings = fill(tiny_codec, AREA).infill.timings_ms

    assert set(timings) == {"prompt", "encode", "denoise", "rank", "total"}
    assert timings["total"] >= sum(
        milliseconds for stage, milliseconds in timings.items() if stage != "total"
    )


def test_candidates_are_distinct_and_the_best_comes_first(tiny_codec):
    filled = fill(tiny_codec, AREA, candidates=4)

    assert len(filled.texts) == len(set(filled.texts)) == 4
    assert filled.texts[0] == "3.14 * radius"
    scores = [candidate.score for candidate in filled.infill.candidates]
    assert scores == sorted(scores, reverse=True)


def test_texts_that_coincide_are_offered_once(tiny_codec):
    filled = fill(tiny_codec, AREA, candidates=3, span_tokens=6)

    assert filled.texts == ["3.14 * radius"]


def test_the_same_job_ends_the_same(tiny_codec):
    def once(seed: int) -> tuple[list[str], list[Draft], list[list[list[int]]]]:
        filled = fill(tiny_codec, AREA, seed=seed, candidates=3)
        return filled.texts, filled.drafts, filled.denoiser.canvases

    assert once(1) == once(1)
    assert once(1)[2] != once(2)[2]


@pytest.mark.parametrize("steps_done", [0, 1, 3])
def test_a_stopped_job_makes_no_further_step(tiny_codec, steps_done):
    denoiser = ScriptedDenoiser(tiny_codec, plain(AREA))

    with pytest.raises(JobStoppedError):
        fill(
            tiny_codec,
            AREA,
            denoiser=denoiser,
            cancelled=lambda: len(denoiser.canvases) >= steps_done,
        )
    assert len(denoiser.canvases) == steps_done


@pytest.fixture
def clock(monkeypatch) -> list[Callable[[], float]]:
    """Time as a function that a test may replace."""
    now: list[Callable[[], float]] = [lambda: 0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0]())
    return now


@pytest.mark.parametrize("deadline_s", [0.0, 1.0, 2.5])
def test_at_the_deadline_the_best_there_is_becomes_the_result(tiny_codec, clock, deadline_s):
    denoiser = ScriptedDenoiser(tiny_codec, plain(AREA), certainty=(20.0,))
    clock[0] = lambda: float(len(denoiser.canvases))  # One second per step.
    filled = fill(
        tiny_codec,
        AREA,
        denoiser=denoiser,
        deadline_s=deadline_s,
        sampler={"stability_threshold": 9},
    )

    assert filled.texts == ["3.14 * radius"]
    assert filled.infill.steps == int(deadline_s) + 1


def test_a_deadline_beyond_the_lanes_does_not_lose_what_they_found(tiny_codec, clock):
    # Three steps settle the only lane; the first one beyond it knows nothing yet.
    denoiser = ScriptedDenoiser(tiny_codec, plain(AREA), certainty=(-5.0, 20.0))
    clock[0] = lambda: float(len(denoiser.canvases))
    filled = fill(tiny_codec, AREA, denoiser=denoiser, length={"lengths": (6,)}, deadline_s=3.5)

    assert filled.infill.steps == 4
    assert filled.texts == ["3.14 * radius"]


def test_a_rewrite_starts_from_the_selection(tiny_codec):
    filled = fill(
        tiny_codec, AREA, known="radius ** 3.14", replaced="radius * 3.14", strength=1e-9
    )
    starts = {
        b"".join(tiny_codec.token_bytes(i) for i in lane).decode()
        for lane in filled.denoiser.canvases[0]
        if len(lane) == len(tiny_codec.encode(" radius * 3.14 ** 2\n")) + 1
    }

    assert starts == {" radius * 3.14 ** 2\n"}
    assert filled.texts == ["radius ** 3.14"]


def test_a_rewrite_gains_nothing_by_being_longer(tiny_codec):
    plain, rewarded = (
        fill(
            tiny_codec, AREA, replaced="radius * 3.14", length={"token_reward_nats": reward}
        ).infill.candidates[0]
        for reward in (0.0, 1000.0)
    )
    assert (rewarded.text, rewarded.score) == (plain.text, plain.score)


def test_noise_is_the_share_of_the_selection_that_may_change(tiny_codec):
    selection = "radius * radius ** radius * radius"
    start = tiny_codec.encode(f" {selection}\n")

    def kept(noise: float) -> int:
        filled = fill(
            tiny_codec, f"return <|{selection}|>\n", replaced=selection, strength=noise
        )
        lanes = [one for one in filled.denoiser.canvases[0] if len(one) == len(start) + 1]
        return sum(a == b for a, b in zip(lanes[0], start, strict=False))

    assert kept(1e-9) == len(start)
    assert 2 < kept(0.5) < len(start)
    # The line break is healed, so it stays.
    assert kept(1.0) <= 2


@pytest.mark.parametrize("seed", [0, 1, 7])
@pytest.mark.parametrize("canvas_length", [48, 24])
def test_what_is_noise_at_one_strength_is_the_same_noise_at_all_higher_ones(
    tiny_codec, seed, canvas_length
):
    selection = "radius * radius ** radius * radius + radius - radius"

    def started(strength: float) -> tuple[int, ...]:
        filled = fill(
            tiny_codec,
            f"return <|{selection}|>\n",
            replaced=selection,
            strength=strength,
            seed=seed,
            canvas_length=canvas_length,
        )
        return tuple(filled.denoiser.canvases[0][0])

    original, noise = started(1e-9), started(1.0)
    changed: set[int] = set()
    for strength in (0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0):
        start = started(strength)
        now = {at for at, token in enumerate(start) if token != original[at]}
        assert changed <= now
        assert all(start[at] == noise[at] for at in now)
        changed = now
    assert len(changed) > len(original) // 2


@pytest.mark.parametrize("words", [1, 5, 15, 20, 23, 24, 25, 31, 48, 49, 64, 65, 97, 150])
def test_a_selection_of_any_length_may_come_back_as_it_was(tiny_codec, words):
    selection = " *".join([" radius"] * words)
    filled = fill(
        tiny_codec,
        f"def area(self, radius):\n    return<|{selection}|>\n\n\ndef side(self):\n    pass\n",
        replaced=selection,
        strength=0.3,
        canvas_length=48,
    )

    assert filled.texts[0] == selection


def test_a_long_rewrite_may_repeat_what_stands_after_it(tiny_codec):
    line = "    return self.radius\n\n\n"
    selection = "".join(f"def side_{n}(self):\n{line}" for n in range(9))
    filled = fill(
        tiny_codec,
        f"import math\n\n\n<|{selection}|>def side_0(self):\n{line}",
        replaced=selection,
        strength=0.3,
    )

    assert filled.texts[0] == selection


def test_the_drafts_of_a_long_rewrite_say_how_far_it_is(tiny_codec):
    selection = "".join(f"side_{n} = self.radius * {n}\n    " for n in range(9))
    filled = fill(
        tiny_codec,
        f"def area(self):\n    <|{selection}|>return 3.14\n",
        replaced=selection,
        strength=0.3,
        canvas_length=48,
    )

    drafts = filled.drafts
    blocks = drafts[-1].blocks
    assert blocks > 2
    assert [*dict.fromkeys(draft.block for draft in drafts)] == [*range(1, blocks + 1)]
    shares = [draft.share_done for draft in drafts]
    assert shares == sorted(shares)
    assert 0.0 < shares[0] < 1.0 / blocks < (blocks - 1) / blocks < shares[-1] <= 1.0
    for draft in drafts:
        # What was not reached yet is still the old text, of which nothing is known.
        untouched = draft.text[len(draft.text) - draft.confidence.count(0.0) :]
        assert selection.endswith(untouched)
        if draft.block in (1, blocks):
            assert bool(untouched) == (draft.block == 1)
        assert len(draft.confidence) == len(draft.text)


def test_a_deadline_in_a_long_rewrite_does_not_lose_the_rest_of_the_text(tiny_codec, clock):
    selection = "".join(f"side_{n} = self.radius * {n}\n    " for n in range(9))
    text = f"def area(self):\n    {selection}return 3.14\n"
    denoiser = ScriptedDenoiser(tiny_codec, text, canvas_length=48)
    clock[0] = lambda: float(len(denoiser.canvases))
    filled = fill(
        tiny_codec,
        f"def area(self):\n    <|{selection}|>return 3.14\n",
        replaced=selection,
        strength=1e-9,
        denoiser=denoiser,
        deadline_s=0.5,
    )

    assert filled.texts[0] == selection


def test_a_span_of_known_length_is_not_searched_for(tiny_codec):
    length = len(tiny_codec.encode(" 3.14 * radius **"))
    filled = fill(tiny_codec, AREA, span_tokens=length)

    assert filled.texts == ["3.14 * radius"]
    assert {len(lanes) for lanes in filled.denoiser.canvases} == {1}


@pytest.mark.parametrize("replaced", [None, "1\r\n    + 2"])
def test_crlf_documents_are_read_with_plain_line_ends(tiny_codec, replaced):
    marked = "def area(self, radius):\r\n    <|x = 3.14|>\r\n    return x\r\n"
    filled = fill(tiny_codec, marked, replaced=replaced)

    assert filled.texts == ["x = 3.14"]
    for ids in filled.denoiser.prompts:
        assert b"\r" not in b"".join(tiny_codec.token_bytes(i) for i in ids)


def test_nothing_to_write_is_said(tiny_codec):
    filled = fill(tiny_codec, "return <||>3.14\n")

    assert (filled.texts, filled.infill.reason) == (
        [],
        NOTHING_MISSING,
    )


def test_what_is_not_sure_enough_is_not_offered(tiny_codec):
    def offered(certainty: float) -> Filled:
        denoiser = ScriptedDenoiser(tiny_codec, plain(AREA), certainty=(certainty,))
        return fill(tiny_codec, AREA, denoiser=denoiser, engine={"min_confidence": 0.9})

    assert offered(20.0).texts == ["3.14 * radius"]
    unsure = offered(1.0)
    assert unsure.texts == []
    assert unsure.infill.reason.code is ReasonCode.LOW_CONFIDENCE


def test_a_user_who_insists_gets_a_text(tiny_codec):
    filled = fill(tiny_codec, "return <||>3.14\n", may_be_empty=False)

    assert filled.texts
    assert filled.infill.reason is None
