"""Departures: where they are found, and that both starts fill the same span."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dg_lsp.evaluation import departures as module
from dg_lsp.evaluation.departures import departures, fill
from dg_lsp.evaluation.methods import Outcome
from dg_lsp.evaluation.spans import TrueSpan
from dg_lsp.job import Earlier

SPAN = TrueSpan("a.py", "x = ", "\n", "self.cats.pop(0)", "rest of line")
MODEL = SimpleNamespace(settings=None)


@pytest.fixture
def shown(monkeypatch):
    """The next suggestion and its confidence; the jobs that were asked."""
    jobs, answer = [], ["", 0.5]

    def infiller(settings, job, model):
        jobs.append(job)
        return Outcome(answer[0], answer[1], 1, 1.0, 1.0)

    monkeypatch.setattr(module, "infiller", infiller)
    answer.append(jobs)
    return answer


@pytest.mark.parametrize(
    ("suggested", "confidence", "left", "earlier"),
    [
        ("self.dogs.pop()", 0.5, "ats.pop(0)", Earlier("ogs.pop()", 3)),
        ("self.dogs.pop()", 0.1, None, None),
        ("self.cats", 0.5, None, None),
        ("self.cats.pop(1)", 0.5, ")", Earlier(")", 0)),
        ("", 0.5, None, None),
    ],
)
def test_the_user_types_until_a_character_differs(shown, suggested, confidence, left, earlier):
    shown[:2] = suggested, confidence
    found = departures(MODEL, [SPAN], 0.2)

    assert [(one.span.text, one.earlier) for one in found] == (
        [] if left is None else [(left, earlier)]
    )
    assert all(one.span.prefix + one.span.text == SPAN.prefix + SPAN.text for one in found)


def test_only_a_warm_start_has_the_suggestion(shown):
    shown[:2] = "self.dogs.pop()", 0.5
    [one] = departures(MODEL, [SPAN], 0.2)
    for is_warm in (False, True):
        fill(MODEL, one, is_warm=is_warm)

    cold, warm = shown[2][-2:]
    assert (cold.earlier, warm.earlier) == (None, one.earlier)
    assert (cold.prefix, cold.suffix) == (warm.prefix, warm.suffix)
