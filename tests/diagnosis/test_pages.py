"""The pages that editors show: what is said stays readable and never becomes markup."""

from __future__ import annotations

import pytest

from dg_lsp.diagnosis.findings import ok, problem, report_json, warning
from dg_lsp.diagnosis.pages import doctor_page, inline, issue_report, trace_page

SECRET = "/home/jane/acme/secret-project"
RECORD = {
    "time": 1_700_000_000.5,
    "client": "Visual Studio Code 1.105.0",
    "method": "textDocument/inlineCompletion",
    "trigger": "automatic",
    "file": "secret_project.py",
    "language": "python",
    "position": [1, 11],
    "outcome": "nothing",
    "reason": "below `dgLsp.minConfidence` 0.15 (0.07)",
    "how": "a new job",
    "suggestions": [],
    "seen": {"prefix_chars": 26, "suffix_chars": 1, "prompt_tokens": 31, "snippets": 0},
    "candidates": [{"chars": 5, "confidence": 0.07, "score": -1.5}],
    "steps": 4,
    "model": SECRET,
    "timings_ms": {"mask": 1.0, "denoise": 90.0, "finish": 0.01},
    "engine_ms": 90.0,
    "total_ms": 95.0,
    "text": {"prefix": "password", "candidates": ["a\n```\n# b"]},
}
REPORT = report_json([
    ok("python", f"Python 3.11, {SECRET}/bin/python", version="3.11", executable=SECRET),
    problem("model", f"{SECRET} is missing", f"put {SECRET} back", directory=SECRET),
    warning("engine", "it is dg-lsp 0.0.1", "`dg-lsp engine stop` ends it", log=SECRET),
    ok("device", "NVIDIA H200", devices=[{"name": "NVIDIA H200", "total_bytes": 9}]),
])  # fmt: skip


def test_what_is_wrong_comes_first_with_what_to_do():
    page = doctor_page(REPORT)

    todo, _, all_of_it = page.partition("## Everything")
    assert "Something does not work" in todo
    assert todo.index("**model**") < todo.index("**engine**")
    assert f"→ put {SECRET} back" in todo
    assert "`dg-lsp engine stop` ends it" in todo
    assert "**python**" not in todo
    assert all(f"**{area}**" in all_of_it for area in ("python", "model", "engine", "device"))


def test_a_report_in_which_all_is_well_has_nothing_to_do():
    page = doctor_page(report_json([ok("python", "Python 3.11")]))
    assert "What to do" not in page
    assert "Everything is in order" in page


def test_a_trace_says_what_became_of_the_request_and_where_the_time_went():
    page = trace_page(RECORD)

    assert page.startswith("# Request at secret_project.py:2:12\n")
    assert "nothing was suggested" in page
    assert "Reason: below `dgLsp.minConfidence` 0.15 (0.07)" in page
    rows = [line.split("|")[1:3] for line in page.split("\n") if line.startswith("| ")]
    times = {name.strip(): took.strip() for name, took in rows}
    assert (times["denoise"], times["rest"], times["**total**"]) == ("90.0", "4.0", "**95.0**")


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ({}, "5 characters (0.9)"),
        ({"source": "model", "corrected": False}, "5 characters (0.9)"),
        ({"source": "document", "corrected": False}, "5 characters (0.9, from the document)"),
        (
            {"source": "workspace", "corrected": True},
            "5 characters (0.9, from the workspace, corrected)",
        ),
    ],
)
def test_a_trace_says_where_a_suggestion_was_found(source, shown):
    record = {"suggestions": [{"chars": 5, "confidence": 0.9, **source}]}
    assert f"| suggested | {shown} |" in trace_page(record)


def test_a_text_cannot_leave_its_fence():
    page = trace_page(RECORD)
    assert "````\na\n```\n# b\n````" in page


@pytest.mark.parametrize("record", [
    {}, {"seen": 3, "timings_ms": [], "suggestions": {}, "text": 1},
    {"position": "x", "time": "now", "total_ms": None},
])  # fmt: skip
def test_a_record_of_another_version_is_shown_as_far_as_it_goes(record):
    assert trace_page(record).startswith("# Request at")


@pytest.mark.parametrize("said", [
    "<img src=x onerror=alert(1)>", "[a](command:b)", "*a* _b_ # c", "a\\b", "a\n\n# b",
])  # fmt: skip
def test_what_is_said_is_no_markup(said):
    shown = inline(said)
    assert "<" not in shown
    assert "\n" not in shown
    assert not any(f"{mark}" in shown.replace(f"\\{mark}", "") for mark in "[]*#")


def test_a_table_keeps_its_cells():
    report = report_json([ok("python", "a | b `c|d`")])
    assert "a \\| b `c\\|d`" in doctor_page(report)


def test_the_anonymous_report_has_versions_and_times_but_no_path_name_or_text():
    said = issue_report(REPORT, RECORD)

    for private in ("jane", "acme", "secret", "password", "/", "missing"):
        assert private not in said.replace("dgLsp.minConfidence", "").replace(
            "textDocument/", ""
        ), private
    for told in ("3.11", "NVIDIA H200", "it is dg-lsp 0.0.1", "model: problem",
                 "dgLsp.minConfidence", "denoise 90.0", "python", "nothing"):  # fmt: skip
        assert told in said


@pytest.mark.parametrize("reason", [
    "the model C:\\Users\\jane cannot be loaded", "excluded by 'build'", "~jane is not there",
    'excluded: "acme" in .gitignore',
])  # fmt: skip
def test_a_reason_that_may_name_a_file_is_left_out(reason):
    said = issue_report(REPORT, {"outcome": "failed", "reason": reason})
    assert "jane" not in said
    assert "build" not in said
    assert "acme" not in said
    assert "outcome: failed" in said
