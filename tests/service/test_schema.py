"""Jobs, drafts and infills as JSON and back, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
import re

import pytest

from dg_lsp.job import (
    Candidate,
    Draft,
    Earlier,
    Infill,
    InfillJob,
    JobResult,
    JobState,
    ModelInfo,
    PinnedText,
    Seed,
    SeedOrigin,
    Snippet,
)
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.service.fields import MAX_VALUES, SchemaError, dump_json, parse_json
from dg_lsp.service.schema import (
    EngineStatus,
    decode_draft,
    decode_job,
    decode_result,
    decode_status,
    encode_draft,
    encode_job,
    encode_result,
    encode_status,
)

FULL_JOB = InfillJob(
    prefix="é 🙂\n",
    suffix="\x00\r\n",
    path="a/b.py",
    language="python",
    snippets=(Snippet("c.py", "x = 1"), Snippet("", "")),
    replaced="old",
    instruction="make it new",
    strength=0.25,
    candidates=3,
    max_tokens=7,
    seeds=(Seed("y = 2", 3.5, SeedOrigin.OPEN_FILE, "c.py"),),
    segment_seeds=((Seed("y"),), (), (Seed("4", 1.5), Seed("5"))),
    earlier=Earlier("y = 3", 1),
    pinned=(PinnedText(" = "), PinnedText("\n", Earlier("4"))),
    may_be_empty=False,
    deadline_s=0.5,
    seed=2**32 - 1,
    document="file:///b.py",
)


def through_json(value):
    return parse_json(dump_json(value))


@pytest.mark.parametrize("job", [FULL_JOB, InfillJob("", "")])
def test_a_job_comes_back(job):
    assert decode_job(through_json(encode_job(job))) == job


def test_a_seed_that_hardly_anything_speaks_for_is_sent_too():
    # The logarithm of odds below one.
    job = InfillJob("a", "b", seeds=(Seed("c", 2.5), Seed("d", -20.5)))
    assert decode_job(through_json(encode_job(job))) == job


def test_a_job_by_hand_needs_two_fields():
    assert decode_job({"prefix": "a", "suffix": "b"}) == InfillJob("a", "b")


@pytest.mark.parametrize("confidence", [(0.1, 0.1, 0.9), (1.0, 0.0, 1.0), ()])
def test_a_draft_comes_back(confidence):
    draft = Draft("ab🙂", confidence, 3, 12, 2, 5)
    judged = dataclasses.replace(draft, candidate=Candidate("ab", 0.5, -1.5, (0.5, 0.25), 3))

    for one in (draft, judged):
        assert decode_draft(through_json(encode_draft(one))) == one


@pytest.mark.parametrize("score", [-1.5, -math.inf])
def test_an_result_comes_back(score):
    candidate = Candidate("a\nb", 0.7, score, (0.5, 0.5, 0.25), seed=0, segments=("a", "b"))
    infill = Infill((candidate, Candidate("", 0.0, 0.0)), 4, {"queue": 0.5}, None, "m")
    for state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.SUPERSEDED):
        result = JobResult(state, infill)
        assert decode_result(through_json(encode_result(result))) == result


def test_a_status_comes_back_and_may_have_more_to_say():
    model = ModelInfo("m", "cpu", 200, 72, True, 7, runs_as="plain torch")
    status = EngineStatus("0.1.0", 7, "loading", None, 40, model, 1, 2, 3, 0.5, 1.5, "/log")

    assert decode_status({**through_json(encode_status(status)), "new": [1]}) == status
    older = {"version": "0.0.9", "pid": 7, "state": "ready"}
    assert decode_status(older).version == "0.0.9"


@pytest.mark.parametrize(
    ("change", "field", "names"),
    [
        # The value, and beside it the kind or the bounds that are allowed.
        ({"prefix": None}, "prefix", ["null", "text"]),
        ({"suffix": 3}, "suffix", ["3", "text"]),
        ({"colour": 1}, "colour", ["known"]),
        ({"a\nb": 1}, "a\\nb", ["known"]),
        ({"version": 2}, "version", ["2", "1"]),
        ({"version": True}, "version", ["true", "1"]),
        ({"candidates": 0}, "candidates", ["0", "1", "32"]),
        ({"candidates": True}, "candidates", ["true", "whole number"]),
        ({"max_tokens": 1.5}, "max_tokens", ["1.5", "whole number"]),
        ({"max_tokens": 10**6}, "max_tokens", ["1000000", "1", "16384"]),
        ({"seed": -1}, "seed", ["-1", "0", "4294967295"]),
        ({"strength": 2}, "strength", ["2", "0", "1"]),
        ({"strength": 0}, "strength", ["0", "0", "1"]),
        ({"strength": math.nan}, "strength", ["NaN", "0", "1"]),
        ({"deadline_s": math.inf}, "deadline_s", ["Infinity", "0", "3600"]),
        ({"deadline_s": "1"}, "deadline_s", ['"1"', "number"]),
        ({"may_be_empty": 1}, "may_be_empty", ["1", "true", "false"]),
        ({"snippets": {}}, "snippets", ["object", "list"]),
        ({"snippets": [1]}, "snippets[0]", ["1", "object"]),
        ({"snippets": [{"path": "a"}]}, "snippets[0].text", ["missing"]),
        ({"snippets": [{"path": "a", "text": "b", "x": 1}]}, "snippets[0].x", ["known"]),
        ({"snippets": [{}] * 257}, "snippets", ["257", "256"]),
        ({"span_tokens": 4}, "span_tokens", ["known"]),
        ({"client": "a"}, "client", ["known"]),
        (
            {"seeds": [{"text": "", "origin": "moon"}]},
            "seeds[0].origin",
            ['"moon"', "document", "open file", "workspace"],
        ),
        ({"seeds": [{"text": "", "score": "9"}]}, "seeds[0].score", ['"9"', "number"]),
        ({"pinned": [{"text": ""}]}, "pinned[0].text", ["empty"]),
        ({"pinned": ["x"]}, "pinned[0]", ['"x"', "object"]),
        ({"pinned": [{"text": "x"}], "segment_seeds": [[]]}, "segment_seeds", ["1", "2"]),
        ({"segment_seeds": [{"text": "x"}]}, "segment_seeds[0]", ["object", "list"]),
        ({"pinned": [{"text": "x"}] * 16}, "pinned", ["16", "15"]),
        ({"pinned": [{"text": "x", "earlier": "y"}]}, "pinned[0].earlier", ['"y"', "object"]),
        ({"instruction": "shorter"}, "instruction", ["selection"]),
        ({"alternatives": 8}, "alternatives", ["word"]),
        ({"alternatives": 8, "replaced": " "}, "alternatives", ["word"]),
        ({"alternatives": 33, "replaced": "x"}, "alternatives", ["33", "32"]),
        (
            {"alternatives": 8, "replaced": "x", "pinned": [{"text": "y"}]},
            "alternatives",
            ["pinned"],
        ),
        ({"path": "x" * 90 + "\n", "suffix": []}, "suffix", ["list", "0", "text"]),
    ],
)
def test_a_wrong_field_is_named(change, field, names):
    with pytest.raises(SchemaError) as refused:
        decode_job({"prefix": "", "suffix": "", **change})

    is_version = field == "version" and change[field] is not True
    code = ReasonCode.VERSION_MISMATCH if is_version else ReasonCode.INVALID_REQUEST
    assert refused.value.code is code
    for name in (field, *names):
        assert is_named(name, str(refused.value))
    assert "\n" not in str(refused.value)


def is_named(name: str, message: str) -> bool:
    """Whether the message has this, and not only as a part of a longer name or number."""
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w[]|\.\w)", message) is not None


def test_a_missing_field_is_named():
    with pytest.raises(SchemaError, match=r"\bsuffix\b.*\bmissing\b") as refused:
        decode_job({"prefix": ""})
    assert refused.value.code is ReasonCode.INVALID_REQUEST


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"", ["JSON", "line 1 column 1"]),
        (b"[1]", ["list", "1", "JSON object"]),
        (b"\xff", ["JSON", "0xff"]),
        (b'{"a": ' + b"[" * 10_000, ["JSON"]),
        (b'{"a": ' + b"9" * 5000 + b"}", ["JSON"]),
    ],
)
def test_what_is_no_json_object_is_refused_in_one_line(body, names):
    with pytest.raises(SchemaError) as refused:
        parse_json(body)

    assert refused.value.code is ReasonCode.INVALID_REQUEST
    for name in names:
        assert is_named(name, str(refused.value))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "runs",
    [
        [[True, 3]],
        [[0.5, 2], [0.5, True]],
        [[2, 3]],
        [[0.5, 2]],
        [[0.5, 4]],
        [[0.5]],
        [0.5],
        [[0.5, 0]],
        "x",
        [[True, "1"]],
    ],
)
def test_confidences_that_do_not_fit_the_text_are_refused(runs):
    with pytest.raises(SchemaError, match=r"\bconfidence\b"):
        decode_draft({"text": "abc", "confidence": runs, "step": 1, "steps_allowed": 2})


@pytest.mark.parametrize(
    "value", [{"state": "waiting", "infill": {}}, {"state": "done", "infill": 1}, {}]
)
def test_a_result_that_is_none_is_refused(value):
    with pytest.raises(SchemaError):
        decode_result(value)


@pytest.mark.parametrize(
    ("seed", "said"), [(1.5, "1.5"), ("0", '"0"'), (True, "true"), (math.nan, "NaN")]
)
def test_a_seed_number_that_is_none_is_refused(seed, said):
    candidate = {"text": "a", "confidence": 0.5, "score": 0.0, "seed": seed}
    with pytest.raises(SchemaError) as refused:
        decode_result({"state": "done", "infill": {"candidates": [candidate], "steps": 1}})

    for name in ("infill.candidates[0].seed", said, "whole number"):
        assert is_named(name, str(refused.value))


def test_two_versions_read_what_they_can_of_each_other():
    """A newer one may add fields and reasons without becoming another protocol."""
    job = {**encode_job(InfillJob("a", "b")), "colour": "red"}
    assert decode_job(job, strict=False) == InfillJob("a", "b")
    reason = {"code": "of-tomorrow", "message": "the moon is full", "since": 3}
    infill = {**encode_result(JobResult(JobState.FAILED, Infill((), 0)))["infill"]}
    result = {"version": 1, "state": "failed", "infill": {**infill, "reason": reason}}
    with pytest.raises(SchemaError):
        decode_result(result)
    found = decode_result(result, strict=False).infill.reason
    assert found == Reason(ReasonCode.OTHER, "the moon is full")
    model = {"name": "m", "device": "cpu", "prefix_tokens": 1, "suffix_tokens": 1}
    model["notes"] = [reason]
    status = {"version": "9.9", "pid": 1, "state": "ready", "model": model, "error": reason}
    said = decode_status(status)
    assert {said.error.code, said.model.notes[0].code} == {ReasonCode.OTHER}
    assert said.schema_versions == (1,)


def test_a_result_of_another_version_is_refused():
    value = {**encode_result(JobResult(JobState.DONE, Infill((), 0))), "version": 2}

    with pytest.raises(SchemaError, match=r"\bversion\b.*\b2\b"):
        decode_result(value)


def test_a_draft_is_small_on_the_wire():
    draft = Draft("x" * 400, (0.123456789,) * 400, 3, 12)

    assert len(json.dumps(encode_draft(draft))) < 560


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": [' + b"[]," * 100_000 + b"[]]}",
        b'{"a": [' + b"{}," * 100_000 + b"{}]}",
        b'{"a": [' + b"0," * 100_000 + b"0]}",
        b'{"a": [' + b'"",' * 100_000 + b'""]}',
        b"{" + b",".join(b'"%d":0' % number for number in range(100_000)) + b"}",
        b"[" * 1_000_000,
    ],
)
def test_more_values_than_any_message_has_are_refused(body, monkeypatch):
    """They would take far more memory than their text, so they are counted first."""
    monkeypatch.setattr("dg_lsp.service.fields.json.loads", None)
    with pytest.raises(SchemaError) as raised:
        parse_json(body)

    assert str(MAX_VALUES) in str(raised.value)


def test_a_long_text_is_one_value_whatever_is_in_it():
    text = '[{,"\\' * 200_000
    assert parse_json(json.dumps({"a": text}).encode()) == {"a": text}
    with pytest.raises(SchemaError):
        parse_json(b'"' + rb"\"" * 1_000_000)


def test_a_name_that_is_there_twice_among_many_is_found_at_once():
    names = [f'"{number}": 0' for number in range(MAX_VALUES // 2)]
    text = "{" + ", ".join([*names, '"7": 1']) + "}"
    with pytest.raises(SchemaError) as raised:
        parse_json(text.encode())

    assert "7 is there more than once" in str(raised.value)
