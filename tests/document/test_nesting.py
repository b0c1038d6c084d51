"""What is open where a text is cut."""

from __future__ import annotations

import pytest

from dg_lsp.document.nesting import brackets_around, nesting, open_text, open_text_end


@pytest.mark.parametrize(
    ("text", "opened", "closed"),
    [
        ("f(a[1])", "", ""),
        ("f(a[", "( [", ""),
        ("a)]", "", "( ["),
        ("f(']', \"(\", `[`)", "", ""),
        ("it's (a) dog's", "", ""),
        ("&'a (x: &'a", "(", ""),
        ("f'(' rb'(' (", "(", ""),
        ('"""(" (""" (', "(", ""),
        ("a = 1  # (b", "", ""),
        ("#id { // (b\n  c / (d // (e))", "{", ""),
        ("/* ( */ {", "{", ""),
        ("<ul><li>a</li>", "<ul", ""),
        ("a <b && c> d", "<b", ""),
        ("<Foo a={b} /></ul>", "", "<ul"),
        ("(<br>)", "", ""),
        # Regular expressions, and what looks like one.
        ("s.replace(/\\(([^)]*)\\)/g, (", "( (", ""),
        ("x = /[(]/, {", "{", ""),
        ("a = b / (c / d", "(", ""),
        ("a = b \\( \\)", "", ""),
        ("url(/a/b.png) (", "(", ""),
        ('x = /[abc/(]+"/, {', "{", ""),
        # Quotes that are escaped outside of a string, as in shell scripts.
        ('echo \\"(\\" {', "( {", ""),
        ('a \\\\ "(" {', "{", ""),
    ],
)
def test_nesting(text: str, opened: str, closed: str) -> None:
    found = nesting(text)
    assert [token.kind for token in found.opened] == opened.split()
    assert [token.kind for token in found.closed] == closed.split()


@pytest.mark.parametrize(
    ("document", "ending"),
    [
        ("a = |b", ""),
        ('a = "b|c" d', '"'),
        ("a = 'b'|", ""),
        ("don't |", ""),
        ("fn f<'a|>", ""),
        ('a = """b\n|c""" d', '"""'),
        ("a  # b |c\nd", "\n"),
        ("a = b  // |c\nd", "\n"),
        ("a = b // |c\nd", ""),
        ("#id |{", ""),
        ("  * a |b */ c", "*/"),
        ('a = "b \\"c|" d', '"'),
        ('echo \\"b| c', ""),
    ],
)
def test_what_is_open_and_where_it_ends(document: str, ending: str) -> None:
    prefix, suffix = document.split("|")
    assert open_text(prefix) == ending
    assert suffix[: open_text_end(suffix, ending)].endswith(ending if ending != "\n" else "c")


@pytest.mark.parametrize(
    ("document", "missing", "closed"),
    [
        ("f(|)", "", "("),
        ("f(g(|)", "(", "("),
        ("f(|", "(", ""),
        ("a|)", "", "("),
        ("{ ( | }", "(", "{"),
        ("f {\n  if {|\n  b\n}\n}\n", "{", "{ {"),
        ("f {\n  if {|\n  }\n}\n", "", "{ {"),
        ('f("(|")', "", "("),
        ('f(""" {\n (|) """)', "", "("),
        ("{ /* (\n * (|) */ }", "", "{"),
    ],
)
def test_brackets_around(document: str, missing: str, closed: str) -> None:
    prefix, suffix = document.split("|")
    lacking, closing = brackets_around(prefix, suffix)
    assert sorted(lacking.elements()) == missing.split()
    assert sorted(closing.elements()) == closed.split()
