"""Rows that start from a text found elsewhere, beside the engine's lanes that do."""

from __future__ import annotations

import numpy as np
import pytest

from dg_lsp.config import PromptSettings, PromptStyle, SeedSettings
from dg_lsp.document.seeds import find_seeds
from dg_lsp.engine.conversation import build_prompt
from dg_lsp.engine.prompt import Prompt, healed_ids
from dg_lsp.job import InfillJob
from dg_lsp.training import examples
from dg_lsp.training.corpus import SourceFile
from dg_lsp.training.examples import ExampleMaker, Shape
from dg_lsp.training.seeding import differing, seeded_start
from tests.engine.test_infilling import fill

BEFORE = (
    "def area(radius):\n    check(radius)\n    return 3.14 * radius\n\n\n"
    "def volume(height):\n    check(height)\n    return 4.19 * height\n\n\n"
)
LENGTH = BEFORE + "def length(radius):\n    "
# In these tokens, 6.28 is as long as 4.19 and longer than 3.14, which is the better seed.
SPANS = [
    (LENGTH + "check(radius)\n    return <|6.28 * radius|>\n", "4.19 * radius"),
    (LENGTH + "check(radius)\n    return <|6.28|> * radius\n", "4.19"),
    (LENGTH + "<|check(radius)|>\n    return 6.28 * radius\n", "check(radius)"),
]
SETTINGS = PromptSettings(style=PromptStyle.BARE)


def asked(codec, marked: str) -> tuple[InfillJob, str, Prompt, list[int]]:
    """A job, the text of its span, its prompt, and the span's ids."""
    prefix, rest = marked.split("<|")
    span, suffix = rest.split("|>")
    job = InfillJob(prefix, suffix)
    prompt = build_prompt(job, codec, SETTINGS)
    return job, span, prompt, healed_ids(prompt, codec, span)


@pytest.mark.parametrize(("marked", "seed"), SPANS)
def test_a_seeded_canvas_is_the_lane_of_the_best_seed_of_its_length(tiny_codec, marked, seed):
    job, _, prompt, ids = asked(tiny_codec, marked)
    rng = np.random.default_rng(1)
    start = seeded_start(job, (job.prefix, job.suffix), prompt, tiny_codec, ids, rng)
    filled = fill(
        tiny_codec,
        marked,
        seeds=find_seeds(job.prefix, job.suffix),
        engine={"seeds": SeedSettings(lanes=4)},
    )

    assert start == healed_ids(prompt, tiny_codec, seed)
    assert len(start) == len(ids)
    lanes = filled.denoiser.canvases[0][-4:]
    assert [*start, *prompt.right_anchor, *prompt.closing] in lanes


def test_where_nothing_is_found_the_true_text_is_changed(tiny_codec):
    marked = "def area(self, radius):\n    return <|3.14 * self.radius|> ** 2\n"
    _, _, prompt, ids = asked(tiny_codec, marked)
    known = {*ids, *prompt.ids} - set(tiny_codec.control.disallowed)

    starts = [
        differing(ids, prompt, tiny_codec, np.random.default_rng(seed)) for seed in range(50)
    ]
    assert sum(start != ids for start in starts) > 40
    assert len({tuple(start) for start in starts}) > 30
    for start in starts:
        assert len(start) == len(ids)
        assert (start[0], start[-1]) == (ids[0], ids[-1])
        assert set(start) <= known


def test_what_is_typed_on_both_sides_is_never_changed(tiny_codec):
    job = InfillJob("ra", "us")
    prompt = build_prompt(job, tiny_codec, SETTINGS)
    ids = healed_ids(prompt, tiny_codec, "di")[:2]

    assert differing(ids, prompt, tiny_codec, np.random.default_rng(1)) == ids


def test_half_of_the_seeded_rows_start_unnoised_and_the_others_renoised_in_part(
    tiny_codec, monkeypatch
):
    starts: list[list[int]] = []

    def recorded(*arguments):
        starts.append(seeded_start(*arguments))
        return starts[-1]

    monkeypatch.setattr(examples, "seeded_start", recorded)
    file = SourceFile("stdlib/shapes.py", BEFORE * 3, "stdlib")
    maker = ExampleMaker([file], tiny_codec, Shape(), seed=3, seeded_share=0.75)
    batch = maker.batch(step=0, size=64)

    assert 40 <= len(starts) <= 56
    rows = [
        batch.canvas[row, 0][~batch.pinned[row, 0]].tolist() for row in range(len(batch.ids))
    ]
    unnoised = sum(start in rows for start in starts)
    assert 0.4 * len(starts) < unnoised < len(starts)


def test_a_seeded_row_learns_the_true_text(tiny_codec):
    file = SourceFile("stdlib/shapes.py", BEFORE * 3, "stdlib")
    maker = ExampleMaker([file], tiny_codec, Shape(), seed=3, seeded_share=1.0)
    batch = maker.batch(step=0, size=16)

    corrected = 0
    for row in range(len(batch.ids)):
        free = ~batch.pinned[row, 0]
        target = batch.targets[row, 0][free]
        cut = batch.cuts[row, 0]
        assert target.tolist() == batch.ids[row, cut : cut + len(target)].tolist()
        corrected += bool((batch.canvas[row, 0][free] != target).any())
    assert corrected > 4
