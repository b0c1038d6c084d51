"""The tests that docs/security.md names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(
    set(re.findall(r"`((?:tests|vscode-extension/test)/[\w./]+)(?:::(\w+))?`", PAGE))
)


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_test_exists(path, name):
    code = (ROOT / path).read_text(encoding="utf-8")

    assert not name or re.search(rf"^(async )?def {name}\(", code, re.MULTILINE)


def test_every_claim_has_one_or_says_that_nothing_holds():
    rows = [line for line in PAGE.splitlines() if line.startswith("| to ")]

    assert len(rows) > 20
    assert [row for row in rows if "::" not in row and "/test" not in row] == [
        row for row in rows if "| nothing: " in row
    ]
