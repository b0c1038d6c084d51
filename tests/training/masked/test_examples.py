"""Examples of the masked objective, read back as the text that they were cut from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dg_lsp.training.corpus import SourceFile
from dg_lsp.training.masked.corruption import IGNORED
from dg_lsp.training.masked.examples import Batch, ExampleMaker, Shape
from dg_lsp.training.masked.shape import BOS, EOS, EXPAND, MASK, PAD

# Short enough that no budget cuts it, so that the whole file can be found in the example.
TEXT = (
    "def area(self, radius):\n    return 3.14 * radius ** 2\n\n\n"
    "def side(self, area):\n    # naïve\n    return area ** 0.5\n"
)
LONG = Shape(suffix=200)
ROWS = 32


def maker(codec, shape: Shape = LONG, causal_share: float = 0.25) -> ExampleMaker:
    files = [SourceFile("stdlib/shapes.py", TEXT, "stdlib")]
    return ExampleMaker(files, codec, shape, 7, causal_share)


@pytest.fixture(scope="module")
def batch(tiny_codec) -> Batch:
    return maker(tiny_codec).batch(step=3, size=ROWS)


def restored(batch: Batch, row: int) -> list[int]:
    ids, targets = batch.ids[row], batch.targets[row]
    known = np.where(targets == IGNORED, ids, targets)
    return known[: batch.lengths[row]].tolist()


def text_of(codec, ids) -> str:
    return b"".join(codec.token_bytes(i) for i in ids).decode(errors="replace")


def test_an_infill_is_the_document_with_masked_spans(tiny_codec, batch):
    whole = 0
    for row in range(ROWS // 4, ROWS):
        ids = restored(batch, row)
        assert ids[0] == BOS
        assert MASK in batch.ids[row]
        if EXPAND in ids:
            continue
        text = text_of(tiny_codec, ids)
        assert TEXT.startswith(text)
        # The end of the document is marked; elsewhere that token deletes a position.
        assert (batch.ids[row, batch.lengths[row] - 1] == EOS) or text != TEXT
        whole += text == TEXT
    assert whole > 5


def test_a_causal_example_has_every_next_token_as_a_target(tiny_codec, batch):
    assert batch.causal.tolist() == [True] * (ROWS // 4) + [False] * (ROWS - ROWS // 4)
    for row in range(ROWS // 4):
        count = batch.lengths[row]
        assert (batch.ids[row, 1:count] == batch.targets[row, 1:count]).all()
        assert text_of(tiny_codec, restored(batch, row)) in TEXT


def test_padding_has_no_target(batch):
    for row in range(ROWS):
        beyond = slice(int(batch.lengths[row]), None)
        assert (batch.ids[row, beyond] == PAD).all()
        assert (batch.targets[row, beyond] == IGNORED).all()
        assert (batch.weights[row, beyond] == 0).all()
    assert (batch.targets[:, 0] == IGNORED).all()


def test_examples_that_are_too_long_lose_the_start_of_the_prefix(tiny_codec):
    short = Shape(sequence=48, suffix=16, window=12, max_more=40)
    for step in range(20):
        small = maker(tiny_codec, short, causal_share=0.0).batch(step, 8)
        assert (small.lengths <= 48).all()
        assert (small.ids[:, 0] == BOS).all()
        assert ((small.targets != IGNORED).sum(axis=1) > 0).all()


def test_a_batch_depends_on_seed_and_step_alone(tiny_codec, batch):
    again = maker(tiny_codec).batch(step=3, size=ROWS)
    other = maker(tiny_codec).batch(step=4, size=ROWS)

    for field in dataclasses.fields(Batch):
        assert (getattr(again, field.name) == getattr(batch, field.name)).all()
    assert (other.ids != batch.ids).any()
