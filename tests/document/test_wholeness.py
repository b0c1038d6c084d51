"""Which texts break a document in any language with a grammar."""

from __future__ import annotations

import pytest

from dg_lsp.document import outline, trees
from dg_lsp.document.outline import SHORT_CHARS
from dg_lsp.document.wholeness import adds_faults, breaks, whole_part

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
    # More of the languages above, most of them in the middle of an edit.
    (
        "csharp",
        "class A {\n  void F() {\n    var b = <|c.Select(x => x.D).ToList();|>\n  }\n}\n",
        False,
    ),
    ("csharp", "class A {\n  void F() {\n    var b = <|c.Select(x => x.D;|>\n  }\n}\n", True),
    ("csharp", "class A {\n  void F() {\n    <|foreach (var b in c)|>\n  }\n}\n", False),
    ("csharp", "class A {\n  List<string> b = <|new();|>\n  int c;\n}\n", False),
    (
        "csharp",
        "class A {\n  [Fact]\n  <|public async Task F() {|>\n    await G();\n  }\n}\n",
        False,
    ),
    (
        "csharp",
        "class A {\n  void F( {\n  }\n\n  int b;\n\n  void G() {\n    <|H(1;|>\n  }\n}\n",
        True,
    ),
    ("csharp", 'class A {\n  string F() => <|$"{b}";|>\n}\n', False),
    ("csharp", 'class A {\n  string F() => <|$"{b;|>\n}\n', True),
    (
        "ruby",
        "class A\n  def b\n    <|c.each do |d|\n      puts d\n    end|>\n  end\nend\n",
        False,
    ),
    ("ruby", "class A\n  def b\n    <|c.each do |d|\n      puts d|>\n  end\nend\n", False),
    (
        "ruby",
        "class A\n  def b\n    c.each do |d|\n      <|puts d\n    end\n    end|>\n"
        "    end\n  end\nend\n",
        True,
    ),
    ("ruby", "x = [<|1, 2|>]\ny = 3\n", False),
    ("ruby", "x = [<|1, 2]|>]\ny = 3\n", True),
    ("ruby", "def a(\n  1\nend\n\ndef b\n  x = <|{ c: 1 |>\nend\n", True),
    ("ruby", 'x = "a#{<|b|>}"\ny = 1\n', False),
    ("ruby", 'x = "a#{<|b)|>}"\ny = 1\n', True),
    ("lua", "local a = {\n  <|b = 1,|>\n}\n", False),
    ("lua", "local a = {\n  <|b = 1 }|>\n}\n", True),
    ("lua", "for a, b in <|pairs(c) do|>\n  d()\nend\n", False),
    ("lua", "for a = 1, 2 do\n  <|b(function()\n    c()\n  end)|>\nend\n", False),
    ("lua", "for a = 1, 2 do\n  <|b(function()\n    c()\n  end|>\nend\n", True),
    ("lua", "local a = <|[[\nfunction (\n]]|>\nb()\n", False),
    ("lua", "-- <|function (|>\na()\n", False),
    ("shellscript", 'a=<|$(b "$c")|>\nd\n', False),
    ("shellscript", 'a=<|$(b "$c"|>\nd\n', True),
    ("shellscript", "case $a in\n  b)\n    <|c\n    ;;|>\nesac\n", False),
    ("shellscript", "a() {\n  <|if b; then|>\n    c\n  fi\n}\n", False),
    ("shellscript", "a() {\n  while b; do\n    <|c\n  done|>\n  done\n}\n", True),
    ("shellscript", "cat <<E\n<|if (|>\nE\na\n", False),
    ("shellscript", "a | <|grep '(' |>\nb\n", False),
    ("yaml", "a:\n  - b: 1\n    <|c: [d, e]|>\n", False),
    ("yaml", "a:\n  - b: 1\n    <|c: {d: 1|>\n", True),
    ("yaml", "a: <|'b'|>\nc: 1\n", False),
    ("yaml", "a: <|'b|>\nc: 1\n", True),
    ("yaml", "a: |\n  <|b: [|>\nc: 1\n", False),
    ("yaml", "a: {\nb: 1\n\nc:\n  - d\n  - <|[e|>\n", True),
    ("html", "<div>\n  <|<p class='a'>b</p>|>\n</div>\n", False),
    ("html", "<div>\n  <|<p class='a'>b</p></div>|>\n</div>\n", True),
    ("html", "<div>\n  <|<img src='a'>|>\n</div>\n", False),
    ("html", "<a <|href='b'|>>c</a>\n", False),
    ("html", "<p>a</b></p>\n\n<div>\n  b\n</div>\n\n<ul>\n  <|<li>a</li></p>|>\n</ul>\n", True),
    ("css", "a { <|color: red;|> }\nb { margin: 0 }\n", False),
    ("css", "a { color: <|rgb(1, 2, 3);|> }\n", False),
    ("css", "a { color: <|rgb(1, 2, 3;|> }\n", True),
    ("css", "@media <|(min-width: 1px) {|>\n  a { margin: 0 }\n}\n", False),
    ("css", "a {\n  b: c\n\nd {\n  <|margin: 0;|>\n}\n", False),
    (
        "typescriptreact",
        "function A() {\n  return (\n    <ul>\n"
        "      <|{a.map((b) => <li key={b}>{b}</li>)}|>\n    </ul>\n  );\n}\n",
        False,
    ),
    (
        "typescriptreact",
        "function A() {\n  return (\n    <ul>\n"
        "      <|{a.map((b) => <li key={b}>{b}</li>}|>\n    </ul>\n  );\n}\n",
        True,
    ),
    ("typescriptreact", "const a = <b <|onClick={() => c()}|>>d</b>;\n", False),
    ("typescriptreact", "const a = <b <|onClick={() => c(}|>>d</b>;\n", True),
    (
        "typescriptreact",
        "function A({ b }: { b: string }) {\n  const c = useState<|<string[]>([])|>;\n}\n",
        False,
    ),
    ("typescriptreact", "type A = {\n  <|b?: string;|>\n};\n", False),
    ("typescriptreact", "type A = {\n  <|b?: string; }|>\n};\n", True),
    ("java", "class A {\n  List<String> a = <|new ArrayList<>();|>\n}\n", False),
    ("java", "class A {\n  List<String> a = <|new ArrayList<>(;|>\n}\n", True),
    (
        "java",
        "class A {\n  void f() {\n    <|a.forEach(b -> {\n      c(b);\n    });|>\n  }\n}\n",
        False,
    ),
    (
        "java",
        "class A {\n  void f() {\n    <|a.forEach(b -> {\n      c(b);\n    };|>\n  }\n}\n",
        True,
    ),
    (
        "java",
        "class A {\n  @Override\n  <|public String toString() {|>\n    return a;\n  }\n}\n",
        False,
    ),
    (
        "java",
        "class A {\n  void f() {\n    try {\n      g();\n    } <|catch (B b) {\n"
        "    }|>\n  }\n}\n",
        False,
    ),
    ("java", "class A {\n  void f() {\n    <|int[] a = {1, 2;|>\n  }\n}\n", True),
    ("c", "static const int a[] = {\n  <|1, 2,|>\n};\n", False),
    ("c", "static const int a[] = {\n  <|1, 2 };|>\n};\n", True),
    ("c", "int f(int a)\n{\n  switch (a) {\n  <|case 1:\n    return 2;|>\n  }\n}\n", False),
    ("c", "#ifdef A\nint b;\n<|#else\nint c;|>\n#endif\n", False),
    ("c", "struct a {\n  <|int b;|>\n};\n", False),
    ("c", "int f(void) {\n  for (i = 0; <|i < n; i++) {|>\n    g();\n  }\n}\n", False),
    ("c", "int f( {\n}\n\nint g(void);\n\nint h(void) {\n  return <|a[1;|>\n}\n", None),
    ("javascript", "f(a, <|(b) => {\n  c();\n}|>);\n", False),
    ("javascript", "f(a, <|(b) => {\n  c();\n})|>);\n", True),
    ("go", "package a\n\nfunc f() {\n\tgo <|func() {\n\t\tg()\n\t}()|>\n}\n", False),
    ("go", "package a\n\nfunc f() {\n\tgo <|func() {\n\t\tg()\n\t}(|>\n}\n", True),
    ("rust", "fn f() -> Vec<u8> {\n    a.iter().map(<||b| b + 1|>).collect()\n}\n", False),
    ("rust", "fn f() -> Vec<u8> {\n    a.iter().map(<||b| (b + 1|>).collect()\n}\n", True),
    ("cpp", "std::vector<int> a = <|{1, 2};|>\nint b;\n", False),
    ("cpp", "std::vector<int> a = <|{1, 2;|>\nint b;\n", True),
]


