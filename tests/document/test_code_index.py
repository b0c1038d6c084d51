"""Where tokens of code stand in many files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.code_index import CONTEXT_TOKENS, SLICE_CHARS, build_index
from dg_lsp.document.code_tokens import words_of

FILES = [("a.py", "x = f(1)\ny = f(2)\n"), ("b/c.js", "let z = f(3);\r\n")]


def behind(*last_tokens: str) -> list[str]:
    index = build_index(FILES)
    return sorted(index.text[at : at + 1] for at in index.places(last_tokens, 100))


def test_all_places_behind_tokens_are_found() -> None:
    assert behind("(", "f") == ["1", "2", "3"]
    assert behind("(", "f", "=", "y") == ["2"]
    assert behind("(", "g") == []


def test_no_more_places_than_asked_for() -> None:
    assert len(build_index(FILES).places(["(", "f"], 2)) == 2


def test_a_place_is_in_its_file() -> None:
    index = build_index(FILES)
    for (path, text), name in zip(FILES, "xz", strict=True):
        (at,) = index.places(["(", "f", "=", name], 9)
        found, first, last = index.file_at(at)
        assert (found, index.text[first:last]) == (path, text)


def test_tokens_of_two_files_are_not_neighbours() -> None:
    index = build_index([("a", "one two"), ("b", "three four")])
    assert index.places(["three", "two"], 9) == []


@pytest.mark.parametrize("tokens", [[], ["two"]])
def test_fewer_than_two_tokens_are_found_nowhere(tokens: list[str]) -> None:
    assert build_index([("a", "one two")]).places(tokens, 9) == []


def test_a_long_file_is_read_in_slices_that_agree() -> None:
    text = "".join(f"value_{n} = call({n}, {n + 1})\n" for n in range(SLICE_CHARS // 10))
    index = build_index([("long.py", text)])
    assert len(text) > 2 * SLICE_CHARS
    assert len(index.entries) == len(words_of(text))
    for n in range(0, SLICE_CHARS // 10, 97):
        places = index.places(["(", "call", "=", f"value_{n}"], 50)
        assert text.index(f"call({n},") + len("call(") in places


@given(st.lists(st.text("ab_(). \n\r\0é", max_size=40), max_size=4), st.data())
def test_whatever_stands_in_a_file_is_found_there(
    texts: list[str], data: st.DataObject
) -> None:
    files = [(str(number), text) for number, text in enumerate(texts)]
    index = build_index(files)
    for path, text in files:
        words = words_of(text)
        for end in range(2, len(words) + 1):
            last = words[max(0, end - CONTEXT_TOKENS) : end][::-1]
            places = index.places(last, 10_000)
            assert any(index.file_at(at)[0] == path for at in places)
