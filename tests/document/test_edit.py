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
    match_newlines,
    minimal_replacement,
)
from dg_lsp.document.position import may_cut

CASES = sorted((Path(__file__).parent.parent / "cases" / "edit").glob("*.txt"))
CODE = st.text(alphabet=st.sampled_from("ab1 \t\r\n(){}[]\"';:,<>/e\u0301"), max_size=40)
NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])
LANGUAGES = st.sampled_from(["python", "c", "html", "plaintext"])


# Language, document with the cursor, what the model wrote, what is left of it.
WHAT_IS_THERE = [
    # Quotes that the editor has closed.
    ("javascript", "import x from '¦'\n", "./x';", "./x"),
    ("typescript", "import { a } from '¦';\n", "./a';\nimport { b } from './b';\n", "./a"),
    ("javascript", 'd = {"¦"}', 'a": 1, "b": 2}', ""),
    ("javascript", 'f("¦")', 'a", 1);', "a"),
    ("javascript", "f('¦', b)", "a', b);", "a"),
    ("json", '{"a": "¦"}', 'x", "b": "y"}', 'x", "b": "y'),
    ("json", '{"¦": 1}', 'a": 1}', "a"),
    ("html", '<a href="¦">home</a>', '/index.html">home</a>', "/index.html"),
    ("html", '<a href="¦">', 'x" class="y">home', 'x" class="y'),
    ("javascriptreact", "<Box name='¦' />", "a' size={1} />", "a"),
    ("css", 'a::before { content: "¦"; }', '>"; color: red; }', ">"),
    ("go", 'fmt.Println("¦")', 'a", b)', "a"),
    ("rust", 'println!("¦")', '{}", x);', "{}"),
    ("java", 'log.info("¦");', 'done");\n    return;', "done"),
    ("c", '#include "¦"\n', 'a.h"\n#include "b.h"', "a.h"),
    ("lua", "local a = require('¦')", "a.b')\nlocal c = 1", "a.b"),
    ("ruby", "require '¦'", "json'\nrequire 'set'", "json"),
    ("shellscript", 'echo "¦"', '$a" > out', "$a"),
    ("yaml", 'name: "¦"', 'a b"\nversion: 1', "a b"),
    ("python", "d['¦'] = 1", "key'] = 2", "key"),
    ("python", "d = {'¦'}", "a': 1", ""),
    ("makefile", "NAME = '¦'", "a'\nB = 2", "a"),
    # Quotes of the document's own making.
    ("javascript", "f('¦", "a', 'b')", "a', 'b')"),
    ("javascript", "s = `¦`", "${a}`;", "${a}"),
    ("python", 'x = f"¦"', '{d["a"]} and {e}', '{d["a"]} and {e}'),
    ("python", "x = '¦' + 'b'", "a' + 'c", "a' + 'c"),
    # Closers of nothing.
    ("javascript", "foo(a, ¦\nbar()\n", "b));", "b);"),
    ("typescript", "const a = [1, ¦\nb()\n", "2]]);", "2];"),
    ("javascript", "function f() {\n}\n¦\n", "}", ""),
    ("javascript", "function f() {\n}\n¦\n", "g();\n}\n", "g();"),
    ("javascript", "foo();\n¦\n", "});", ""),
    ("go", "func f() {\n}\n\n¦", "}\n", ""),
    ("rust", "fn f() {\n}\n¦\n", "}\n\nfn g() {\n}\n", ""),
    ("java", "class A {\n  int x;\n}\n¦\n", "}", ""),
    ("c", "int x = f(a¦;\n", "))", ")"),
    ("css", "a { color: red; }\n¦\n", "}", ""),
    ("css", "a { color: red; }\n¦\n", "b { margin: 0; }\n}", "b { margin: 0; }"),
    ("json", "[1, ¦\n", "2]]", "2]"),
    ("html", "<p>a</p>\n¦\n", "</p>", ""),
    ("html", "<p>¦\n", "a</p></div>", "a</p>"),
    ("lua", "function f()\nend\n¦\n", "end", ""),
    ("lua", "print(a¦\n", "))", ")"),
    ("ruby", "def f\n  1\nend\n¦\n", "end\n", ""),
    ("ruby", "def f\n  1\n¦\n", "end", "end"),
    ("lua", "if a then\n  b()\n¦\nc()\n", "else\n  d()\nend", "else\n  d()\nend"),
    ("shellscript", "if true; then\n  a\nfi\n¦\n", "fi", ""),
    ("shellscript", "for a in b; do\n  a\n¦\n", "done", "done"),
    ("shellscript", "case $1 in\n  ¦\nesac\n", "a) b ;;", "a) b ;;"),
    ("yaml", "a: [1, ¦\nb: 2\n", "2]]", "2]"),
    ("makefile", "A = $(word 1,¦\n", "$(B)))", "$(B))"),
    ("python", "foo(a, ¦\nbar()\n", "b))", "b)"),
    ("javascript", "foo(a¦)\n", '";', ""),
    ("typescript", "const a = b¦\n", "';", ";"),
    # Closers that the document lacks.
    ("javascript", "foo(bar(a, ¦\n", "b));", "b));"),
    ("javascript", "class A {\n  f() {\n    a(¦\n", "b);\n  }\n}\n", "b);\n  }\n}"),
    ("go", "func f() {\n\tif a {\n\t\tb(¦\n", ")\n\t}\n}\n", ")\n\t}\n}"),
    ("rust", "fn f() {\n    g(¦\n", "x);\n}\n\nfn h() {\n}\n", "x);\n}\n\nfn h() {\n}"),
    ("css", "a {\n  color: ¦\n", "red;\n}", "red;\n}"),
    ("html", "<ul>\n  <li>¦\n", "a</li>\n</ul>", "a</li>\n</ul>"),
    ("java", 'f("(");\ng(a¦\n', ");", ");"),
    ("javascript", "s.replace(¦\n", "/\\(([^)]*)\\)/g, '$1');", "/\\(([^)]*)\\)/g, '$1');"),
    ("javascript", "s.replace(/[)]/g, ¦\n", "'');", "'');"),
    ("ruby", "x = s.scan(¦\n", "/[^)]+\\)/)", "/[^)]+\\)/)"),
    ("makefile", "ifdef A\nB = 1\n¦\n", "endif", "endif"),
    ("makefile", "ifdef A\nB = 1\nendif\n¦\n", "endif", ""),
    ("shellscript", "if a; then\nb\n¦\n", "fi", "fi"),
    ("ruby", "def f\n  1\n# c\n¦\n", "end", "end"),
    ("lua", "for a = 1, 2 do\n  b()\nend\n¦\n", "end", ""),
    ("lua", "f(function()\n  b()\n¦\n", "end)", "end)"),
    ("matlab", "B = (A + 1)¦\n", "';", "';"),
    ("ruby", "x = ¦\n", 'f("\n  a\n")', 'f("\n  a\n")'),
    ("json", '{\n  "a": 0,¦\n  "b": 1\n}\n', '\n  ",', ""),
    ("typescript", "f();\n¦\n", "g();\n'", "g();"),
    # The end of a string that has begun lines above.
    ("rust", 'f(r#"a\n¦\n)?;\n', 'b"#,', 'b"#,'),
    ("php", '$a = "b\n¦\n', 'c";', 'c";'),
    ("rust", 'f("a\\"");\n¦\n', 'g();\n"', "g();"),
    # Lifetimes of Rust are no quotes.
    (
        "rust",
        "¦\n",
        "fn f<'a, 'b>(x: &'a u8) -> u8 {\n    1\n}",
        "fn f<'a, 'b>(x: &'a u8) -> u8 {\n    1\n}",
    ),
    ("rust", "fn f<¦>(x: &'a u8) {}\n", "'a, T: Fn(&'a u8) -> u8", "'a, T: Fn(&'a u8) -> u8"),
    ("rust", "where ¦\n", "T: 'a + Fn(&'a u8), U: 'a", "T: 'a + Fn(&'a u8), U: 'a"),
    ("rust", "f(a¦\n", ", 'b');\n});", ", 'b');"),
    # What only looks like it.
    ("html", "<b>a</b> <spa¦\n", "n>for</span> b", "n>for</span> b"),
    ("lua", "local a = 1\n¦\n", "-- In [0..a).", "-- In [0..a)."),
    ("lua", "f(a .. '<¦]')\n", "b' .. '<", "b' .. '<"),
    ("lua", 'f(¦]")\n', 'a .. "', 'a .. "'),
    ("css", "/* a\n   ¦\n*/\n", "b) 'c' d\"", "b) 'c' d\""),
    ("c", "int a;\n¦\n", "/* b)\n * 'c' d\"", "/* b)\n * 'c' d\""),
    ("makefile", "a:\n\tcase b in \\\n\t¦\n", "c) d ;; esac", "c) d ;; esac"),
    ("python", "a = [\n    'b',\n    ¦\n    'b',\n]\n", "'b',", "'b',"),
    # The next line, the next lines.
    ("python", "a = 1\n¦\nb = 2\nc = 3\n", "b = 2", ""),
    ("javascript", "a = 1\n¦\nb = 2\nc = 3\n", "b = 2", ""),
    ("go", "\ta := 1\n\t¦\n\tb := 2\n\tc := 3\n", "b := 2\n\tc := 3", ""),
    ("rust", "    a();\n    ¦\n    b();\n", "b();\n", ""),
    ("java", "    a();\n¦\n    b();\n    c();\n", "    b();\n    c();\n    d();", ""),
    ("c", "#include <a.h>\n¦\n#include <b.h>\n", "#include <b.h>", ""),
    ("css", "  a: b;\n  ¦\n\n  c: d;\n", "c: d;", ""),
    ("json", '{\n  ¦\n  "a": 1\n}\n', '"a": 1', ""),
    ("html", "<ul>\n  ¦\n  <li>a</li>\n</ul>\n", "<li>a</li>\n</ul>", ""),
    ("yaml", "a: 1\n¦\nb: 2\nc: 3\n", "b: 2\nc: 3", ""),
    ("lua", "local a = 1\n¦\nlocal b = 2\n", "local b = 2", ""),
    ("ruby", "a = 1\n¦\nb = 2\n", "b = 2", ""),
    ("shellscript", "a=1\n¦\nb=2\n", "b=2", ""),
    ("makefile", "A = 1\n¦\nB = 2\n", "B = 2", ""),
    ("typescript", "f(¦)\ng();\nh();\n", "a)\ng();\nh();\ni();\n", "a"),
    ("python", "x = ¦\ny = 2\nz = 3\n", "1\ny = 2\nz = 3\nw = 4", "1"),
    (
        "python",
        "¦\n@property\ndef b(): ...\n",
        "@property\ndef a(): ...\n",
        "@property\ndef a(): ...",
    ),
    ("javascript", "a = 1\n¦\nb = 2\nc = 3\n", "b = 2\nd = 4", "b = 2\nd = 4"),
    ("c", "int a;\n¦\n}\n\nint c;\n", "int b;\n}\n\nint", "int b;"),
    (
        "go",
        '¦\nimport "b"\n\nx\n',
        'import "a"\nimport "b"\n\nf',
        'import "a"\nimport "b"\n\nf',
    ),
    ("lua", "  if a then\n    ¦\n  end\nend\n", "b()\n  end\nend\n", "b()"),
    # A text that goes on to where the document does.
    (
        "python",
        "for a in b:\n    if a:\n        ¦\n    d(a)\n",
        "c(a)\n    else:\n        e(a)",
        "c(a)\n    else:\n        e(a)",
    ),
    ("python", "if a:\n    ¦\n    c()\n", "b()\nd()", "b()"),
    ("python", "def f():\n    ¦\n\ng()\n", "b()\n\ndef h():\n    c()", "b()"),
    (
        "css",
        "a {\n  b: c;\n¦\n}\n",
        "}\n\nd {\n  e: f;",
        "}\n\nd {\n  e: f;",
    ),
    (
        "json",
        '{\n  "a": {\n    "b": 1\n  ¦\n  }\n}\n',
        '},\n  "c": {\n    "d": 2',
        '},\n  "c": {\n    "d": 2',
    ),
    (
        "go",
        "\tif a {\n\t\tb()\n\t¦\n\t}\n",
        "} else if c {\n\t\tb()\n\t}\n\tif d {\n\t\te()",
        "} else if c {\n\t\tb()\n\t}\n\tif d {\n\t\te()",
    ),
    ("c", "int a() {\n  ¦\n}\n", "b();\n}\n\nint c() {\n  d();", "b();"),
    ("javascript", "f(¦)\n", "a)\ng(b", "a"),
    (
        "cmake",
        "a(b\n  ¦\n  g)\n",
        "c)\nd(e PRIVATE",
        "c)\nd(e PRIVATE",
    ),
    ("html", "<li>¦</li>\n", "a</li>\n<li>b", "a"),
    (
        "html",
        "<ul>\n  <li>\n    ¦\n  </li>\n</ul>\n",
        "a\n  </li>\n  <li>\n    b",
        "a\n  </li>\n  <li>\n    b",
    ),
    # Lines that the document has many times.
    (
        "toml",
        '[[a]]\nb = "1"\nc = 2\n\n[[a]]\nb = "3"\n¦\nc = 2\n\n[[a]]\nb = "5"\n',
        'c = 2\n\n[[a]]\nb = "4"',
        'c = 2\n\n[[a]]\nb = "4"',
    ),
    (
        "go",
        "\t¦\n\t\treturn a\n\t}\n\treturn b\n",
        "if c {\n\t\treturn a\n\t}\n\tif d {",
        "if c {\n\t\treturn a\n\t}\n\tif d {",
    ),
    ("html", "<div>\n  <div>\n    a\n  ¦\n</div>\n", "</div>", "</div>"),
    ("html", "<div>\n<div>\na\n¦\n</div>\n", "</div>", "</div>"),
    # What the model writes again of the suffix, in the brackets that it opens itself.
    ("javascript", "if (!f(i¦\n  return;\n}\n", "tem)) {\n  return;\n}", "tem)) {"),
    ("c", "  if (!f(i¦\n    g();\n  }\n", "tem)) {\n    g();\n  }\n", "tem)) {"),
    ("java", "if (!f(i¦)) {\n  g();\n}\n", "tem)) {\n  g();\n}", "tem"),
    ("python", "if not f(i¦\n    return\ng()\n", "tem):\n    return\ng()", "tem):"),
    # Brackets that are text.
    ("lua", "local a = ¦\n", "[[a ] b]]", "[[a ] b]]"),
    ("lua", "local a = [==[\n¦\n]==]\n", "f(a)) }", "f(a)) }"),
    ("lua", "f(¦\n-- In [0..a).\n", "a)", "a)"),
    ("html", "<p>(a, ¦\nb.</p>\n", "<b>c</b>), d) e", "<b>c</b>), d) e"),
    ("html", "<script>\nf(a, ¦\n</script>\n", "b));", "b);"),
    (
        "makefile",
        "A = $(B ¦\n\nc:\n\tcase d in \\\n\te) f ;; esac\n",
        "g).h",
        "g).h",
    ),
    # Quotes that end one string and begin another.
    ("python", "f(('a', 'b¦ 'c'), 1)\n", "', 'd'), ('e',", "', 'd'), ('e',"),
    ("xml", '<a b="¦\n', 'c\n\td,e"/>', 'c\n\td,e"/>'),
    # The mask of a secret.
    ("python", "password = 's3cr3t'\nx = ¦", "'*****'", ""),
    ("javascript", "const a = 1;\nconst b = ¦\n", '"********";', ""),
    ("yaml", "a: 1\npassword: ¦\n", "************", ""),
    ("go", "x := ¦\n", "1\ny := `****`\nz := 3", "1"),
    ("shellscript", "export A=¦\n", "*****", ""),
    ("ruby", "a = ¦\n", "'sk-******'", ""),
    ("java", "String a = ¦;\n", '"******-****"', ""),
    ("markdown", "token: ¦\n", "`********`", ""),
    # Asterisks that are none.
    ("python", "def f(¦):\n", "*args, **kwargs", "*args, **kwargs"),
    ("c", "void f(¦)\n", "char ***argv", "char ***argv"),
    ("java", "¦\nclass A {}\n", "/**\n * A.\n ***********/", "/**\n * A.\n ***********/"),
    ("python", "# ¦\n", "*********", "*********"),
    ("c", "/¦\n", "*******\n * a\n *******/", "*******\n * a\n *******/"),
    ("markdown", "a\n\n¦\n\nb\n", "****", "****"),
    ("markdown", "¦\n", "**a** and ***b***", "**a** and ***b***"),
    ("javascript", "x = 2 ¦\n", "** 3", "** 3"),
    ("python", 'a = "*****"\nb = ¦\n', '"*****"', '"*****"'),
]
BLANKS = [
    ("javascript", "foo(¦)", "  ", ""),
    ("python", "def f():\n    return 1¦", "\n    ", ""),
    ("python", "x = ¦\n", "1   ", "1"),
    ("go", "\t¦\n", "a()  \n\tb()\t\n", "a()\n\tb()"),
    ("css", "a ¦\n", "{  \n  color: red; \n}", "{\n  color: red;\n}"),
    ("markdown", "¦\n", "one  \ntwo \nthree  ", "one  \ntwo\nthree"),
    ("rust", "x = ¦ + 1;", "a ", "a"),
    ("rust", "x = ¦b;", "a + ", "a + "),
    ("html", "<p>¦</p>", "a ", "a "),
    ("lua", "¦\n", "\t\n\n", ""),
]
INDENT = [
    # On a line of indentation.
    ("javascript", "  if (x) {\n    ¦\n  }\n", "    y();\n    z();\n", "y();\n    z();"),
    ("python", "if a:\n    ¦\n", "    b\n    c\n", "b\n    c"),
    ("python", "if a:\n    ¦\n", "    if b:\n        c\n", "if b:\n        c"),
    ("python", "    a = 1\n    ¦\n", "    b = 2", "b = 2"),
    ("python", "if a:\n  ¦\n", "  b\n    c", "  b\n    c"),
    ("go", "\tif a {\n\t\t¦\n\t}\n", "\t\tb()\n\t\tc()", "b()\n\t\tc()"),
    ("typescript", "  if (x) {\n  ¦\n  }\n", "    y();", "  y();"),
    ("java", "    if (x) return;\n    ¦\n", "    y();", "y();"),
    ("css", "a {\n  ¦\n}\n", "  color: red;\n  margin: 0;", "color: red;\n  margin: 0;"),
    ("html", "<ul>\n  ¦\n</ul>\n", "  <li>a</li>\n  <li>b</li>", "<li>a</li>\n  <li>b</li>"),
    ("lua", "if a then\n  ¦\nend\n", "  b()\n  c()", "b()\n  c()"),
    ("yaml", "a:\n  ¦\n", "  b: 1\n  c: 2", "b: 1\n  c: 2"),
    ("rust", "    foo(\n    ¦\n", "    a,", "    a,"),
    # Recipes.
    (
        "makefile",
        "SRC = a.c \\\n    b.c \\\n    c.c\n\nx:\n\techo\n\nall:¦\n",
        "\n\tgcc -o a $(SRC)",
        "\n\tgcc -o a $(SRC)",
    ),
    ("makefile", "all:¦\n", "\n    gcc a.c\n    ./a", "\n\tgcc a.c\n\t./a"),
    (
        "makefile",
        "all: b\n¦",
        "    gcc a.c \\\n        b.c\n\nc:\n  echo",
        "\tgcc a.c \\\n        b.c\n\nc:\n\techo",
    ),
    ("makefile", "A = 1\nifdef B¦\n", "\n  C = 2\nendif", "\n  C = 2\nendif"),
    ("makefile", "A := b \\\n¦\n", "    c", "    c"),
    # One space a level in a file of tabs; other steps.
    (
        "go",
        "func f() {\n\tif a {¦\n\t}\n}\n",
        "\n  b()\n  if c {\n   d()\n  }",
        "\n\t\tb()\n\t\tif c {\n\t\t\td()\n\t\t}",
    ),
    ("python", "class A:\n\tdef f(self):¦\n", "\n  return 1", "\n\t\treturn 1"),
    (
        "javascript",
        "function f() {\n\ta();\n}\nfunction g() {¦\n",
        "\n b();\n if (c) {\n  d();\n }\n}",
        "\n\tb();\n\tif (c) {\n\t\td();\n\t}\n}",
    ),
    (
        "ruby",
        "def a\n  b\nend\n\ndef c¦\n",
        "\n    if d\n        e\n    end\nend",
        "\n  if d\n    e\n  end\nend",
    ),
    ("yaml", "a:¦\n", "\n\tb: 1", "\n  b: 1"),
    # Both in one document, as in GNU's style.
    (
        "cpp",
        "  if (a)\n    {\n      ¦\n\t  d();\n\t}\n    }\n",
        "if (b)\n\t{\n\t  c();",
        "if (b)\n\t{\n\t  c();",
    ),
    ("go", "func f() {¦", "\n    a()\n}", "\n\ta()\n}"),
]


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


