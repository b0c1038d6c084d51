"""Wrong words: where they are put, and where the right ones are found."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dg_lsp.evaluation import alternatives as module
from dg_lsp.evaluation.alternatives import WrongWord, look, wrong_words
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
    model = SimpleNamespace(denoiser=None, codec=None, family=lambda: None)
    found = look(model, WRONG)

    assert (found.rank, found.probability, found.is_kept) == (rank, probability, is_kept)
    [job] = asked
    assert (job.prefix, job.replaced, job.suffix) == ("total = width * ", "total", "\n")
