import pytest

from dg_lsp.document.following import Kind
from tests.editing import after

PYTHON = '''import os
from json import loads as parse

def load_items(path, limit=3):
    """load_items reads path."""
    items = []
    for line in open(path):
        items.append(parse(line))
    return items[:limit]

class Store:
    size_limit = 3

    def __init__(self, path):
        self.path = path
        self.entry_list = load_items(path, limit=4)

    def find_entry(self, key):
        print("path", self.path, os.sep)
        return self.entry_list[key]

    def show(self):
        return self.find_entry(1), self.size_limit

store = Store("a")
store.find_entry(3)
print(load_items("q", limit=5), [path for path in ("a",)])
'''


def changed(old: str, new: str, text: str = PYTHON) -> set[str]:
    """The lines that are no longer there."""
    return {*text.split("\n")} - {*after(text, old, new).split("\n")}


@pytest.mark.parametrize(
    ("old", "new", "others"),
    [
        ("load_items", "read_items", {"load_items(path, limit=4)", "print(load_items"}),
        ("path, limit", "source, limit", {"for line in open(path)"}),
        ("limit=3", "most=3", {"items[:limit]", "limit=4", "limit=5"}),
        ("items = []", "found = []", {"items.append", "items[:limit]"}),
        ("self.entry_list = ", "self.entries = ", {"self.entry_list[key]"}),
        ("find_entry(self", "get_entry(self", {"self.find_entry(1)", "store.find_entry(3)"}),
        ("as parse", "as decode", {"parse(line)"}),
        ("import os", "import posix", {"os.sep"}),
        ("class Store", "class Shop", {"Store("}),
        ("size_limit = 3", "most_entries = 3", {"self.size_limit"}),
    ],
)
def test_what_was_renamed_where_it_is_defined(old: str, new: str, others: set[str]) -> None:
    lines = changed(old, new)
    assert len(lines) == len(others) + 1
    assert all(any(other in line for line in lines) for other in others)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("items.append", "lines.append"),
        ("load_items reads", "load_items gets"),
        ('"path"', '"paths"'),
        ("print(load_items", "print(read_items"),
        ("return items", "return lines"),
        ("def show", "class show"),
    ],
)
def test_a_change_of_a_use_or_of_a_text_is_no_rename(old: str, new: str) -> None:
    edited = PYTHON.replace(old, new)
    assert after(PYTHON, old, new, kinds=frozenset({Kind.RENAME})) == edited


def test_a_parameter_is_not_the_name_of_another_function() -> None:
    text = "def f(a):\n    return a\n\ndef g(a):\n    return [a for a in a]\n"
    assert after(text, "f(a)", "f(b)") == text.replace(
        "f(a):\n    return a", "f(b):\n    return b"
    )


CALLED = """def total(items, tax=1):
    return sum(items) * tax

class Shop:
    def __init__(self, tax):
        self.rate = tax

    def total(self, tax):
        return total([1], tax=2) + self.total(tax=3) + other.total(tax=4)

print(Shop(tax=5).rate, total([6], tax=6), Shop)
"""


@pytest.mark.parametrize(
    ("old", "new", "others"),
    [
        ("items, tax", "items, share", {"sum(items)", "total([1]", "total([6]"}),
        ("total(self, tax", "total(self, share", {"self.total(tax=3)"}),
        ("__init__(self, tax", "__init__(self, share", {"self.rate", "Shop(tax=5)"}),
    ],
)
def test_only_calls_of_the_function_itself_name_its_parameter(
    old: str, new: str, others: set[str]
) -> None:
    lines = changed(old, new, CALLED)
    assert len(lines) == len(others) + 1
    assert all(any(other in line for line in lines) for other in others)
    then = after(CALLED, old, new)
    assert ("self.total(share=3)" in then) == old.startswith("total(self")
    assert ("total([6], share=6)" in then) == old.startswith("items")
    assert "other.total(tax=4)" in then


