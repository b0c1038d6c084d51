"""Which texts would break Python code that could be valid."""

from __future__ import annotations

import pytest

from dg_lsp.document.outline import read
from dg_lsp.document.syntax import MOST_CHARS, breaks_syntax, parses

BROKEN = "def broken(:\n    pass\n\n\nnumber = 1\n\n\n"
OPEN = """
    def f(self):
        if a:
            b = 1
        elif (a in self.b or <|{}|>.c
                or (self.d and
                    a not in self.e)):
            b = 2
        else:
            b = 3
"""
LONG = "class Long:\n" + "    x = 1\n" * (MOST_CHARS // 10)


@pytest.mark.parametrize(
    ("marked", "expect"),
    [
        # A document that is whole, and one that waits for something.
        ("x = 1\ny = <|2 + 3|>\nz = 4\n", False),
        ("x = 1\ny = <|2 +|>\nz = 4\n", True),
        ("x = 1\n<|y = (|>\nz = 4\n", True),
        ("print(<|a, b|>)\n", False),
        ("print(<|a, b))|>)\n", True),
        # Brackets that nothing has closed yet.
        ("print(<|a, b)|>\n", False),
        ("print(<|a b|>\n", True),
        ("print(<|a, b|>\n", True),
        ("def area(<|self):\n    return 1|>\n", False),
        ("def area(<|self, :|>\n", True),
        # Blocks.
        ("if x:\n    y = 1\n<|else:\n    y = 2|>\n", False),
        ("if x:\n    y = 1\nel<|se:\n    y = 2|>\n", False),
        ("if x:\n    <|y = 1|>\nelse:\n    y = 2\n", False),
        ("if x:\n    <|y = 1)|>\nelse:\n    y = 2\n", True),
        ("def area(self):\n<|    return 1|>\n", False),
        ("def area(self):\n    <|return return|>\n", True),
        ("def area(self):\n    a = 1\n<|  b = 2|>\n", True),
        ("def area(self):\n    <|def|>\n        return 1\n", True),
        ("def area(self):\n    <|for n in self:|>\n        return 1\n", False),
        ("try:\n    x = 1\n<|else:|>\n    y = 2\n", True),
        ("if x:\n    x = 1\n<|els:|>\n    y = 2\n", True),
        # The header of a body that is there already.
        ("def total(self):\n    for a, b in self.<|items:|>\n        c += b\n", False),
        ("def total(self):\n    for a, b in self.<|items|>\n        c += b\n", False),
        ("def total(self):\n    for a, b in self.<|items = None|>\n        c += b\n", True),
        ("if a:\n    for b in self.<|items:\n        d = 1|>\n        c += b\n", False),
        ("while <|x = 1|>\n    y = 1\n", True),
        ("while <|x|>:\n    y = 1\n", False),
        ("if <|x == 1|>\n    y = 1\nelse:\n    y = 2\n", False),
        ("if <|x = = 1:|>\n    y = 1\nelse:\n    y = 2\n", True),
        ("def area(<|self, radius):|>\n    return 1\n", False),
        ("def area(<|self, radius):\n    return 2\n|>\n    return 1\n", False),
        ("def area(<|self, 1):|>\n    return 1\n", True),
        ("class A(<|B)|>\n    x = 1\n", False),
        # What is begun is not wrong.
        ("x = 1\nfor n in <|range(3):|>\n\nz = 4\n", False),
        ("def area(self):\n    a = 1\n    <|if a:|>\n", False),
        ("x = 1\n<|@property|>\n", False),
        ("def area(self):\n    <|try:\n        a = 1|>\n\nz = 4\n", False),
        ("x = 1\nfor n in <|range(3|>\n\nz = 4\n", True),
        # Strings and comments take anything.
        ('x = "<|) (|>"\n', False),
        ("x = 1  # <|) (|>\n", False),
        ('def area():\n    """<|) (|>\n    """\n', False),
        # A string that the document leaves open has to be closed.
        ('x = "a<|b|>\ny = 1\n', True),
        ('x = "a<|b"|>\ny = 1\n', False),
        ('x = f(\n    f"{id(a<|)|>\n)\n', True),
        ('x = f(\n    f"{id(a<|):x}>"|>\n)\n', False),
        ('def f():\n    """Of f<|oo|>\n    return 1\n', True),
        ('def f():\n    """Of f<|oo."""|>\n    return 1\n', False),
        # What is broken elsewhere does not count, what is broken here says nothing.
        (BROKEN + "x = 1\ny = <|2|>\n", False),
        (BROKEN + "x = 1\ny = <|2 +|>\n", True),
        ("x = \ny = <|2 +|>\n", True),
        ("x = 1\ny = ) <|2 +|>\n", None),
        # Too long for Python's parser.
        (LONG + OPEN.format("(self"), True),
        (LONG + OPEN.format("self"), False),
        (LONG + "    y = <|2 +|>\n", True),
        (LONG + "    y = <|2 + 3|>\n", False),
        (LONG + "    <|@property|>\n", False),
        ("y = <|2 +|>\n" + LONG, True),
        ("class Long:\n    y = <|2 +|>\n" + LONG.partition("\n")[2], True),
    ],
)
def test_a_text_is_judged_by_the_statements_around_it(marked: str, expect: bool | None) -> None:
    prefix, rest = marked.split("<|")
    text, suffix = rest.split("|>")
    read(prefix, suffix, "python")

    assert breaks_syntax(text, prefix, suffix, "python") is expect


def test_languages_without_a_grammar_are_not_judged() -> None:
    assert breaks_syntax("2 +", "x = ", "\n", "fortran") is None


@pytest.mark.parametrize(
    ("text", "valid"),
    [("x = 1\n", True), ("x =\n", False), ("x\0", False), ('"\\d"', True), ("(" * 500, False)],
)
def test_parses(text, valid):
    assert parses(text) is valid
