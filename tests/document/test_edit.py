"""From a raw infill to the edit: the cases in tests/cases/edit, and what holds for any text."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import strategies as st

from dg_lsp.document.edit import (
    finish,
)

CASES = sorted((Path(__file__).parent.parent / "cases" / "edit").glob("*.txt"))
CODE = st.text(alphabet=st.sampled_from("ab1 \t\r\n(){}[]\"';:,<>/e\u0301"), max_size=40)
NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])
LANGUAGES = st.sampled_from(["python", "c", "html", "plaintext"])


@dataclass(frozen=True, slots=True)
class Case:
    """A case file: a title line, then sections headed `--- name`.

    `document` marks the cursor as `<|>` and a selection as `<|text|>`. Each section loses its
    final line end; `--- newline CRLF` turns every line end of the case into CR LF.
    """

    title: str
    prefix: str
    suffix: str
    infill: str
    expect: str
    newline: str
    language: str


def read_case(path: Path) -> Case:
    title, *parts = re.split(r"^--- ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections: dict[str, str] = {}
    for part in parts:
        heading, _, body = part.partition("\n")
        name, _, value = heading.partition(" ")
        assert name not in sections, f"{path.name} has two sections {name}"
        sections[name] = value or body.removesuffix("\n")
    newline = {"CRLF": "\r\n", "CR": "\r", "LF": "\n"}[sections.pop("newline", "LF")]
    language = sections.pop("language", "plaintext")
    texts = {name: text.replace("\n", newline) for name, text in sections.items()}
    marked = re.fullmatch(r"(.*)<\|(?:>|.*\|>)(.*)", texts.pop("document"), flags=re.DOTALL)
    assert marked, f"{path.name} has no cursor"
    infill, expect = texts.pop("infill"), texts.pop("expect")
    assert not texts, f"{path.name} has unknown sections {sorted(texts)}"
    return Case(title.strip(), marked[1], marked[2], infill, expect, newline, language)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = read_case(path)
    around = (case.prefix, case.suffix, case.newline, case.language)
    got = finish(case.infill, *around)
    assert got == case.expect, case.title
    assert finish(got, *around) == got, "a second pass changes the edit"


def test_there_are_cases() -> None:
    assert len(CASES) >= 25
    assert all(re.fullmatch(r"[^\n]+", read_case(path).title) for path in CASES)
