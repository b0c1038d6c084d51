"""Which texts break a document in any language with a grammar."""

from __future__ import annotations

import pytest

from dg_lsp.document import outline, trees
from dg_lsp.document.outline import SHORT_CHARS
from dg_lsp.document.wholeness import breaks, whole_part

# A text that breaks the code, one that does not, one that only begins a block or a statement,
# and a text in code that is broken elsewhere (judged all the same) or here (not judged).
CASES = [
    ("python", "x = 1\ny = <|2 + 3|>\nz = 4\n", False),
    ("python", "x = 1\ny = <|2 +|>\nz = 4\n", True),
    ("python", "def f(a):\n    <|if a:|>\n", False),
    ("python", "def f(:\n    pass\n\n\nn = 1\n\n\nx = 1\ny = <|2 +|>\n", True),
    ("python", "x = 1\ny = ) <|2 +|>\n", None),
    ("javascript", "const a = <|f(b)|>;\nlet c;\n", False),
    ("javascript", "const a = <|f(b|>;\nlet c;\n", True),
    ("javascript", "function f() {\n  <|return a;\n}|>\n}\n", True),
    ("javascript", "function f() {\n  <|if (a) {|>\n}\n", False),
    ("javascript", "f(() => {\n  <|g();|>\n", False),
    ("javascript", "const a = ) <|f(b|>;\nlet c;\n", None),
    ("javascriptreact", "const a = <|<b>{c}</b>|>;\n", False),
    ("javascriptreact", "const a = <|<b>{c</b>|>;\n", True),
    ("typescript", "const a: <|string = 'x'|>;\n", False),
    ("typescript", "const a: <|string = |>;\n", True),
    ("typescript", "interface A {\n  <|b: string;|>\n}\n", False),
    ("typescript", "interface A {\n  <|b: string; }|>\n}\n", True),
    (
        "typescript",
        "class A {\n  b() { c(; }\n\n  d() {}\n\n  e() {\n    <|return 1;|>\n  }\n}\n",
        False,
    ),
    ("typescript", "function a(): B<string> {\n  b = c(<|1));|>\n  d();\n}\n", True),
    ("typescript", "function a(): B<string> {\n  b = c(<|1);|>\n  d();\n}\n", False),
    ("typescriptreact", "const a = <|<b>x</b>|>;\n", False),
    ("typescriptreact", "const a = <|<b>{x</b>|>;\n", True),
    ("typescriptreact", "const a = <b><|{x}|></b>;\n", False),
    ("typescriptreact", "const a = ] <|<b>{x</b>|>;\n", None),
    ("go", "package a\n\nfunc f() {\n\t<|x := 1|>\n}\n", False),
    ("go", "package a\n\nfunc f() {\n\t<|x := := 1|>\n}\n", True),
    ("go", "package a\n\nfunc f() {\n\t<|for i := range x {|>\n}\n", False),
    ("go", "package a\n\nfunc f() {\n\tx := )\n\t<|x := := 1|>\n}\n", None),
    ("rust", "fn f() {\n    <|let x = 1;|>\n}\n", False),
    ("rust", "fn f() {\n    <|let x = ;|>\n}\n", True),
    ("rust", "fn f() {\n    <|match x {|>\n}\n", False),
    ("rust", "fn f() {\n    let y = );\n    <|let x = ;|>\n}\n", None),
    ("java", "class A {\n    <|int f() { return 1; }|>\n}\n", False),
    ("java", "class A {\n    <|int f() { return 1 }|>\n}\n", True),
    ("java", "class A {\n    int f() {\n        <|while (a) {|>\n    }\n}\n", False),
    (
        "java",
        "class A {\n    int f( {\n    }\n\n    int g() { return 1; }\n\n    int h() {\n"
        "        <|return 1 +;|>\n    }\n}\n",
        True,
    ),
    (
        "java",
        "class A {\n    int f() {\n        int x = );\n        <|return 1 +;|>\n    }\n}\n",
        None,
    ),
    ("c", "int f(void) {\n  <|return 1;|>\n}\n", False),
    ("c", "int f(void) {\n  <|return 1);|>\n}\n", True),
    ("c", "int f(void) {\n  <|if (a) {|>\n}\n", False),
    ("c", "<|#ifdef A|>\nint a;\n", False),
    ("c", "int f(void) {\n  int a = );\n  <|return 1);|>\n}\n", None),
    ("cpp", "int f() {\n  <|auto x = [](int a) { return a; };|>\n}\n", False),
    ("cpp", "int f() {\n  <|auto x = [](int a) { return a; ;|>\n}\n", True),
    ("cpp", "<|class A {|>\n", False),
    ("cpp", "int f() {\n  int a = );\n  <|return 1);|>\n}\n", None),
    ("csharp", "class A {\n  <|int X { get; set; }|>\n}\n", False),
    ("csharp", "class A {\n  <|int X { get; set; |>\n}\n", True),
    ("csharp", "class A {\n  void F() {\n    <|if (a) {|>\n  }\n}\n", False),
    ("csharp", "class A {\n  void F() {\n    int b = );\n    <|return );|>\n  }\n}\n", None),
    ("ruby", "def a\n  <|if b\n    c\n  end|>\nend\n", False),
    ("ruby", "def a\n  <|b\nend|>\nend\n", True),
    ("ruby", "def a\n  <|if b|>\nend\n", False),
    ("ruby", "def a\n  b = )\n  <|c = (|>\nend\n", None),
    ("lua", "function a()\n  <|if b then c() end|>\nend\n", False),
    ("lua", "function a()\n  <|b()\nend|>\nend\n", True),
    ("lua", "function a()\n  <|if b then|>\nend\n", False),
    ("lua", "function a()\n  b <|= c(1))|>\n  if d then\n    e()\n  end\nend\n", True),
    ("lua", "function a()\n  b = )\n  <|c = (|>\nend\n", None),
    ("shellscript", "if a; then\n  <|b|>\nfi\n", False),
    ("shellscript", "if a; then\n  <|b\nfi|>\nfi\n", True),
    ("shellscript", "<|for a in b; do|>\n", False),
    ("shellscript", "if a; then\n  b )\n  <|c\nfi|>\nfi\n", None),
    ("yaml", "a:\n  <|b: 1|>\n", False),
    ("yaml", "a:\n  <|b: [1|>\n", True),
    ("yaml", "<|a:|>\n", False),
    ("yaml", "a:\n  c: ]\n  <|b: [1|>\n", None),
    ("html", "<ul><|<li>a</li>|></ul>\n", False),
    ("html", "<ul><|<li>a</b></li>|></ul>\n", True),
    ("html", "<|<ul>|>\n", False),
    ("html", "</b><ul><|<li>a</b></li>|></ul>\n", None),
    ("css", "a {\n  <|color: red;|>\n}\n", False),
    ("css", "a {\n  <|color: red; }|>\n}\n", True),
    ("css", "<|a {|>\n", False),
    ("css", "a {\n  color: );\n  <|color: red; }|>\n}\n", None),
]


