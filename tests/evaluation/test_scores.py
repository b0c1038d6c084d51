"""How alike two texts are."""

from __future__ import annotations

import pytest

from dg_lsp.evaluation.scores import edit_similarity, is_match, is_stripped_match


@pytest.mark.parametrize(
    ("truth", "text", "same", "same_stripped"),
    [
        ("a + b", "a + b", True, True),
        ("a\n", "a", True, True),
        ("a", "b", False, False),
        ("a", " a", False, True),
    ],
)
def test_white_space_at_the_end_is_no_difference(truth, text, same, same_stripped):
    assert is_match(truth, text) is same
    assert is_stripped_match(truth, text) is same_stripped


@pytest.mark.parametrize(
    ("truth", "text", "similarity"),
    [
        ("", "", 1.0),
        ("abcd", "abcd", 1.0),
        ("abcd", "", 0.0),
        ("abcd", "abxd", 0.75),
        ("abcd", "bcd", 0.75),
        ("abcd", "abcde", 0.8),
        ("kitten", "sitting", 4 / 7),
        ("🙂x", "x", 0.5),
    ],
)
def test_edit_similarity(truth, text, similarity):
    assert edit_similarity(truth, text) == pytest.approx(similarity)
    assert edit_similarity(text, truth) == pytest.approx(similarity)
