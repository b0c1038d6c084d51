"""The schemas of messages say what `fields.py` reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import jsonschema_rs
import pytest

from dg_lsp.job import IN_PROCESS, Candidate, Draft, InfillJob, JobResult, Limits
from dg_lsp.service.fields import ONE_OR_SEVERAL, SchemaError, decode, encode
from dg_lsp.service.json_schema import Components


@dataclass(frozen=True, slots=True)
class Inner:
    """Something inside."""

    at: Annotated[float, Limits(0, 1, is_open=True)]


@dataclass(frozen=True, slots=True)
class Message:
    """Something that is sent."""

    text: Annotated[str, Limits(most=4)]
    """What is said."""
    count: Annotated[int, Limits(-1, 8)] = 2
    maybe: Annotated[str, Limits(most=4)] | None = None
    inner: Inner | None = None
    words: Annotated[tuple[str, ...], Limits(most=2), ONE_OR_SEVERAL] = ()
    times: dict[str, float] | None = None


def validator(components: Components, reference: dict) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        {**reference, "components": {"schemas": components.schemas}}
    )


@pytest.mark.parametrize("nulls", [False, True])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        {"text": ""},
        {"text": "four"},
        {"text": "fives"},
        {"text": None},
        {"text": 1},
        {"text": "", "count": -1},
        {"text": "", "count": -2},
        {"text": "", "count": 8.0},
        {"text": "", "count": 7.5},
        {"text": "", "count": True},
        {"text": "", "count": None},
        {"text": "", "maybe": None},
        {"text": "", "maybe": "fives"},
        {"text": "", "inner": {"at": 1}},
        {"text": "", "inner": {"at": 0}},
        {"text": "", "inner": {}},
        {"text": "", "inner": {"at": 1, "more": 1}},
        {"text": "", "words": "one"},
        {"text": "", "words": ["one", "two"]},
        {"text": "", "words": ["one", "two", "three"]},
        {"text": "", "words": 1},
        {"text": "", "times": {"total": 1.5}},
        {"text": "", "times": {"total": "long"}},
        {"text": "", "more": 1},
        {},
        [],
    ],
)
def test_a_request_is_read_if_and_only_if_its_schema_says_so(value, strict, nulls):
    components = Components()
    reference = components.request(Message, strict=strict, nulls=nulls)
    try:
        decode(Message, value, strict=strict, nulls=nulls)
        is_read = True
    except SchemaError:
        is_read = False
    assert validator(components, reference).is_valid(value) == is_read


def test_an_answer_has_all_its_fields():
    components = Components()
    checked = validator(components, components.answer(JobResult))
    drafts = validator(components, components.answer(Draft))
    candidate = Candidate("self", 0.5, float("-inf"), (0.5, 0.5, 1.0, 1.0))
    assert drafts.is_valid(encode(Draft("self", (0.5,) * 4, 1, 12, candidate=candidate)))
    assert not checked.is_valid({"state": "done"})


def test_what_a_field_means_and_its_default_are_told():
    components = Components()
    components.request(InfillJob)
    found = components.schemas["InfillJob"]
    assert found["properties"]["max_tokens"]["default"] == InfillJob("", "").max_tokens
    assert "budget" in found["properties"]["max_tokens"]["description"]
    assert found["required"] == ["prefix", "suffix"]
    inner = InfillJob.__dataclass_fields__
    hidden = {name for name, one in inner.items() if one.metadata == IN_PROCESS}
    assert hidden
    assert not hidden & found["properties"].keys()