def test_a_name_in_an_inner_function_is_the_outer_one_unless_bound_there() -> None:
    inner = "    def g():\n        return n\n    def h(n):\n        return n\n"
    text = f"def f(n):\n{inner}    return n\n"
    then = after(text, "f(n)", "f(size)")
    assert then.count("size") == 3
    assert "def h(n):\n        return n\n" in then


def test_a_name_that_gets_another_value_is_renamed_up_to_there() -> None:
    text = "def f(p):\n    x = open(p)\n    x = x.read()\n    return x\n"
    then = after(text, "x = open", "file = open")
    assert then == "def f(p):\n    file = open(p)\n    x = file.read()\n    return x\n"


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    a = 1\n    b = 2\n    return a + b\n",
        "def f():\n    global a\n    a = 1\n    return a\n",
        "try:\n    import a\nexcept ImportError:\n    a = None\nprint(a)\n",
    ],
)
def test_nothing_follows_where_names_would_meet_or_stay(text: str) -> None:
    old = "a = 1" if "a = 1" in text else "a = None"
    new = old.replace("a", "b")
    assert after(text, old, new) == text.replace(old, new)


@pytest.mark.parametrize(
    ("text", "old", "new", "then"),
    [
        (
            "from m import one as two\n\n\ndef one():\n    return two\n\n\none()\n",
            "def one",
            "def three",
            "from m import one as two\n\n\ndef three():\n    return two\n\n\nthree()\n",
        ),
        (
            "from time import sleep\nfrom time import time\n\nprint(time)\n",
            "import time",
            "import clock",
            "from time import sleep\nfrom time import clock\n\nprint(clock)\n",
        ),
        ("import a.b\nimport b\n\nb.c()\n", "t b", "t d", "import a.b\nimport d\n\nd.c()\n"),
    ],
)
def test_the_names_of_other_files_stay(text: str, old: str, new: str, then: str) -> None:
    assert after(text, old, new) == then


def test_an_attribute_of_another_class_stays() -> None:
    text = (
        "class A:\n    def __init__(self):\n        self.count = 1\n\n"
        "class B:\n    def __init__(self):\n        self.count = 2\n\n"
        "    def get(self):\n        return self.count\n"
    )
    assert after(text, "self.count = 1", "self.total = 1").count("count") == 2


def test_code_with_a_fault_nearby_is_left_alone() -> None:
    text = "def load(path):\n    return (path\n\nload(1)\n"
    assert after(text, "(path):", "(file):") == text.replace("(path):", "(file):")


OTHERS = [
    (
        "javascript",
        "class A { add(n) { this.total += n; this.addAll(1); const q = n; return { q }; }"
        " addAll(a) {} }\n",
        "const q",
        "const r",
        "return { q: r }",
    ),
    (
        "typescript",
        "function run(args: string[]): number {\n  let list = args.map((one) => one);\n"
        "  return list.length + args.length;\n}\n",
        "run(args",
        "run(argv",
        "list.length + argv.length",
    ),
    (
        "go",
        "package m\n\nfunc read(a int) (int, error) {\n\tx, err := get(a)\n"
        "\treturn x + a, err\n}\n",
        "x, err",
        "y, err",
        "return y + a, err",
    ),
    (
        "rust",
        'fn f(a: u32) -> u32 {\n    let x = a;\n    println!("{}", x);\n    x + a\n}\n',
        "f(a:",
        "f(size:",
        "x + size",
    ),
    (
        "java",
        "class C {\n  int size;\n  int get(int a) { return this.size + size + a; }\n}\n",
        "int size",
        "int count",
        "this.count + count + a",
    ),
    (
        "c",
        "static int area(int w) { return w * w; }\nint main(void) { return area(2); }\n",
        "int area",
        "int square",
        "return square(2)",
    ),
]


@pytest.mark.parametrize(("language", "text", "old", "new", "then"), OTHERS)
def test_other_languages(language: str, text: str, old: str, new: str, then: str) -> None:
    assert then in after(text, old, new, language=language)


def test_a_language_without_a_grammar_is_left_alone() -> None:
    text = "a = 1\nprint a\n"
    assert after(text, "a =", "b =", language="fortran") == "b = 1\nprint a\n"
