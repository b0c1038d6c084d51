"""From a raw infill to the edit: the cases in tests/cases/edit, and what holds for any text."""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.document.edit import (
    Replacement,
    finish,
    is_only_closers,
    limit_to_scope,
    match_indentation,
    match_newlines,
    minimal_replacement,
    trim_to_suffix,
)
from dg_lsp.document.position import may_cut

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


@pytest.mark.parametrize(
    ("infill", "suffix", "expect"),
    [
        ("", "", ""),
        ("a", "", "a"),
        ("a\n\n", "", "a\n\n"),
        # The rest of the line, at the end of a line or of the file, mid-word too.
        ("a + b;", ";\n", "a + b"),
        ("1 if x else 0", " else 0", "1 if x"),
        ("import warnings", "ngs\n", "import warni"),
        ("return x", "return x\n", ""),
        # A letter, a digit, a blank, or the beginning of the rest is none.
        ("max", "x\n", "max"),
        ("a ", " b\n", "a "),
        ("a, b", ", b, c\n", "a, b"),
        ("a_", "_\n", "a_"),
        # Closing brackets and quotes, also before other text.
        ("a)", ") + b\n", "a"),
        ("a))", "))\n", "a"),
        ("f(a))", "))\n", "f(a)"),
        ("f(a)", ")\n", "f(a)"),
        ('a"', '")\n', "a"),
        ('x + "a"', '")\n', 'x + "a"'),
        ("a</b>", "</b> c\n", "a"),
        ("<b>a</b>", "</b> c\n", "<b>a</b>"),
        ("x */", " */ y", "x"),
        ("f(1)  # a)", ")\n", "f(1)  # a)"),
        # Lines: the next one, a begun one of 4 characters, one behind blank lines.
        ("a\nreturn x\n", "\nreturn x\n", "a"),
        ("a\nretu", "\nreturn x\n", "a"),
        ("a\nret", "\nreturn x\n", "a\nret"),
        ("a\nreturn x", "\n\n  \nreturn x\n", "a"),
        ("a\n\n\nreturn x", "\nreturn x\n", "a"),
        ("if (x) {\n  a();\n}\n", "\n}\n", "if (x) {\n  a();\n}"),
        # Blank lines.
        ("a\n", "\n", "a"),
        ("a\n  \n\n", "\n", "a"),
        ("a\r\n\r\n", "\r\nb", "a"),
        ("a\n", "b", "a\n"),
        # Never inside what reads as one character.
        ("a) \u0301)", "\u0301)", "a) \u0301)"),
    ],
)
def test_trim_to_suffix(infill: str, suffix: str, expect: str) -> None:
    assert trim_to_suffix(infill, suffix) == expect


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_match_newlines(newline: str) -> None:
    assert match_newlines("a\nb\r\nc\rd\n\r", newline) == newline.join(
        ["a", "b", "c", "d", "", ""]
    )


