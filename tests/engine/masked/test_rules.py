"""DreamOn's rules, case by case; a canvas is written as one character for each position."""

from __future__ import annotations

import pytest

from dg_lsp.engine.masked.rules import MaskTokens, remasked, resized, with_deletes

TOKENS = MaskTokens(mask=ord("."), delete=ord("D"), expand=ord("E"))


def ids(text: str) -> list[int]:
    return [ord(character) for character in text]


def text(tokens: list[int]) -> str:
    return "".join(map(chr, tokens))


@pytest.mark.parametrize(
    ("before", "fixed", "after"),
    [
        ("a..b", (), "a..b"),
        ("aD..", (), "aDDD"),
        ("D...", (), "DDDD"),
        # What is decided stays, and so does what is left of the delete.
        (".D.b.", (), ".DDbD"),
        ("..E.D.E", (), "..E.DDE"),
        # Up to the text around the span, or what stays of a selection.
        ("aD..z", (4,), "aDDDz"),
        ("aD.x.", (3,), "aDDx."),
        ("aD..", (3,), "aDD."),
    ],
)
def test_a_delete_spreads_to_the_masks_right_of_it(before, fixed, after):
    assert text(with_deletes(ids(before), TOKENS, fixed)) == after


@pytest.mark.parametrize(
    ("before", "longest", "budget", "after", "expanded"),
    [
        ("a.b", 8, 8, "a.b", 0),
        ("aE.", 8, 8, "a...", 1),
        ("E", 8, 8, "..", 1),
        ("EaE", 8, 8, "..a..", 2),
        # The window is full: an expand becomes one mask, the leftmost first.
        ("aEb", 3, 8, "a.b", 0),
        ("EaE", 4, 8, ".a..", 1),
        # The budget is used up.
        ("EaE", 8, 1, ".a..", 1),
        ("EaE", 8, 0, ".a.", 0),
        # Deletes come first, so that they make room.
        ("EaD..", 3, 8, "..a", 1),
        ("aDE.", 4, 8, "a..", 1),
        ("E.D.", 2, 8, "..", 0),
        # All is deleted.
        ("D...", 8, 8, "", 0),
        ("DDDD", 8, 8, "", 0),
        # A selection longer than the window does not grow, and is not cut.
        ("abcE", 2, 8, "abc.", 0),
    ],
)
def test_deletes_leave_and_expands_become_two_masks(before, longest, budget, after, expanded):
    change = resized(ids(before), TOKENS, longest=longest, budget=budget)

    assert (text(change.ids), change.expanded) == (after, expanded)
    for at, origin in zip(change.ids, change.origins, strict=True):
        assert at == (TOKENS.mask if origin < 0 else ids(before)[origin])


def test_a_model_without_length_tokens_keeps_its_canvas():
    change = resized(ids("aD.E"), MaskTokens(TOKENS.mask), longest=8, budget=8)

    assert text(change.ids) == "aD.E"


@pytest.mark.parametrize(
    ("count", "fixed", "after"),
    [
        (4, (), "abcd"),
        (2, (), ".b.d"),
        (0, (), "...."),
        # A fixed position is not counted.
        (1, (0,), "a..d"),
        (0, (0, 1), "ab.."),
    ],
)
def test_p2_keeps_the_surest_share(count, fixed, after):
    sureness = [-4.0, -2.0, -3.0, -1.0]

    assert text(remasked(ids("abcd"), sureness, TOKENS, count, fixed)) == after