@pytest.mark.parametrize("row", [*WHAT_IS_THERE, *BLANKS, *INDENT])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_form_of_what_is_offered(row: tuple[str, str, str, str], newline: str) -> None:
    language = row[0]
    document, infill, expect = (part.replace("\n", newline) for part in row[1:])
    prefix, suffix = document.split("¦")

    assert finish(row[2], prefix, suffix, newline, language) == expect
    assert finish(infill, prefix, suffix, newline, language) == expect
    assert finish(expect, prefix, suffix, newline, language) == expect


@pytest.mark.parametrize(
    ("unit", "expect"),
    [
        ("  ", "\n  w();\n}"),
        ("\t", "\n\tw();\n}"),
        ("        ", "\n        w();\n}"),
        ("", "\n    w();\n}"),
    ],
)
def test_the_editors_indentation_counts_where_the_document_shows_none(unit, expect) -> None:
    around = ("", "\n", "javascript")
    written = "\n    w();\n}"
    assert finish(written, "function b() {", *around, indent_unit=unit) == expect
    shown = "function a() {\n   v();\n}\nfunction b() {"
    assert finish(written, shown, *around, indent_unit=unit) == "\n   w();\n}"


@pytest.mark.parametrize(
    ("language", "document", "replaced", "infill", "expect"),
    [
        ("python", "def f():\n¦\n", "a = 1\n\tb = 2", "if a:\n        b", "if a:\n\tb"),
        ("python", "def f():\n\t¦\n\nf()\n", "a\n\tb", "if a:\n        b", "if a:\n\t\tb"),
        ("go", "func f() {\n¦\n}\n", "a()\n\tb()", "    c()\n    d()", "c()\n\td()"),
        # Blanks at the ends are the selection's own.
        ("javascript", "a\n¦\nc\n", "b", "\n\nd();\n\n", "d();"),
        # A selection over several scopes may be written anew over as many.
        ("python", "if a:\n    ¦\n", "b\nc", "d\ne", "d\ne"),
        ("python", "if a:\n    ¦\nd\n", "b\n    c", "e\nd", "e"),
        # What a rule would change in the selection too stays.
        (
            "php",
            "$a = [\n¦\n];\n",
            "  'b' => [\n  ],\n  ]",
            "  'c' => [\n  ],\n  ]",
            "'c' => [\n  ],\n  ]",
        ),
        ("html", "<p>a\n¦\n", "b</p>\n</p>", "c</p>\n</p>", "c</p>\n</p>"),
        ("c", "int a;\n¦\n", "b;\n}", "c;\n}", "c;\n}"),
        # What the selection repeats itself is no repetition.
        ("python", "¦\nf(a)\n", "f(a)\nf(a)", "g(a)\nf(a)", "g(a)\nf(a)"),
    ],
)
def test_the_form_of_a_rewrite(language, document, replaced, infill, expect) -> None:
    prefix, suffix = document.split("¦")
    assert finish(infill, prefix, suffix, "\n", language, replaced=replaced) == expect


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_match_newlines(newline: str) -> None:
    assert match_newlines("a\nb\r\nc\rd\n\r", newline) == newline.join(
        ["a", "b", "c", "d", "", ""]
    )


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
    """What is left is written in the same order; closers of nothing may go in between."""
    written = iter(infill)
    finished = "".join(finish(infill, prefix, suffix, newline, language).split())
    assert all(character in written for character in finished)


@settings(deadline=None)
@given(CODE, CODE, CODE, NEWLINES, LANGUAGES)
def test_finishing_twice_changes_nothing(
    infill: str, prefix: str, suffix: str, newline: str, language: str
) -> None:
    around = (prefix, suffix, newline, language)
    finished = finish(infill, *around)
    assert finish(finished, *around) == finished


@settings(deadline=None)
@given(CODE, CODE, CODE, NEWLINES, LANGUAGES)
def test_nothing_ends_in_blanks_or_holds_nothing_else(
    infill: str, prefix: str, suffix: str, newline: str, language: str
) -> None:
    finished = finish(infill, prefix, suffix, newline, language)
    assert not finished or finished.strip()
    assert not re.search(r"[ \t][\r\n]", finished)


@pytest.mark.parametrize("piece", ['\\"x', "=/a[", "=/[", "\\'a\"", "`\\`"])
def test_a_long_line_is_read_once(piece: str) -> None:
    """Reading the rest of it once for each quote in it would take hours."""
    line = piece * 200_000
    for prefix, suffix in ((line, "\n"), ("x = ", line), ('x = "' + line, '"\n')):
        assert finish("a(b)\n  c", prefix, suffix, "\n", "javascript")
