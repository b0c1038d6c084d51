import pytest

from dg_lsp.document.following import Kind
from tests.editing import after

TEXT = """class Box:
    def __init__(self, width, height):
        self.width = width

    def draw(self, pen, color):
        self.line(pen, 3, color)
        self.line(pen, 4, color)

    def line(self, pen, n, color):
        pen.go(n, color)

def make(width, depth):
    return Box(width, 3)

def area(a, b, c=3):
    return a * b

def main(scale):
    area(1, 2)
    print(area(3, c=4, b=2), area(*scale))
    make(1, depth=3)
"""


@pytest.mark.parametrize(
    ("old", "new", "then"),
    [
        (
            "pen, n, color",
            "pen, color",
            ["self.line(pen, color)\n        self.line(pen, color)"],
        ),
        ("width, depth", "width", ["make(1)"]),
        ("a, b, c=3", "a, b", ["area(1, 2)", "area(3, b=2)"]),
        ("(a, b,", "(b,", ["area(1, 2)", "area(c=4, b=2)"]),
        ("(self, width, height)", "(self, width)", ["return Box(width)"]),
    ],
)
def test_calls_lose_the_argument_of_a_removed_parameter(
    old: str, new: str, then: list[str]
) -> None:
    text = after(TEXT, old, new, kinds=frozenset({Kind.REMOVED}))
    assert all(one in text for one in then)


@pytest.mark.parametrize(
    ("old", "new", "then"),
    [
        ("a, b, c", "a, b, scale, c", "area(1, 2, scale)"),
        ("(self, width, height)", "(self, width, height, depth)", "Box(width, 3, depth)"),
        ("pen, n, color):", "pen, n, color, self_):", "self.line(pen, 3, color)"),
    ],
)
def test_a_new_parameter_is_passed_on_where_its_name_is_known(
    old: str, new: str, then: str
) -> None:
    assert then in after(TEXT, old, new)


def test_a_call_by_names_gets_a_named_argument() -> None:
    text = "def f(a):\n    return a\n\ndef g(b):\n    return f(a=1)\n"
    assert "f(b=b, a=1)" in after(text, "f(a)", "f(a, b)")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("b, c=3", "b, c=3, d=4"),
        ("width, depth", "width, *depth"),
        ("a, b, c=3", "b, a, c=3"),
        ("width, depth", "width, unknown, depth"),
    ],
)
def test_nothing_follows_where_the_argument_is_not_certain(old: str, new: str) -> None:
    assert after(TEXT, old, new) == TEXT.replace(old, new, 1)
