"""Holes: how they are cut out, and what each way of filling them sees."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dg_lsp.evaluation import holes as module
from dg_lsp.evaluation.holes import (
    GAP_WORDS,
    MOST_CHARS,
    WAYS,
    Filled,
    TrueHoles,
    draw_holes,
    holes_table,
    summarize,
)
from dg_lsp.evaluation.methods import Outcome
from dg_lsp.job import Candidate
from dg_lsp.training.corpus import SourceFile

TEXT = "def area(self, width, height):\n    result = width * height\n    return result\n" * 20
CASE = TrueHoles("a.py", ("x = ", "\ny = ", " + ", "\n"), ("1", "x", "2"))
MODEL = SimpleNamespace(settings=None)


@pytest.fixture
def jobs(monkeypatch):
    """The jobs that are asked; each one is filled with its number."""
    asked = []

    def infiller(settings, job, model):
        asked.append(job)
        text = str(len(asked))
        segments = tuple(text for _ in range(len(job.pinned) + 1)) if job.pinned else ()
        return Outcome(text, 0.5, 3, 1.0, 1.0, (Candidate(text, 0.5, 0.0, segments=segments),))

    monkeypatch.setattr(module, "infiller", infiller)
    return asked


@pytest.mark.parametrize("count", [2, 3])
def test_spans_near_each_other_are_cut_out(count):
    drawn = draw_holes([SourceFile("a.py", TEXT, "a")], count, 30, seed=1)

    assert drawn == draw_holes([SourceFile("a.py", TEXT, "a")], count, 30, seed=1)
    for case in drawn:
        assert case.outside[0] + case.joined(case.texts) + case.outside[-1] == TEXT
        assert len(case.joined(case.texts)) <= MOST_CHARS
        assert all(one == one.strip() != "" for one in case.texts)
        assert all(one.strip() for one in case.outside[1:-1])
    assert GAP_WORDS[0] >= 1


def test_jointly_is_one_job_that_pins_what_is_between(jobs):
    filled = WAYS["jointly"](MODEL, CASE)

    [job] = jobs
    assert (job.prefix, job.suffix) == ("x = ", "\n")
    assert [one.text for one in job.pinned] == ["\ny = ", " + "]
    assert filled.texts == ("1", "1", "1")
    assert job.all_seeds == ()


def test_jointly_with_seeds_each_hole_has_those_of_its_own_neighbours(jobs):
    text = "first = one\nlast = two\n"
    case = TrueHoles("a.py", (f"{text}first = ", "\nlast = ", "\n"), ("one", "two"))
    WAYS["jointly, seeds"](MODEL, case)

    [job] = jobs
    assert [one.text for one in job.pinned] == ["\nlast = "]
    assert [[seed.text for seed in one][:1] for one in job.segment_seeds] == [["one"], ["two"]]


@pytest.mark.parametrize(
    ("way", "around", "texts"),
    [
        (
            "first to last",
            [("x = ", "\ny =  + \n"), ("x = 1\ny = ", " + \n"), ("x = 1\ny = 2 + ", "\n")],
            ("1", "2", "3"),
        ),
        (
            "last to first",
            [("x = \ny =  + ", "\n"), ("x = \ny = ", " + 1\n"), ("x = ", "\ny = 2 + 1\n")],
            ("3", "2", "1"),
        ),
        (
            "the others known",
            [("x = ", "\ny = x + 2\n"), ("x = 1\ny = ", " + 2\n"), ("x = 1\ny = x + ", "\n")],
            ("1", "2", "3"),
        ),
    ],
)
def test_in_turn_each_sees_those_before_it(jobs, way, around, texts):
    filled = WAYS[way](MODEL, CASE)

    assert [(job.prefix, job.suffix) for job in jobs] == around
    assert filled.texts == texts
    assert filled.steps == 9


def test_the_table_has_a_line_for_each_way():
    right, wrong = Filled(("1", "x", "2"), 6, 10.0), Filled(("1", "y", "2"), 4, 20.0)

    row = summarize("jointly", 3, [(CASE, right), (CASE, wrong)])

    assert (row.all_exact, row.cases, row.steps) == (0.5, 2, 5)
    assert row.exact == pytest.approx(5 / 6)
    assert row.parses == 1.0
    table = holes_table([row])
    assert "| 3 | jointly | 2 | 50.0% | 83.3% |" in table
