"""Which rungs of a ladder are left after the GPU was lost."""

from __future__ import annotations

import pytest

from dg_lsp.models import ladder
from dg_lsp.models.gemma.ladder import LADDER
from dg_lsp.models.qwen2.ladder import PACKED, UNPACKED
from dg_lsp.reason import ReasonCode

FUSED, CAPTURED, EAGER, PLAIN = LADDER


@pytest.fixture(autouse=True)
def nothing_lost_before(monkeypatch):
    monkeypatch.setattr(ladder, "_lost_as", frozenset())


@pytest.mark.parametrize(
    ("rungs", "lost_as", "left"),
    [
        (LADDER, [], LADDER),
        # Not the other way in graphs either: an error comes late, and could be any graph's.
        (LADDER, [FUSED.name], (EAGER, PLAIN)),
        (LADDER, [CAPTURED.name], (EAGER, PLAIN)),
        (LADDER, [EAGER.name], (PLAIN,)),
        (LADDER, [FUSED.name, EAGER.name], (PLAIN,)),
        # There is nothing below.
        (LADDER, [PLAIN.name], LADDER),
        (LADDER, [""], LADDER),
        (LADDER, ["a way of another version"], LADDER),
        (PACKED, ["steps in graphs"], PACKED[1:]),
        (UNPACKED, ["steps in graphs"], (PLAIN,)),
    ],
)
def test_the_next_engine_computes_in_another_way(rungs, lost_as, left):
    ladder.avoid(lost_as)
    found, avoided = ladder.left_of(rungs)

    assert found == left
    notes = ladder.notes_of(found[0], avoided)
    assert [note.code for note in notes] == ([] if left == rungs else [ReasonCode.GPU_LOST])
    assert all(found[0].name in note.message for note in notes)
