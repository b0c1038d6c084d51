"""Counts of suggestions by language and model."""

from __future__ import annotations

from dg_lsp.diagnosis.usage import MOST_ROWS, anonymous, as_markdown, summarize


def events(*names, language="python", model="bundled", chars=10):
    return [
        {"event": name, "language": language, "model": model, "chars": chars, "time": 1}
        for name in names
    ]


def test_a_text_that_was_completed_counts_as_accepted():
    [row] = summarize(
        events("shown", "shown", "shown", "accepted", "partly", "completed", "partly", "kept")
    )

    assert (row["shown"], row["accepted"], row["partly"], row["kept"]) == (3, 2, 1, 1)
    assert row["chars"] == 40


def test_rows_are_by_language_and_model_with_the_most_shown_first():
    rows = summarize(
        [
            *events("shown", language="go"),
            *events("shown", "shown"),
            *events("shown", model="m"),
        ]
    )

    assert [(row["language"], row["model"]) for row in rows] == [
        ("python", "bundled"),
        ("go", "bundled"),
        ("python", "m"),
    ]


def test_rows_are_bounded():
    rows = summarize(
        record for number in range(500) for record in events("shown", language=f"l{number}")
    )

    assert len(rows) == MOST_ROWS + 1
    assert sum(row["shown"] for row in rows) == 500


def test_names_that_the_user_may_have_invented_are_left_out():
    records = [*events("shown", language="acme-dsl", model="/home/me/model"), *events("shown")]
    shown = as_markdown(anonymous(records, frozenset({"bundled"})), "1.0")

    assert "acme" not in shown
    assert "home" not in shown
    assert "| python | bundled | 1 | 0 (0%) | 0 | 0 of 0 | 0 |" in shown
    assert "| other | other | 1 |" in shown


def test_records_that_are_damaged_are_left_out():
    assert summarize([{}, {"event": 3, "chars": "x"}])[0]["shown"] == 0
