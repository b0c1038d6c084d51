"""What is masked of the cases in tests/cases/secrets, and how they are read and counted."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dg_lsp.evaluation.secrets import Case, precision, read_cases, recall, sample, scan, share

CASES = Path(__file__).parent.parent / "cases" / "secrets"


@pytest.mark.parametrize("held_out", [False, True])
def test_secrets_are_found_and_look_alikes_left(held_out: bool) -> None:
    formats, lookalikes = (
        [case for case in read_cases(CASES / name) if case.held_out is held_out]
        for name in ("formats.txt", "lookalikes.txt")
    )
    assert min(len(formats), len(lookalikes)) >= 100

    found, kept = recall(formats, times=5), precision(lookalikes, times=5)
    assert share(found) >= 0.95, [one.case.name for one in found if one.right < one.drawn]
    assert share(kept) >= 0.98, [one.case.name for one in kept if one.right < one.drawn]


def test_most_secrets_of_services_that_no_rule_names_are_found() -> None:
    services = read_cases(CASES / "services.txt")
    assert len(services) >= 70

    assert share(recall(services, times=5)) >= 0.75


def test_cases_are_read_in_order(tmp_path: Path) -> None:
    file = tmp_path / "cases.txt"
    file.write_text(
        "# About.\n\n== one\na = «{hex:8}»\n== two [held out]\n\nb\nc\n", encoding="utf-8"
    )

    assert read_cases(file) == [
        Case("one", "a = «{hex:8}»\n", held_out=False),
        Case("two", "\nb\nc\n", held_out=True),
    ]


def test_a_sample_is_drawn_from_its_seed_and_says_where_the_secrets_are() -> None:
    case = Case("x", "{user} = «{digits:6}»-«ab»", held_out=False)
    one, same = (sample(case, random.Random(1)) for _ in range(2))

    assert one == same
    assert [one.text[start:end] for start, end in one.secrets][1] == "ab"
    assert one.text[9:15].isdigit()
    # What is no kind of value is text.
    assert one.text.startswith("{user} = ")


def test_a_secret_counts_only_where_all_of_it_is_masked() -> None:
    whole = Case("whole", 'password = "«hunter2!»"', held_out=False)
    part = Case("part", '«x» = 1; password = "«hunter2!»"', held_out=False)

    assert [one.right for one in recall([whole, part], times=3)] == [3, 0]
    assert [one.right for one in precision([whole], times=3)] == [0]


def test_masks_in_files_are_listed_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1\npassword = 'hunter2!'\n" + "y = 2\n" * 10)
    binary = tmp_path / "b.py"
    binary.write_bytes(b"\xff\xfe")
    found = scan([binary, file, file], max_lines=12)

    assert (found.lines, found.masked) == (12, ((file, 2, "hunter2!"),))
