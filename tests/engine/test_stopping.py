"""When a lane is settled, step by step."""

from __future__ import annotations

import pytest
import torch

from dg_lsp.config import SamplerSettings
from dg_lsp.engine.stopping import Stopping

SURE, UNSURE = [0.001, 0.003], [0.001, 2.0]
A, B = [5, 6], [5, 7]


def settled(steps: list[tuple[list[int], list[float]]], **changes) -> list[bool]:
    stopping = Stopping(SamplerSettings(confidence_threshold=0.005, **changes))
    return [
        stopping.settled(torch.tensor(argmax), torch.tensor(entropy))
        for argmax, entropy in steps
    ]


@pytest.mark.parametrize(
    ("stable_steps", "steps", "expect"),
    [
        (1, [(A, SURE), (A, SURE)], [False, True]),
        (1, [(A, SURE), (B, SURE), (B, SURE)], [False, False, True]),
        (1, [(A, UNSURE), (A, UNSURE), (A, SURE)], [False, False, True]),
        (1, [(A, SURE), (A, UNSURE), (A, SURE)], [False, False, True]),
        (2, [(A, SURE), (A, SURE), (A, SURE)], [False, False, True]),
        (2, [(A, SURE), (A, SURE), (B, SURE), (A, SURE)], [False] * 4),
        (2, [(B, SURE), (A, SURE), (A, SURE), (A, SURE)], [False, False, False, True]),
        (0, [(A, UNSURE), (B, SURE)], [False, True]),
        (1, [(A, [0.0, 0.0101]), (A, [0.0, 0.0101])], [False, False]),
        (1, [(A, [0.0, 0.0099]), (A, [0.0, 0.0099])], [False, True]),
    ],
)
def test_settles_when_stable_and_sure(stable_steps, steps, expect):
    assert settled(steps, stability_threshold=stable_steps) == expect


def test_a_canvas_that_is_written_in_place_is_seen_to_change():
    stopping = Stopping(SamplerSettings(confidence_threshold=1.0))
    argmax, entropy = torch.tensor(A), torch.tensor(SURE)
    stopping.settled(argmax, entropy)
    argmax[1] = 7

    assert not stopping.settled(argmax, entropy)