@pytest.mark.parametrize(("language", "marked", "expect"), CASES)
def test_a_text_breaks_only_what_could_be_whole(
    language: str, marked: str, expect: bool | None
) -> None:
    prefix, rest = marked.split("<|")
    text, suffix = rest.split("|>")
    trees.load(language)

    assert breaks(text, prefix, suffix, language) is expect


@pytest.mark.parametrize("language", ["c", "go", "javascript", "lua", "rust"])
def test_a_long_document_is_judged_by_what_is_around_the_cursor(language: str) -> None:
    found = [case for case in CASES if case[0] == language and case[2] is not None]
    fill = {"lua": "function z()\n  é()\nend\n\n", "rust": "fn z() {\n}\n\n"}
    fill |= {"c": "int z;\n\n", "go": "var z int\n\n", "javascript": "é();\n\n"}
    trees.load(language)
    for _, marked, expect in found:
        prefix, rest = marked.split("<|")
        text, suffix = rest.split("|>")
        far = fill[language] * (2 * SHORT_CHARS // len(fill[language]))
        start = "package a\n\n" if language == "go" else ""
        prefix, suffix = start + far + prefix.removeprefix(start), suffix + far
        outline.read(prefix, suffix, language)
        assert breaks(text, prefix, suffix, language) is expect, marked


def test_there_are_cases_for_every_language() -> None:
    for language in trees.LANGUAGES:
        found = {expect for one, _, expect in CASES if one == language}
        assert found >= {True, False}


def test_a_language_without_a_grammar_is_not_judged() -> None:
    assert not trees.load("fortran")
    assert breaks(")", "x = (", ")", "fortran") is None


# Language, document with the text that runs past its block, what is left of it.
ENDS = [
    ("javascript", "function f() {\n  <|a();\n}\n\nb();|>\n}\n", "a();"),
    ("javascriptreact", "function f() {\n  <|a();\n}\n\nb();|>\n}\n", "a();"),
    ("typescript", "class A {\n  <|a = 1;\n  b = 2;\n}\n\nb();|>\n}\n", "a = 1;\n  b = 2;"),
    ("typescriptreact", "function f() {\n  <|return <b/>;\n}|>\n}\n", "return <b/>;"),
    ("go", "package a\n\nfunc f() {\n\t<|a()\n}\n\nvar b = 1|>\n}\n", "a()"),
    ("rust", "fn f() {\n    <|a();\n}\n\nstruct B;|>\n}\n", "a();"),
    ("java", "class A {\n  void f() {\n    <|a();\n  }\n}|>\n  }\n}\n", "a();"),
    ("c", "int f(void) {\n  <|return 1;\n}\n\nint b;|>\n}\n", "return 1;"),
    ("cpp", "int f() {\n  <|return 1;\n}\n\nint b;|>\n}\n", "return 1;"),
    ("csharp", "class A {\n  <|int b;\n  int c;\n}\n\nclass B {}|>\n}\n", "int b;\n  int c;"),
    ("ruby", "def a\n  <|b\nend\n\nc = 1|>\nend\n", "b"),
    ("lua", "function a()\n  <|b()\nend\n\nc = 1|>\nend\n", "b()"),
    ("shellscript", "if a; then\n  <|b\nfi\nc|>\nfi\n", "b"),
    ("css", "a {\n  <|color: red;\n}|>\n}\n", "color: red;"),
    ("html", "<ul>\n  <|<li>a</li>\n</ul>\n<p>b</p>|>\n</ul>\n", "<li>a</li>"),
    ("yaml", "a:\n  <|b: 1\n  c: [|>\n", "b: 1"),
    # What is broken from its beginning, and what is whole up to its end.
    ("javascript", "function f() {\n  <|a(;\n  b();|>\n}\n", ""),
    ("lua", "function a()\n  b = )\n  <|c()\nend|>\nend\n", ""),
]


@pytest.mark.parametrize(("language", "marked", "expect"), ENDS)
def test_a_text_ends_where_its_block_does(language: str, marked: str, expect: str) -> None:
    prefix, rest = marked.split("<|")
    text, suffix = rest.split("|>")
    trees.load(language)

    assert whole_part(text, prefix, suffix, language) == expect
