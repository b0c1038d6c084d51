"""What a masked model learns to say about a span: its tokens, its end, what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.engine.masked import MaskTokens
from dg_lsp.training.masked.corruption import IGNORED, corrupt, corrupt_at_random

TOKENS = MaskTokens(mask=3, delete=1, expand=4)
M, D, X = 3, 1, 4
_ = IGNORED


@pytest.mark.parametrize(
    ("arguments", "ids", "targets", "weights"),
    [
        pytest.param(
            {"masked": {0, 1, 2, 3}},
            *([M, M, M, M], [10, 11, 12, 13], [1, 1, 1, 1]),
            id="nothing is known",
        ),
        pytest.param(
            {"masked": {2}},
            *([10, 11, M, 13], [_, _, 12, _], [0, 0, 4, 0]),
            id="one token stands for the loss of all",
        ),
        pytest.param(
            {"masked": {1, 3}, "deletes": 2},
            *([10, M, 12, M, M, M], [_, 11, _, 13, D, D], [0, 2, 0, 2, 1, 1]),
            id="deletes follow the text",
        ),
        pytest.param(
            {"masked": {0, 1, 2, 3}, "deletes": 8, "end": 3},
            [M] * 12,
            [10, 11, 12, *[D] * 8, 13],
            [1, 1, 1, *[0.5] * 8, 1],
            id="many deletes count as much as the text, before what is typed",
        ),
        pytest.param(
            {"masked": {0, 1, 2, 3}, "merges": [(1, 3)]},
            *([M, M, M], [10, X, 13], [1, 1, 1]),
            id="two tokens behind one mask",
        ),
        pytest.param(
            {"masked": {0}, "merges": [(1, 4)]},
            *([M, M], [10, X], [1, 1]),
            id="three tokens behind one mask",
        ),
        pytest.param(
            {"masked": {2}, "merges": [(0, 2)]},
            *([M, M, 13], [X, 12, _], [1, 2, 0]),
            id="an expand among known tokens",
        ),
        pytest.param(
            {"masked": set(), "merges": [(0, 2), (2, 4)]},
            *([M, M], [X, X], [1, 1]),
            id="only expands",
        ),
    ],
)
def test_a_corrupted_span(arguments, ids, targets, weights):
    corrupted = corrupt([10, 11, 12, 13], TOKENS, **arguments)

    assert corrupted.ids == ids
    assert corrupted.targets == targets
    assert corrupted.weights == weights


@given(st.integers(1, 32), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2**32))
def test_random_corruption_keeps_the_text_and_the_window(count, left, right, seed):
    true = list(range(100, 100 + count))
    healed = min(left, count), min(right, count)
    corrupted = corrupt_at_random(
        true, TOKENS, np.random.default_rng(seed), window=32, healed=healed
    )
    restored = [
        token if target == IGNORED else target
        for token, target in zip(corrupted.ids, corrupted.targets, strict=True)
    ]
    text = [token for token in restored if token not in (D, X)]

    assert 1 <= len(corrupted.ids) <= 32
    assert text == [token for token in true if token in text]
    # Typed text is neither merged nor pushed away from its edge of the span.
    assert restored[: healed[0]] == true[: healed[0]]
    assert restored[len(restored) - healed[1] :] == true[count - healed[1] :]
    # A span says that it is too long, or too short, never both.
    assert not (D in restored and X in restored)
    if X not in restored:
        assert text == true
    for token, target, weight in zip(
        corrupted.ids, corrupted.targets, corrupted.weights, strict=True
    ):
        assert (target == IGNORED) == (weight == 0) == (token != M)
    plain = sum(
        weight
        for target, weight in zip(corrupted.targets, corrupted.weights, strict=True)
        if target not in (D, X)
    )
    assert plain == pytest.approx(len(text)) or plain == 0
    deletes = sum(
        w for t, w in zip(corrupted.targets, corrupted.weights, strict=True) if t == D
    )
    assert deletes <= count + 1e-6


def test_spans_meet_every_kind_of_length():
    rng = np.random.default_rng(0)
    spans = [corrupt_at_random(range(100, 108), TOKENS, rng, window=32) for _ in range(400)]
    full = sum(D in one.targets and len(one.ids) == 32 for one in spans)
    deletes = sum(D in one.targets for one in spans)
    expands = sum(X in one.targets for one in spans)

    assert 180 <= deletes <= 260
    assert 50 <= expands <= 110
    assert full > deletes * 0.2
