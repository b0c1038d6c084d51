"""Wrong words: where they are put, and where the right ones are found."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dg_lsp.engine.alternatives import shares_of
from dg_lsp.evaluation import alternatives as module
from dg_lsp.evaluation.alternatives import (
    Found,
    WrongWord,
    calibration_error,
    fitted_temperature,
    look,
    wrong_words,
)
from dg_lsp.evaluation.spans import TrueSpan
from dg_lsp.job import Candidate, Infill
from dg_lsp.training.corpus import SourceFile

FILE = SourceFile("a.py", "total = width * height + total\n", "a")
WRONG = WrongWord(TrueSpan("a.py", "total = width * ", "\n", "height", "word"), "total")


def test_another_word_of_the_file_is_in_the_place_of_a_word():
    found = wrong_words([FILE], 20, 1)

    assert found == wrong_words([FILE], 20, 1)
    for one in found:
        assert one.span.prefix + one.span.text + one.span.suffix == FILE.text
        assert one.span.text != one.wrong
        assert {one.span.text, one.wrong} <= {"total", "width", "height"}


@pytest.mark.parametrize(
    ("texts", "rank", "probability", "is_kept"),
    [
        (["height", "total", "depth"], 0, 0.5, False),
        (["total", "depth", "height"], 1, 0.3, True),
        (["total", "depth"], None, 0.3, True),
        (["total"], None, 0.0, True),
    ],
)
def test_where_the_right_word_is(monkeypatch, texts, rank, probability, is_kept):
    shares = (0.5, 0.3, 0.2)
    candidates = tuple(
        Candidate(text, share, 0.0) for text, share in zip(texts, shares, strict=False)
    )
    asked = []

    def answer(job, *model):
        asked.append(job)
        return Infill(candidates, 1)

    monkeypatch.setattr(module, "alternatives", answer)
    settings = SimpleNamespace(alternatives_temperature=1.0)
    model = SimpleNamespace(denoiser=None, codec=None, family=lambda: None, settings=settings)
    found = look(model, WRONG)

    assert (found.rank, found.probability, found.is_kept) == (rank, probability, is_kept)
    [job] = asked
    assert (job.prefix, job.replaced, job.suffix) == ("total = width * ", "total", "\n")


def found(is_right: bool, probability: float, scores: tuple[float, ...] = ()) -> Found:
    return Found(0 if is_right else None, probability, False, 1.0, scores)


@pytest.mark.parametrize("right", [4, 6, 9])
def test_at_the_fitted_temperature_the_first_is_said_to_be_right_as_often_as_it_is(right):
    scores = [(-1.0, -4.0 - at, -9.0) for at in range(10)]
    temperature = fitted_temperature(
        [found(at < right, 0.9, one) for at, one in enumerate(scores)]
    )

    said = sum(shares_of(one, temperature)[0] for one in scores)
    assert said == pytest.approx(right, abs=0.01)


def test_the_calibration_error_is_how_far_off_what_is_said_is():
    sure = [found(True, 1.0)] * 5
    assert calibration_error([*sure, *[found(False, 0.0)] * 5], bins=2) == 0.0
    assert calibration_error([*sure, *[found(False, 1.0)] * 5], bins=1) == 0.5
    # Right on average, and yet nowhere.
    assert calibration_error([*[found(False, 0.2)] * 5, *[found(True, 0.8)] * 5], 2) == (
        pytest.approx(0.2)
    )
    assert calibration_error([]) == 0.0
