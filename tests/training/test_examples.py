"""Training examples, read back as the prompts and canvases of the engine."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.config import PromptSettings, PromptStyle
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.conversation import build_prompt
from dg_lsp.engine.prompt import Prompt, healed_ids
from dg_lsp.job import InfillJob
from dg_lsp.training.corpus import SourceFile
from dg_lsp.training.examples import IGNORED, LANGUAGES, Batch, ExampleMaker, Shape, draw_span

# Short enough that no budget cuts it, so that the whole file can be found in the example.
TEXT = (
    "def area(self, radius):\n    return 3.14 * radius ** 2\n\n\n"
    "def side(self, area):\n    # naïve\n    return area ** 0.5\n"
)
SHAPE = Shape()
ROWS = 32


@pytest.fixture(scope="module")
def maker(tiny_codec) -> ExampleMaker:
    return ExampleMaker([SourceFile("stdlib/shapes.py", TEXT, "stdlib")], tiny_codec, SHAPE, 7)


@pytest.fixture(scope="module")
def batch(maker) -> Batch:
    return maker.batch(step=3, size=ROWS)


def text_of(codec: Codec, ids) -> str:
    return b"".join(codec.token_bytes(int(i)) for i in ids).decode(errors="replace")


def prompts_of(codec: Codec, batch: Batch, row: int) -> list[Prompt]:
    """The engine's prompts for all cursors in the file that give the first canvas of a row."""
    control = codec.control
    ids = batch.ids[row, : batch.cuts[row, 0]].tolist()
    target = batch.targets[row, 0]
    free = target[~batch.pinned[row, 0]].tolist()
    tail = target[batch.pinned[row, 0] & (target != IGNORED)].tolist()
    header = codec.encode("user\nshapes.py\n")
    user = ids[ids.index(control.turn_start) + 1 : ids.index(control.turn_end)]
    assert user[: len(header)] == header
    shown = user[len(header) :]
    turn = len(ids) - ids[::-1].index(control.turn_start)
    known = len(text_of(codec, ids[turn:]).removeprefix("model\n"))
    limits = PromptSettings(
        style=PromptStyle.BARE,
        suffix_tokens=len(shown),
        right_anchor_tokens=SHAPE.anchor if control.turn_end in tail else len(tail),
    )
    matching = []
    for start in range(known, min(len(TEXT), known + 20) + 1):
        for end in range(start, len(TEXT) + 1):
            suffix = TEXT[end:] if shown else ""
            if not suffix.startswith(text_of(codec, shown).rstrip("\ufffd")):
                continue
            job = InfillJob(TEXT[:start], suffix, "stdlib/shapes.py", "python")
            prompt = build_prompt(job, codec, limits)
            pinned = [*prompt.right_anchor, *prompt.closing][: SHAPE.canvas - len(free)]
            if (
                list(prompt.ids) == ids
                and healed_ids(prompt, codec, TEXT[start:end]) == free
                and pinned == tail
            ):
                matching.append(prompt)
    return matching


@pytest.fixture(scope="module")
def prompts(tiny_codec, batch) -> list[list[Prompt]]:
    return [prompts_of(tiny_codec, batch, row) for row in range(ROWS)]


def test_the_first_canvas_is_what_the_engine_would_build(tiny_codec, batch, prompts):
    for row, matching in enumerate(prompts):
        assert matching, f"no cursor in the file gives row {row}"
        # The encoder reads on through the true span and what follows it.
        target = batch.targets[row, 0]
        told = [*matching[0].ids, *target[target != IGNORED].tolist()]
        assert batch.ids[row, : len(told)].tolist() == told
        assert set(batch.ids[row, len(told) :]) <= {tiny_codec.control.pad}
        assert batch.labels[row, : len(told) - 1].tolist() == told[1:]
        assert set(batch.labels[row, len(told) - 1 :]) == {IGNORED}


def test_healed_positions_hold_the_true_token_or_what_is_typed(batch, prompts):
    typed = 0
    for row, matching in enumerate(prompts):
        free = ~batch.pinned[row, 0]
        canvas, target = batch.canvas[row, 0][free], batch.targets[row, 0][free]
        if len(target) < 2:
            continue
        for position, tokens in (
            (0, {prompt.left_tokens[:1] for prompt in matching}),
            (-1, {prompt.right_tokens[-1:] for prompt in matching}),
        ):
            if () not in tokens and canvas[position] != target[position]:
                assert (canvas[position],) in tokens
                typed += 1
    assert typed > 3


