"""Where an infill ends, and what it closes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.document.scope import limit_to_scope

CODE = st.text(alphabet=st.sampled_from("ab1 \t\r\n(){}[]\"';:,<>/e\u0301"), max_size=40)
LANGUAGES = st.sampled_from(["python", "c", "html", "plaintext"])


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


@settings(deadline=None)
@given(CODE, CODE, CODE, LANGUAGES)
def test_limiting_only_shortens(infill: str, prefix: str, suffix: str, language: str) -> None:
    assert infill.startswith(limit_to_scope(infill, prefix, suffix, language))
