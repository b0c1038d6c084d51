"""What stood elsewhere between neighbours like these."""

from __future__ import annotations

import pytest

from dg_lsp.document.found import FoundText, Origin, find_texts

CURSOR = "<|>"


def found_at(marked: str, limit: int = 4) -> tuple[FoundText, ...]:
    prefix, suffix = marked.split(CURSOR)
    return find_texts(prefix, suffix, limit)


@pytest.mark.parametrize(
    ("marked", "text"),
    [
        ("wibble = frobnicate(quux)\nx = 1\nwibble = <|>\n", "frobnicate(quux)"),
        ("wibble = frobnicate(quux)\nx = 1\nwibble = frob<|>\n", "nicate(quux)"),
        ("wibble = frobnicate(quux)\nx = 1\nwibble = frob<|>(quux)\n", "nicate"),
        ("a.grumble(1, deep=True)\na.grumble(1, <|>)\n", "deep=True"),
        # Below as well as above.
        ("wibble = <|>\nx = 1\nwibble = frobnicate(quux)\n", "frobnicate(quux)"),
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