def test_only_free_positions_are_noised_and_never_with_control_tokens(tiny_codec, batch):
    shown = batch.targets != IGNORED
    known = batch.pinned & shown
    assert np.array_equal(batch.canvas[known], batch.targets[known])
    assert np.all(batch.canvas[~shown] == tiny_codec.control.pad)
    changed = (batch.canvas != batch.targets) & shown
    assert changed.any()
    assert not np.isin(batch.canvas[changed], tiny_codec.control.disallowed).any()


def test_weights_say_free_pinned_or_padding(batch):
    shown = batch.targets != IGNORED

    assert np.all(batch.weights[~batch.pinned] == 1.0)
    assert np.all(batch.weights[batch.pinned & shown] == np.float32(0.1))
    assert np.all(batch.weights[~shown] == 0.0)
    # Padding is pinned: it has no say in self-conditioning.
    assert np.all(batch.pinned[~shown])


def test_later_canvases_go_on_where_they_cut_the_sequence(batch):
    for row in range(ROWS):
        for index in range(1, SHAPE.canvases):
            cut = batch.cuts[row, index]
            target = batch.targets[row, index]
            count = int((target != IGNORED).sum())
            assert 0 < cut < batch.cuts[row, 0]
            assert 0 < count <= SHAPE.canvas
            assert target[:count].tolist() == batch.ids[row, cut : cut + count].tolist()
            free = ~batch.pinned[row, index]
            assert free[: int(free.sum())].all()


def test_free_spans_fit_the_shape(batch):
    free = (~batch.pinned[:, 0]).sum(axis=1)

    assert free.min() >= 1
    assert free.max() <= SHAPE.max_free
    # Short ones and long ones both come up.
    assert len(set(free.tolist())) > 6


def test_a_batch_depends_on_seed_and_step_alone(tiny_codec, maker, batch):
    def equal(one: Batch, other: Batch) -> bool:
        return all(
            np.array_equal(getattr(one, field.name), getattr(other, field.name))
            for field in dataclasses.fields(Batch)
        )

    file = SourceFile("stdlib/shapes.py", TEXT, "stdlib")
    assert equal(maker.batch(3, ROWS), batch)
    assert equal(ExampleMaker([file], tiny_codec, SHAPE, 7).batch(3, ROWS), batch)
    assert not equal(maker.batch(4, ROWS), batch)
    assert not equal(ExampleMaker([file], tiny_codec, SHAPE, 8).batch(3, ROWS), batch)
    seeded = ExampleMaker([file], tiny_codec, SHAPE, 7, seeded_share=0.5).batch(3, ROWS)
    again = ExampleMaker([file], tiny_codec, SHAPE, 7, seeded_share=0.5).batch(3, ROWS)
    assert equal(seeded, again)
    assert not equal(seeded, batch)


def test_long_files_fill_the_sequence_and_no_more(tiny_codec):
    file = SourceFile("stdlib/shapes.py", TEXT * 40, "stdlib")
    batch = ExampleMaker([file], tiny_codec, SHAPE, 1).batch(0, 16)

    lengths = (batch.labels != IGNORED).sum(axis=1) + 1
    assert lengths.max() <= SHAPE.sequence
    assert np.median(lengths) > SHAPE.sequence // 2
    assert np.all(batch.cuts <= SHAPE.sequence)


@settings(deadline=None)
@given(text=st.text("ab_ \t\n().é漢", min_size=1, max_size=60), seed=st.integers(0, 2**32 - 1))
def test_spans_lie_in_the_text(text, seed):
    start, end = draw_span(text, np.random.default_rng(seed))

    assert 0 <= start <= end <= len(text)


def test_each_language_has_its_share_however_much_text_there_is(tiny_codec):
    files = [
        SourceFile("stdlib/shapes.py", TEXT * 9, "stdlib"),
        SourceFile("npm shapes/shapes.ts", TEXT, "npm shapes"),
        SourceFile("neovim/shapes.lua", TEXT, "neovim"),
    ]
    batch = ExampleMaker(files, tiny_codec, SHAPE, 7).batch(step=0, size=256)

    shown = [text_of(tiny_codec, ids) for ids in batch.ids]
    share = {
        suffix: sum(f"user\nshapes.{suffix}\n" in text for text in shown) / len(shown)
        for suffix in ("py", "ts", "lua")
    }
    assert sum(share.values()) == 1
    assert share["ts"] == pytest.approx(LANGUAGES["typescript"], abs=0.06)
    assert share["lua"] == pytest.approx(LANGUAGES["lua"], abs=0.05)
