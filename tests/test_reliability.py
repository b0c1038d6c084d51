"""The page about reliability names tests that exist; `make faults` runs them."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)


def test_each_line_of_a_table_names_its_test():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]
    faults = [row for row in rows if not row.startswith("| fault |")]
    assert len(faults) > 20
    assert [row for row in faults if "::test_" not in row] == []


def test_the_tests_exist():
    assert [
        (path, name)
        for path, name in NAMED
        if f"def {name}(" not in (TESTS / path).read_text(encoding="utf-8")
    ] == []
