"""Why nothing is left: the reason is what would have to be otherwise."""

from __future__ import annotations

import re

import pytest

from dg_lsp.document.reasons import why_nothing
from dg_lsp.document.suggestions import InsertionSite, Standard, suggestions_for
from dg_lsp.job import NOTHING_MISSING, Candidate, Infill, InfillJob
from dg_lsp.reason import Reason, ReasonCode


def site(before: str, after: str, language: str = "python") -> InsertionSite:
    return InsertionSite("file:///a.py", "a.py", language, "\n", before, after)


def infill(*texts: tuple[str, float], reason: Reason | None = None) -> Infill:
    candidates = [Candidate(text, sure, -float(at)) for at, (text, sure) in enumerate(texts)]
    return Infill(tuple(candidates), 1, reason=reason)


@pytest.mark.parametrize(
    ("text", "at", "standard", "expect"),
    [
        (
            ("1", 0.076),
            ("x = ", "\n"),
            Standard(min_confidence=0.15),
            ReasonCode.LOW_CONFIDENCE,
        ),
        (("(1,", 0.9), ("x = ", "\n"), Standard(may_break=False), ReasonCode.INVALID),
        (
            ("(1,", 0.01),
            ("x = ", "\n"),
            Standard(min_confidence=0.5, may_break=False),
            ReasonCode.INVALID,
        ),
        (
            ("\nb = 2", 0.9),
            ("a = 1", "\nc = 3\n"),
            Standard(one_line=True),
            ReasonCode.ONE_LINE,
        ),
        (("  \n", 0.9), ("a = 1", "\nc = 3\n"), Standard(), ReasonCode.BLANK),
        (("b)", 0.9), ("f(a, ", "b)\n"), Standard(), ReasonCode.ALREADY_THERE),
    ],
)
def test_the_reason_is_what_decided(text, at, standard, expect):
    where, wrote = site(*at), infill(text)
    assert suggestions_for(wrote.candidates, where, standard) == ()
    assert why_nothing(wrote, where, standard).code is expect


def test_what_earlier_attempts_have_shown_is_not_suggested_again():
    job = InfillJob("x = ", "\n", shown=("a  + b",))
    where, wrote = site("x = ", "\n"), infill(("a + b", 0.9), ("a - b", 0.5))
    [left] = suggestions_for(wrote.candidates, where, Standard(count=2), job)
    assert left.text == "a - b"

    wrote = infill(("a + b", 0.9))
    assert suggestions_for(wrote.candidates, where, Standard(), job) == ()
    assert why_nothing(wrote, where, Standard(), job).code is ReasonCode.ALREADY_SHOWN


def test_it_names_the_setting_with_its_number_and_never_rounds_it_up():
    for sure, shown in ((0.0749, "0.07"), (0.1499, "0.14")):
        reason = why_nothing(infill(("1", sure)), site("x = ", "\n"), Standard(1, 0.15))
        assert reason.code is ReasonCode.LOW_CONFIDENCE
        assert "`minConfidence`" in reason.message
        assert re.findall(r"[\d.]+", reason.message) == ["0.15", shown]


def test_without_candidates_the_engine_has_the_word():
    where = site("x = ", "\n")
    for said in (None, NOTHING_MISSING):
        assert why_nothing(infill(reason=said), where, Standard()).code is (
            ReasonCode.NOTHING_MISSING
        )
    failed = Reason(ReasonCode.OUT_OF_MEMORY, "out of memory")
    assert why_nothing(infill(reason=failed), where, Standard()) == failed
