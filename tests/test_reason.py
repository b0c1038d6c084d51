"""The codes: documented, stable in form, and carried by errors."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from dg_lsp.reason import CodedError, Reason, ReasonCode, reason_json, reason_of

TABLE = Path(__file__).parent.parent / "docs" / "troubleshooting.md"


def test_the_table_of_the_docs_has_every_code_once_with_what_to_do() -> None:
    section = TABLE.read_text(encoding="utf-8").partition("### Reason codes")[2]
    section = section.partition("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]

    assert [row[1].strip(" `") for row in rows] == [code.value for code in ReasonCode]
    assert all(len(row) == 5 and row[2].strip() and row[3].strip() for row in rows)


@pytest.mark.parametrize("code", ReasonCode)
def test_a_code_is_short_and_in_kebab_case(code: ReasonCode) -> None:
    assert re.fullmatch("[a-z]+(-[a-z]+)*", code.value)
    assert len(code.value) <= 20
    assert code.name == code.value.replace("-", "_").upper()


def test_an_error_carries_its_own_code_or_that_of_its_class() -> None:
    class FileError(CodedError):
        code = ReasonCode.BAD_FILE

    assert FileError("a.py").reason == Reason(ReasonCode.BAD_FILE, "a.py")
    assert FileError("a.py", ReasonCode.BUSY).code is ReasonCode.BUSY
    assert FileError.code is ReasonCode.BAD_FILE


def test_the_reason_of_a_foreign_error_is_what_its_catcher_says() -> None:
    own = CodedError("full", ReasonCode.DISK_FULL)

    assert reason_of(own, ReasonCode.BUSY) == Reason(ReasonCode.DISK_FULL, "full")
    assert reason_of(OSError("x"), ReasonCode.BUSY) == Reason(ReasonCode.BUSY, "x")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_a_reason_that_names_the_file(number: int) -> None:
    why = os.strerror(number)
    said = {
        reason_of(OSError(number, why, *names)).message
        for names in ((), ("/a/tokens",), (b"/a/tokens",), ("/b/model", None, "/a/tokens"))
    }

    assert said == {f"a file cannot be written: {why}", f"/a/tokens cannot be written: {why}"}
    assert reason_of(OSError(number, why), ReasonCode.BUSY).code is ReasonCode.DISK_FULL


def test_a_reason_in_json() -> None:
    told = reason_json(Reason(ReasonCode.NO_MODEL, "no model x"))

    assert told == {"code": "no-model", "message": "no model x"}
