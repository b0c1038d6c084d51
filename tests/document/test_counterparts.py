"""Texts elsewhere in a document that resemble a selection."""

from __future__ import annotations

from collections import Counter
from difflib import SequenceMatcher

import pytest

from dg_lsp.document.counterparts import MAX_EQUAL_PAIRS, counterparts
from dg_lsp.document.seeds import find_seeds

CASES = {
    "an expression in a similar line": (
        "width = int(line.width.strip() or 0)\nheight = int(<|line.height|>)\n",
        "line.height.strip() or 0",
    ),
    "a whole line": (
        '    log.info("saved %s", user, extra=context)\n    <|log.info("saved %s" % user)|>\n',
        'log.info("saved %s", user, extra=context)',
    ),
    "an argument in TypeScript": (
        "const a = await get(url, { retry: 3 });\nconst b = await get(url, <|{}|>);\n",
        "{ retry: 3 }",
    ),
    "a block in Go, at another depth, with other names": (
        """\
\tfor _, user := range users {
\t\tif user.Name == "" {
\t\t\tcontinue
\t\t}
\t\tsave(user)
\t}
<|for _, group := range groups {
\tsave(group)
}|>
""",
        """\
for _, group := range groups {
\tif group.Name == "" {
\t\tcontinue
\t}
\tsave(group)
}""",
    ),
    "below the selection, in Rust": (
        "    let a = <|parse(&text)|>;\n    let b = parse(&line)?.trim();\n",
        "parse(&line)?.trim()",
    ),
}


def split(marked: str) -> tuple[str, str, str]:
    prefix, rest = marked.split("<|")
    replaced, suffix = rest.split("|>")
    return prefix, replaced, suffix


@pytest.mark.parametrize(("marked", "text"), CASES.values(), ids=CASES)
def test_what_resembles_the_selection_is_found(marked: str, text: str) -> None:
    assert counterparts(*split(marked), 4)[0].text == text


@pytest.mark.parametrize(("marked", "text"), CASES.values(), ids=CASES)
def test_it_is_one_of_the_seeds_of_a_rewrite_alone(marked: str, text: str) -> None:
    prefix, replaced, suffix = split(marked)
    assert text in [seed.text for seed in find_seeds(prefix, suffix, replaced=replaced)]


@pytest.mark.parametrize(
    "marked",
    [
        # The same text, or the same but for names, is nothing new.
        "save(user)\n<|save(user)|>\n",
        "save(user, user)\n<|save(group, group)|>\n",
        "a = 1\nb = [c for d in e]\n<|wibble(wobble)|>\n",
        "<|wibble(wobble)|>",
        "save(user, 1)\n<|   |>\n",
    ],
)
def test_nothing_where_nothing_resembles_it(marked: str) -> None:
    assert counterparts(*split(marked), 4) == []


def test_line_ends_of_dos_make_no_difference() -> None:
    marked, text = CASES["a block in Go, at another depth, with other names"]
    assert counterparts(*split(marked.replace("\n", "\r\n")), 4)[0].text == text


def test_what_is_selected_ends_in_the_same_token_with_line_ends_of_dos() -> None:
    marked = (
        "def f(a):\n    x = get(a)\n    y = put(a)\n    return x + y\n\n"
        "def g(b):\n    <|z = get(b)\n    y = set(b)\n    return z|> * y\n"
    )
    found = [counterparts(*split(one), 4) for one in (marked, marked.replace("\n", "\r\n"))]
    assert found[0] == found[1]


def test_the_selection_with_other_line_ends_is_nothing_new() -> None:
    marked = "if a:\r\n    x()\r\n    y()\r\nif b:\r\n    <|x()\r\n    y()|>\r\n"
    prefix, replaced, suffix = split(marked)
    assert counterparts(prefix, replaced, suffix, 4) == []
    assert find_seeds(prefix, suffix, replaced=replaced) == ()
    assert find_seeds("f(a, b)\nf(", ", b)\n", replaced="a") == ()


@pytest.mark.parametrize(
    "marked",
    [
        f"{'var a1=b(c,d);e.f=g;' * 50_000}\n{'var a2=b(c,d);e.f=g;' * 50_000}<|foo(b)|>;\n",
        f"x = foo(b)\nx = <|foo(a)|>{';var a2=b(c,d);e.f=g' * 50_000}\n",
    ],
)
def test_nothing_in_lines_of_a_million_characters(marked: str) -> None:
    assert counterparts(*split(marked), 4) == []


def test_a_long_line_elsewhere_is_passed_over() -> None:
    marked = f"x = foo(b)\nx = foo(c){'; foo(c)' * 100_000}\nx = <|wibble(a)|>\n"
    assert [one.text for one in counterparts(*split(marked), 4)] == ["foo(b)"]


def test_few_pairs_of_tokens_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    class Counting(SequenceMatcher[str]):
        def ratio(self) -> float:
            nonlocal compared
            compared += sum(map(Counter(self.a).__getitem__, self.b))
            return super().ratio()

    monkeypatch.setattr("dg_lsp.document.counterparts.SequenceMatcher", Counting)
    dots = "x" + 130 * ".,;"
    counterparts(f"{dots}\n" * 10, dots + "!", "\n", 4)
    assert 0 < compared <= MAX_EQUAL_PAIRS
