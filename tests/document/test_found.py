"""What stood elsewhere between neighbours like these."""

from __future__ import annotations

import pytest

from dg_lsp.document.code_index import build_index
from dg_lsp.document.found import Elsewhere, FoundText, Origin, find_texts

CURSOR = "<|>"


def found_at(marked: str, limit: int = 4) -> tuple[FoundText, ...]:
    prefix, suffix = marked.split(CURSOR)
    return find_texts(prefix, suffix, limit=limit)


@pytest.mark.parametrize(
    ("marked", "text"),
    [
        ("wibble = frobnicate(quux)\ngo(1)\nwibble = <|>\n", "frobnicate(quux)"),
        ("wibble = frobnicate(quux)\ngo(1)\nwibble = frob<|>\n", "nicate(quux)"),
        ("wibble = frobnicate(quux)\ngo(1)\nwibble = frob<|>(quux)\n", "nicate"),
        ("a.grumble(1, deep=True)\na.grumble(1, <|>)\n", "deep=True"),
        # Below as well as above.
        ("wibble = <|>\ngo(1)\nwibble = frobnicate(quux)\n", "frobnicate(quux)"),
        # A new line is being written.
        ("begin(it)\nreturn it\nend(it)\n\nbegin(it)\n<|>", "return it"),
    ],
)
def test_what_stood_between_the_same_neighbours_is_found(marked: str, text: str) -> None:
    assert found_at(marked)[0].text == text


def test_what_is_called_otherwise_here_is_renamed() -> None:
    found = found_at(
        "for item in items:\n    show(item, items)\n\nfor user in users:\n    show(<|>)\n"
    )
    assert (found[0].text, found[0].renamed) == ("user, users", True)


def test_the_evidence_says_how_often_and_how_far() -> None:
    found = found_at("x = wibble(1)\nx = wibble(1)\ny = 2\nx = wibble(<|>)\n")
    best = found[0]
    assert (best.text, best.count, best.distance_lines) == ("1", 2, 2)
    assert (best.origin, best.path, best.recency) == (Origin.DOCUMENT, "", 0)


def test_the_place_itself_is_no_evidence() -> None:
    assert found_at("wibble = <|>frobnicate(quux)\n") == ()


def test_a_masked_secret_is_never_found() -> None:
    found = found_at('key = "****************"\nx = 1\nkey = <|>\n')
    assert not any("*" in one.text for one in found)


def test_other_files_are_looked_at_and_named() -> None:
    index = build_index(
        [("lib/wibble.py", "def wibble(plonk):\n    return plonk.frobnicate()\n")]
    )
    elsewhere = Elsewhere(index, Origin.WORKSPACE, 1)
    (best, *_) = find_texts("def other(plonk):\n    return plonk.", "\n", [elsewhere])
    assert (best.text, best.path, best.origin) == (
        "frobnicate()",
        "lib/wibble.py",
        Origin.WORKSPACE,
    )
    assert best.distance_lines is None


def test_a_hidden_file_is_not_looked_at() -> None:
    index = build_index([("a.py", "plonk = frobnicate(1)\n"), ("b.py", "x = 2\n")])
    elsewhere = Elsewhere(index, Origin.WORKSPACE, 1, frozenset(["a.py"]))
    assert find_texts("(y)\nplonk = ", "\n", [elsewhere]) == ()


def test_a_text_does_not_run_into_the_next_file() -> None:
    index = build_index([("a.py", "y = 1\nplonk = frob"), ("b.py", "nicate\n")])
    best = find_texts("(y)\nplonk = ", "", [Elsewhere(index, Origin.WORKSPACE, 1)])
    assert [one.text for one in best] == ["frob"]
