import pytest

from tests.editing import after

TEXT = """def f(self, a, b):
    if a:
        self.log.info("starting the run", a)
        self.first = self.load(a, "x")
    else:
        self.log.info("ending the run", b)
        self.second = self.load(b, "x")
    return 1
"""


@pytest.mark.parametrize(
    ("old", "new", "then"),
    [
        ('load(a, "x")', 'load(a, "x", True)', 'load(b, "x", True)'),
        ("= self.load(a", "= self.open(a", "= self.open(b"),
        ("= self.load", "= await self.load", "second = await self.load"),
    ],
)
def test_a_line_that_is_like_the_changed_one(old: str, new: str, then: str) -> None:
    assert then in after(TEXT, old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('load(a, "x")', 'load(a, "y")'),
        ("starting the", "beginning the"),
        ("return 1", "return 2"),
        ("if a", "if b"),
        ("(self, a, b)", "(self, a: int, b)"),
    ],
)
def test_nothing_follows_from_a_change_of_one_line_alone(old: str, new: str) -> None:
    assert after(TEXT, old, new) == TEXT.replace(old, new)
