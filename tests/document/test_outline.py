"""What is left of a long document around the cursor."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.document import trees
from dg_lsp.document.outline import SHORT_CHARS, around, is_read, read

# By language: a document that is whole, with `{}` for members of a long item, and a member.
NESTED = {
    "python": ("import a\n\n\nclass A:\n{}\n\nb = 1\n", "    def é{0}(self):\n        x\n\n"),
    "javascript": ("f();\n\nclass A {{\n{}}}\n\ng();\n", "  é{0}() {{\n    x();\n  }}\n\n"),
    "javascriptreact": ("f();\n\nconst a = (\n  <ul>\n{}  </ul>\n);\n", "    <li>é{0}</li>\n"),
    "typescript": ("interface A {{\n{}}}\n\nlet b = 1;\n", "  é{0}: string;\n"),
    "typescriptreact": ("const a = (\n  <ul>\n{}  </ul>\n);\n", "    <li>é{0}</li>\n"),
    "go": (
        "package a\n\ntype A struct {{\n{}}}\n\nfunc f() {{\n}}\n",
        "\té{0} string // é\n",
    ),
    "rust": ("use a;\n\nimpl A {{\n{}}}\n\nfn b() {{}}\n", "    fn é{0}(&self) {{ x(); }}\n\n"),
    "java": (
        "package a;\n\nclass A {{\n{}}}\n",
        '    @B\n    int é{0}() {{\n        return "é";\n    }}\n\n',
    ),
    "c": (
        "#ifndef A\n#define A\n\n{}\n#endif\n",
        'int e{0}(void) {{\n  return f("é");\n}}\n\n',
    ),
    "cpp": ("namespace a {{\n\n{}\n}}\n", 'int e{0}() {{\n  return f("é");\n}}\n\n'),
    "csharp": ("namespace A;\n\nclass B {{\n{}}}\n", '  string é{0}() => "é";\n\n'),
    "ruby": ("module A\n{}end\n", "  def é{0}\n    x\n  end\n\n"),
    "lua": ("local a = {{\n{}}}\nreturn a\n", "  e{0} = function() return 'é' end,\n"),
    "shellscript": ("a() {{\n{}}}\n\na\n", "  if b; then\n    echo é{0}\n  fi\n"),
    "yaml": ("a:\n{}b: 1\n", "  é{0}:\n    x: 1\n"),
    "html": (
        "<!doctype html>\n<html>\n<body>\n{}</body>\n</html>\n",
        "<p id=a{0}>é<br></p>\n",
    ),
    "css": ("@media print {{\n{}}}\n\na {{ color: red; }}\n", "  .é{0} {{\n    x: 1;\n  }}\n"),
}
NUM_MEMBERS = 300


def document(language: str) -> str:
    frame, member = NESTED[language]
    return frame.format("".join(member.format(number) for number in range(NUM_MEMBERS)))


@pytest.mark.parametrize("language", trees.LANGUAGES)
def test_a_whole_document_is_whole_when_it_is_cut_down(language: str) -> None:
    text = document(language)
    member = NESTED[language][1]
    read(text, "", language)
    tree = trees.parsed_site(text, "", language)
    assert tree is not None
    assert tree.faults() == []
    for number in (0, 1, 2, 150, NUM_MEMBERS - 2, NUM_MEMBERS - 1):
        own = member.format(number)
        start = text.index(own)
        for at in (start, start + len(own) // 2, start + len(own)):
            near = around(text[:at], text[at:], language)
            assert near is not None
            before, after = near
            assert len(before) + len(after) < 1_000
            cut = trees.parsed_site(before, after, language)
            assert cut is not None
            assert cut.faults() == [], (before, after)


@pytest.mark.parametrize("language", trees.LANGUAGES)
def test_a_document_that_has_changed_since_it_was_read_is_cut_down(language: str) -> None:
    text = document(language)
    member = NESTED[language][1]
    read(text, "", language)
    # Broken where the cursor is, and then elsewhere too.
    at = text.index(member.format(150)) + 5
    for prefix, suffix in (
        (text[:at] + "({", text[at:]),
        (text[:at], text[at + 3 :]),
        (member.format("x") + text[:at], text[at:]),
        (text[:at], text[at:] + member.format("x")),
    ):
        near = around(prefix, suffix, language)
        assert near is not None
        before, after = near
        assert before.endswith(prefix[-5:])
        assert after.startswith(suffix[:5])
        assert len(before) + len(after) < 1_000


def test_a_short_document_is_not_cut_and_need_not_be_read() -> None:
    trees.load("go")
    assert is_read("package a\n", "", "go")
    assert around("package ", "a\n", "go") == ("package ", "a\n")


def test_a_long_document_must_be_read_first() -> None:
    text = "x_only_here = 1\n" * SHORT_CHARS
    assert around(text, "", "python") is None
    assert not is_read(text, "", "python")
    read(text, "", "python")
    assert is_read(text, "", "python")
    assert is_read(text, "y = 1\n", "python")
    assert not is_read(text, "y = 1\n" * 1_000, "python"), "much has changed"
    assert around(text, "y = 1\n" * 1_000, "python") is not None


def test_a_document_whose_tree_takes_too_long_is_given_up() -> None:
    # At the end of each line, Python's grammar looks for the first one that is no comment.
    comments = "# far\n" * 25_000
    text = f"{comments}x = (\ny = 1\n{comments}"
    read(text, "", "python")
    assert is_read(text, "", "python")
    assert around(text, "", "python") is None
    # What is like other code is still read.
    code = "def f(x):\n    # near\n    return x\n\n\n" * 2_000
    read(code, "", "python")
    assert around(code, "", "python") is not None


def test_a_language_without_a_grammar_has_nothing_to_read() -> None:
    text = "x" * 2 * SHORT_CHARS
    assert is_read(text, "", "fortran")
    read(text, "", "fortran")
    assert around(text, "", "fortran") is None


@settings(deadline=None)
@given(st.data())
def test_only_text_that_is_there_is_left(data: st.DataObject) -> None:
    text = document("javascript")
    read(text, "", "javascript")
    for _ in range(data.draw(st.integers(0, 2))):
        start = data.draw(st.integers(len(text) * 2 // 3, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 300)))
        text = text[:start] + data.draw(st.text("a(){}\n;é", max_size=9)) + text[end:]
    at = data.draw(st.integers(0, len(text)))
    near = around(text[:at], text[at:], "javascript")
    assert near is not None
    before, after = near
    assert _is_subsequence(before.split("\n"), text[:at].split("\n"))
    assert _is_subsequence(after.split("\n"), text[at:].split("\n"))
    assert before[-9:] == text[:at][-9:]
    assert after[:9] == text[at:][:9]


def _is_subsequence(lines: list[str], of: list[str]) -> bool:
    rest = iter(of)
    return all(
        any(one.endswith(line) or one.startswith(line) for one in rest) for line in lines
    )