@pytest.mark.parametrize(
    ("document", "infill", "expect"),
    [
        # Agrees, or nothing to go by.
        ("if a:\n    b\n    |", "c\n    d", "c\n    d"),
        ("|", "a\n\tb", "a\n\tb"),
        ("a\n|\nb", "a:\n        b", "a:\n        b"),
        # Tabs from spaces, by the step, by guess; alignment stays.
        ("f {\n\ta\n\t|", "x {\n        b\n    }", "x {\n\t\tb\n\t}"),
        ("f {\n\ta\n\t|", "x {\n      b\n  }", "x {\n\t\t\tb\n\t}"),
        ("f {\n\ta\n\t|", "/*\n     * b", "/*\n\t * b"),
        ("f {\n\ta\n}\ng {|", "\n  b {\n    c\n  }\n", "\n\tb {\n\t\tc\n\t}\n"),
        ("f {\n\t|", "a\n    b", "a\n\tb"),
        ("f {\n\t|", "a\n\tb(c,\n\t  d)", "a\n\tb(c,\n\t  d)"),
        ("/*\n\t * a\n\t|", "b\n\t * c", "b\n\t * c"),
        # Spaces from tabs.
        ("if a:\n  b\n  |", "c\n\t\td", "c\n    d"),
        # Another width, where openers prove it.
        ("f {\n  a {\n    |", "b {\n        c", "b {\n      c"),
        ("f {\n  a\n  |", "b(c,\n      d)", "b(c,\n      d)"),
        ("f {\n  a\n  |", "b {\n      c {\n        d", "b {\n      c {\n        d"),
        # The first line only at the start of a line; text in a docstring not at all.
        ("f {\n\ta\n|", "    b\n    c", "\tb\n\tc"),
        ('"""a\n\tb\n\t|', "c:\n    d", "c:\n    d"),
    ],
)
def test_match_indentation(document: str, infill: str, expect: str) -> None:
    prefix, suffix = document.split("|")
    assert match_indentation(infill, prefix, suffix) == expect
    assert match_indentation(expect, prefix, suffix) == expect


@pytest.mark.parametrize(
    ("language", "document", "infill", "expect"),
    [
        ("plaintext", "(|)", "a)b", "a)b"),
        ("c", "(|)", "a)b", "a"),
        ("c", "(|", "a)b", "a)b"),
        ("c", "((|)", "a)b)c", "a)b"),
        ("c", "(|)", "a) + (b", "a) + (b"),
        ("c", "(|)", "a) + f(b))", "a) + f(b"),
        ("c", "{ | }", "a; }", "a;"),
        ("c", "// (|)\nf()\n)", "a) b", "a) b"),
        ("c", 'f("|")', "a) b", "a) b"),
        ("c", 'f("|")', 'a", b)', 'a", b'),
        ("python", "f(  # (|\n)", "a)\n)", "a)\n"),
        ("python", "    |", "a\n\nb", "a\n\n"),
        ("python", "    |", "a\n# b\n", "a\n"),
        ("python", "|", "    a\n    b\nc", "    a\n    b\n"),
        ("python", "    |", "a = [\n1,\n]\nb", "a = [\n1,\n]\n"),
        ("python", "    |", "a = [\n1,", "a = [\n1,"),
        ("python", "  f(\n    |\n  b", "a,\n  )\nb", "a,\n  )\n"),
        ("python", "    |\n        b\n", "x\nif a:", "x\nif a:"),
        ("python", "x:|", "\n    a\nb", "\n    a\n"),
        ("yaml", "  a: |", "1\n  b: 2\nc: 3", "1\n  b: 2\n"),
        # An inner block that the document leaves open, told by indentation.
        ("c", "f {\n  if {|\n  b;\n}\n", "\n    a;\n  }\n}", "\n    a;\n  }\n"),
        ("html", "<ul><li>|</li></ul>", "a</li><li>b</li></ul>", "a</li><li>b"),
    ],
)
def test_limit_to_scope(language: str, document: str, infill: str, expect: str) -> None:
    prefix, suffix = document.split("|")
    assert limit_to_scope(infill, prefix, suffix, language) == expect
    assert limit_to_scope(expect, prefix, suffix, language) == expect


def test_a_block_closed_far_below_counts_as_closed() -> None:
    prefix, below = "class A {\n  f() {\n    ", "\n  }\n" + "  g();\n" * 10_000
    assert finish("a();\n  }\n}\n", prefix, below + "}\n", "\n", "java") == "a();"
    assert finish("a();\n  }\n}\n", prefix, below, "\n", "java") == "a();"


