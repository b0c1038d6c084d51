"""Texts that are finished by the engine, for clients that insert them as they come."""

from __future__ import annotations

import pytest

from dg_lsp.job import EXTRA_CANDIDATES, Candidate, Infill
from dg_lsp.reason import ReasonCode
from dg_lsp.service.fields import SchemaError
from dg_lsp.service.http.compatibility import read_completion, read_llama
from dg_lsp.service.http.finishing import finished, with_query

READERS = [
    (read_llama, {"input_prefix": "foo(", "prompt": "", "input_suffix": ")\n"}),
    (read_completion, {"prompt": "foo(", "suffix": ")\n"}),
]


def infill_of(*texts: str) -> Infill:
    found = [Candidate(text, 0.5, -float(rank)) for rank, text in enumerate(texts)]
    return Infill(tuple(found), 3)


def texts_of(infill: Infill) -> list[str]:
    return [one.text for one in infill.candidates]


@pytest.mark.parametrize(("read", "body"), READERS)
def test_a_field_has_the_text_finished(read, body) -> None:
    plain, asked = read(body), read({**body, "finish": True})
    infill = infill_of("a)\nbar()", "b")

    assert texts_of(finished(infill, plain.job, plain.finishing)) == ["a)\nbar()", "b"]
    assert texts_of(finished(infill, asked.job, asked.finishing)) == ["a"]
    # The other texts of the race, should the first one be of no use.
    assert (plain.job.extra_candidates, asked.job.extra_candidates) == (0, EXTRA_CANDIDATES)
    assert read({**body, "finish": False}).finishing is None


@pytest.mark.parametrize(("read", "body"), READERS)
def test_the_language_counts_where_it_is_told(read, body) -> None:
    asked = read({**body, "finish": True, "language": "python"})
    infill = infill_of("a b", "c")

    assert asked.job.language == "python"
    assert texts_of(finished(infill, asked.job, asked.finishing)) == ["c"]


@pytest.mark.parametrize(("read", "body"), READERS)
def test_asterisks_of_a_text_in_which_nothing_was_masked_stay(read, body) -> None:
    asked = read({**body, "finish": True, "language": "c"})
    assert texts_of(finished(infill_of("/******/ a"), asked.job, asked.finishing)) == [
        "/******/ a"
    ]


def test_with_nothing_left_there_is_no_text() -> None:
    asked = read_llama({**READERS[0][1], "finish": True})
    assert texts_of(finished(infill_of(")", "  "), asked.job, asked.finishing)) == []


@pytest.mark.parametrize(
    ("query", "body", "finish"),
    [
        ({}, {}, False),
        ({"finish": "true"}, {}, True),
        ({"finish": "1"}, {}, True),
        ({"finish": "false"}, {}, False),
        ({"finish": "true"}, {"finish": False}, False),
        ({"other": "x"}, {}, False),
    ],
)
def test_the_address_may_say_it_too(query, body, finish) -> None:
    asked = read_completion(with_query({"prompt": "", **body}, query))

    assert (asked.finishing is not None) == finish


def test_what_is_neither_true_nor_false_is_named() -> None:
    with pytest.raises(SchemaError, match=r"\bfinish\b.*\bmaybe\b") as refused:
        with_query({}, {"finish": "maybe"})
    assert refused.value.code is ReasonCode.INVALID_REQUEST
    with pytest.raises(SchemaError, match=r"\bfinish\b.*\byes\b"):
        read_completion({"finish": "yes"})
    with pytest.raises(SchemaError, match=r"\blanguage\b.*\b5\b"):
        read_completion({"finish": True, "language": 5})