@pytest.mark.parametrize(("language", "marked", "expect"), CASES)
def test_a_text_breaks_only_what_could_be_whole(
    language: str, marked: str, expect: bool | None
) -> None:
    prefix, _, rest = marked.partition("<|")
    text, _, suffix = rest.partition("|>")
    trees.load(language)

    assert breaks(text, prefix, suffix, language) is expect


@pytest.mark.parametrize("language", ["c", "go", "javascript", "lua", "rust"])
def test_a_long_document_is_judged_by_what_is_around_the_cursor(language: str) -> None:
    found = [case for case in CASES if case[0] == language and case[2] is not None]
    fill = {"lua": "function z()\n  é()\nend\n\n", "rust": "fn z() {\n}\n\n"}
    fill |= {"c": "int z;\n\n", "go": "var z int\n\n", "javascript": "é();\n\n"}
    trees.load(language)
    for _, marked, expect in found:
        prefix, _, rest = marked.partition("<|")
        text, _, suffix = rest.partition("|>")
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
    prefix, _, rest = marked.partition("<|")
    text, _, suffix = rest.partition("|>")
    trees.load(language)

    assert whole_part(text, prefix, suffix, language) == expect


# Language, document with the selected text, what is written instead, whether that adds faults.
REWRITES = [
    ("javascript", "f(<|a|>);\n", "b", False),
    ("javascript", "f(<|a|>);\n", "b)", True),
    ("javascript", "f(<|a|>;\n", "b", None),
    ("javascript", "const a = <|'('|>;\n", "')'", False),
    ("shellscript", "<|if a; then\n  b\nfi|>\n", "if a; then\n  c\nfi", False),
    ("shellscript", "<|if a; then\n  b\nfi|>\n", "if a; then\n  c", True),
    ("yaml", "a: <|[b]|>\n", "[b, c]", False),
    ("yaml", "a: <|[b]|>\n", "[b, c", True),
    ("rust", "fn f<'a>(<|b: &'a str|>) {}\n", "c: &'a str, d: &'a str", False),
    ("lua", "function a()\n  <|b()|>\nend\n", "if b then\n    c()", True),
    ("fortran", "f(<|a|>)\n", "b)", None),
]


@pytest.mark.parametrize(("language", "marked", "text", "expect"), REWRITES)
def test_a_rewrite_is_compared_with_what_it_replaces(language, marked, text, expect) -> None:
    prefix, _, rest = marked.partition("<|")
    replaced, _, suffix = rest.partition("|>")
    trees.load(language)

    assert adds_faults(text, replaced, prefix, suffix, language) is expect