@pytest.mark.parametrize(
    ("old", "new", "start", "end", "new_text"),
    [
        ("", "", 0, 0, ""),
        ("same", "same", 4, 4, ""),
        ("abc", "axc", 1, 2, "x"),
        ("abc", "abbc", 2, 2, "b"),
        ("abbc", "abc", 2, 3, ""),
        ("abc", "", 0, 3, ""),
        ("a\r\nb", "a\nb", 1, 3, "\n"),
        ("a\r\nb", "a\rb", 1, 3, "\r"),
        ("e\u0301x", "ex", 0, 2, "e"),
        ("e\u0301", "e\u0300", 0, 2, "e\u0300"),
        (
            "\U0001f468\u200d\U0001f469!",
            "\U0001f468\u200d\U0001f467!",
            0,
            3,
            "\U0001f468\u200d\U0001f467",
        ),
    ],
)
def test_minimal_replacement(old: str, new: str, start: int, end: int, new_text: str) -> None:
    assert minimal_replacement(old, new) == Replacement(start, end, new_text)


@pytest.mark.parametrize(
    ("infill", "expect"),
    [
        ("", True),
        ("\n  ", True),
        ("})", True),
        ("\n});\n", True),
        ("</p>", True),
        ('"', True),
        ("a)", False),
        (";", False),
        ("{", False),
        ("0", False),
    ],
)
def test_is_only_closers(infill: str, expect: bool) -> None:
    assert is_only_closers(infill) is expect


@settings(deadline=None)
@given(CODE, CODE)
def test_a_replacement_makes_the_new_text_and_cuts_no_character(old: str, new: str) -> None:
    change = minimal_replacement(old, new)
    assert old[: change.start] + change.new_text + old[change.end :] == new
    assert may_cut(old, change.start)
    assert may_cut(old, change.end)
    assert may_cut(new, change.start)
    assert may_cut(new, change.start + len(change.new_text))


@settings(deadline=None)
@given(CODE, CODE)
def test_trimming_drops_only_what_the_suffix_begins_with(infill: str, suffix: str) -> None:
    trimmed = trim_to_suffix(infill, suffix)
    assert infill.startswith(trimmed)
    dropped = "".join(infill[len(trimmed) :].split())
    assert "".join(suffix.split()).startswith(dropped)


@settings(deadline=None)
@given(st.text(alphabet="ab(){} \n", max_size=30), st.text(alphabet='XY[];"', min_size=1))
def test_trimming_leaves_alone_what_does_not_overlap(infill: str, suffix: str) -> None:
    assert trim_to_suffix(infill, suffix) == infill


@settings(deadline=None)
@given(CODE, CODE, CODE, LANGUAGES)
def test_limiting_only_shortens(infill: str, prefix: str, suffix: str, language: str) -> None:
    assert infill.startswith(limit_to_scope(infill, prefix, suffix, language))


@settings(deadline=None)
@given(CODE, CODE, CODE)
def test_indenting_changes_only_the_beginnings_of_lines(
    infill: str, prefix: str, suffix: str
) -> None:
    indented = match_indentation(infill, prefix, suffix)
    lines = [line.lstrip(" \t") for line in re.split("[\r\n]", infill)]
    assert [line.lstrip(" \t") for line in re.split("[\r\n]", indented)] == lines


@settings(deadline=None)
@given(st.text(max_size=40), CODE, CODE, NEWLINES, LANGUAGES)
def test_finishing_adds_no_control_character(
    infill: str, prefix: str, suffix: str, newline: str, language: str
) -> None:
    finished = finish(infill, prefix, suffix, newline, language)
    known = set(infill + prefix + suffix + newline)
    assert {c for c in finished if unicodedata.category(c) == "Cc"} <= known
    assert set(re.findall(r"\r\n|\r|\n", finished)) <= {newline}


@settings(deadline=None)
@given(CODE, CODE, CODE, NEWLINES, LANGUAGES)
def test_finishing_adds_nothing_but_indentation(
    infill: str, prefix: str, suffix: str, newline: str, language: str
) -> None:
    finished = "".join(finish(infill, prefix, suffix, newline, language).split())
    assert "".join(infill.split()).startswith(finished)
