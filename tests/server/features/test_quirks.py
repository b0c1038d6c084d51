"""What an editor with a quirk gets instead, so that it draws what will be accepted."""

from __future__ import annotations

import pytest
from lsprotocol import types

from dg_lsp.server.capabilities import ClientFeatures
from dg_lsp.server.features.quirks import GhostText, adapt

TEARS = ClientFeatures(tears_ghost_text=True)
LF_ONLY = ClientFeatures(inserts_line_ends_as_they_are=True)
NEOVIM = ClientFeatures(tears_ghost_text=True, inserts_line_ends_as_they_are=True)


def ghost(text, rest="", start=4, end=4):
    span = types.Range(types.Position(2, start), types.Position(2, end))
    return GhostText(text, span, rest)


@pytest.mark.parametrize(
    ("text", "rest", "expect", "end"),
    [
        # One line goes anywhere.
        ("n):", ")]", "n):", 4),
        # At the end of a line so do several.
        ("n):\n    x", "", "n):\n    x", 4),
        ("n):\n    x", "  ", "n):\n    x", 4),
        # The first line covers the rest of the line, which comes again after the last.
        ("n):\n    x", ")]", "n):\n    x)]", 6),
        ("n):\r\n    x\r\n", ")]", "n):\r\n    x\r\n)]", 6),
        # It does not cover it, or nobody knows how wide the rest is.
        ("n):\n    x", ")]}}", "n):", 4),
        ("n):\n    x", "é", "n):", 4),
        ("n):\n    x", "\t)", "n):", 4),
        ("\n    x", ")", "", 4),
    ],
)
def test_the_rest_of_the_line_is_drawn_after_the_first_line(text, rest, expect, end):
    adapted = adapt(ghost(text, rest), TEARS)

    assert adapted.text == expect
    assert adapted.range == ghost("", end=end).range


@pytest.mark.parametrize("text", ["a\nb\n", "a\r\nb\r\n", "a\rb\r"])
def test_line_ends_are_lf(text):
    assert adapt(ghost(text), LF_ONLY) == ghost("a\nb\n")


def test_a_client_has_both_quirks():
    assert adapt(ghost("n):\r\n    x", ")]"), NEOVIM) == GhostText(
        "n):\n    x)]", ghost("", end=6).range, ""
    )


def test_a_client_without_quirks_gets_the_text_as_it_is():
    assert adapt(ghost("n):\r\n    x", ")]"), ClientFeatures()) == ghost("n):\r\n    x", ")]")
