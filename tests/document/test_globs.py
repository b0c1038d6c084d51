"""Globs mean what they mean to git, and no glob can be written that takes for ever.

How git reads them is compared with git itself in test_exclusion.py.
"""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.globs import MAX_GLOB_CHARS, Glob


@pytest.mark.parametrize(
    ("glob", "path", "expect"),
    [
        ("a.py", "a.py", True),
        ("a.py", "x/a.py", True),
        ("a.py", "x/aXpy", False),
        ("/a.py", "x/a.py", False),
        ("/a.py", "a.py", True),
        ("*.py", "x/a.py", True),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("*aab", "aaab", True),
        ("*ab*ab", "abab", True),
        ("*ab*ab", "ab", False),
        ("*ab*ab*", "aabaab", True),
        ("a*a", "a", False),
        ("*[ab]?*b", "xaab", True),
        ("x/*", "x/a/b", False),
        ("x/**", "x/a/b", True),
        ("x/**", "x", False),
        ("x/**/b", "x/b", True),
        ("x/**/b", "x/a/a/b", True),
        ("**/a/**/b/**/c", "a/b/c", True),
        ("**/a/**/b/**/c", "x/a/a/b/b/x/c", True),
        ("**/a/**/b/**/c", "x/b/a/c", False),
        ("**/a/*b/**/a/b", "a/b/a/ab/a/a/b", True),
        ("/**", "a/b", True),
        ("a**b", "a-b", True),
        ("[a/b]", "a", True),
        ("[a/b]", "x/a", False),
        ("a[!a]b", "a/b", False),
        ("a\\*", "a*", True),
        ("a\\*", "ab", False),
        ("a\nb", "a\nb", True),
        ("?", "\n", True),
        # Contrary to git's manual, but as git does it.
        ("a**/b", "ab", True),
        ("a**/b", "a/b", True),
        ("a**/b", "ax/y/b", True),
        ("a**/b", "x/ab", False),
        ("/a**", "a", True),
        ("/a**", "ax/y", True),
        ("?**/b", "ab", False),
        ("**\\/b", "b", False),
        ("**\\/b", "x/y/b", True),
        ("**/", "a", False),
        # git compares bytes.
        ("é?.py", "éü.py", False),
        ("é??.py", "éü.py", True),
        ("é*.py", "éü.py", True),
    ],
)
def test_which_path_a_glob_names(glob: str, path: str, expect: bool) -> None:
    assert Glob(glob).matches(path) is expect


SLOW = [
    ("*a" * 25 + "b", "a" * 100),
    ("*a" * 400 + "b", "a" * 255),
    ("*" * 1000 + "b", "a" * 4096),
    ("?*" * 500 + "b", "a" * 255),
    ("*[ab]" * 200 + "c", "ab" * 127),
    ("**/" * 300 + "b", "a/" * 2000 + "a"),
    ("**/a/" * 200 + "b", "a/" * 2000 + "a"),
    ("/**/*a*a*a*a" * 80 + "/b", "aaaa/" * 800 + "a"),
    ("a/*/" * 200 + "b", "a/a/" * 200 + "a"),
    ("*" + "a" * 500 + "b", "a" * 4096),
]


@pytest.mark.parametrize(("glob", "path"), SLOW, ids=lambda text: text[:8])
def test_no_glob_tries_for_ever(glob: str, path: str) -> None:
    # With an expression that goes back at every asterisk each of these outlives its reader.
    assert not Glob(glob).matches(path)


def test_a_glob_longer_than_any_path_is_not_tried() -> None:
    assert Glob("*" + "?" * (MAX_GLOB_CHARS - 1)).matches("a" * MAX_GLOB_CHARS)
    assert not Glob("*" + "?" * MAX_GLOB_CHARS).matches("a" * 2 * MAX_GLOB_CHARS)


def names_by_trying_everything(glob: str, name: str) -> bool:
    if not glob:
        return not name
    if glob[0] == "*":
        return any(
            names_by_trying_everything(glob[1:], name[at:]) for at in range(len(name) + 1)
        )
    same = glob[0] in ("?", name[:1]) and bool(name)
    return same and names_by_trying_everything(glob[1:], name[1:])


@given(st.text("ab?*", min_size=1, max_size=8))
def test_one_try_finds_what_all_tries_find(glob: str) -> None:
    names = ["".join(name) for length in range(1, 6) for name in product("ab", repeat=length)]
    for name in names:
        assert Glob(glob).matches(name) is names_by_trying_everything(glob, name)
