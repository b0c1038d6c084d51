"""Rules that choose a length, on races made by hand."""

from __future__ import annotations

import pytest

from dg_lsp.config import LengthSettings
from dg_lsp.evaluation.lengths import (
    already_chosen,
    choose,
    climb,
    consensus,
    length_bias,
    length_table,
    likelihood,
    per_token,
    rows_of,
    rules,
)
from dg_lsp.evaluation.recording import LaneRecord, Race
from dg_lsp.evaluation.spans import TrueSpan

ANCHOR = 4


def lane(
    length: int, text: str, fits: tuple[float, ...], span: float, suffix: float = -1.0
) -> LaneRecord:
    return LaneRecord(
        length, length + ANCHOR, fits, (0.0,) * len(fits), text, length, span, suffix
    )


def race(*lanes: LaneRecord, truth: str = "a + b", true_length: int = 4) -> Race:
    return Race(
        TrueSpan("a.py", "x = ", "\n", truth, "rest of line"),
        true_length,
        lanes,
        lane(true_length, truth, (-0.5,), -2.0),
    )


SHORT = lane(2, "a", (-0.2, -0.2), span=-3.0)
TRUE = lane(4, "a + b", (-0.6, -0.4, -0.3), span=-5.0)
LONG = lane(8, "a + b + c + d", (-1.5, -1.2, -0.9, -0.8), span=-30.0)
THREE = race(SHORT, TRUE, LONG)


def early(lane: LaneRecord, step: int) -> float:
    return lane.free_fits[min(step, len(lane.free_fits)) - 1]


@pytest.mark.parametrize(
    ("reward", "text"), [(0.0, "a"), (1.5, "a + b"), (9.0, "a + b + c + d")]
)
def test_a_reward_for_tokens_favours_longer_texts(reward, text) -> None:
    assert choose(THREE, early, (), likelihood(reward)).text == text


def test_only_lanes_that_go_on_can_win_and_cost() -> None:
    everything = choose(THREE, early, (), likelihood(9.0))
    two = choose(THREE, early, ((1, 2),), likelihood(9.0))

    assert (everything.text, everything.steps) == ("a + b + c + d", 4)
    assert everything.rows == 4 * (6 + 8 + 12)
    assert (two.text, two.steps) == ("a + b", 3)
    assert two.rows == (6 + 8 + 12) + 2 * (6 + 8)


def test_an_empty_text_wins_only_where_there_is_no_other() -> None:
    empty = lane(1, "", (-0.1,), span=0.0)

    assert choose(race(empty, TRUE), early, (), likelihood(0.0)).text == "a + b"
    assert choose(race(empty), early, (), likelihood(0.0)).text == ""


def test_token_by_token_and_by_consensus() -> None:
    assert choose(THREE, early, (), per_token).text == "a + b"
    # Alike texts stand by each other against a likelier one that stands alone.
    alone = lane(3, "zzz", (-0.5,), span=-4.4)
    alike = [lane(n, text, (-0.5,), span=-4.6) for n, text in ((4, "a + b"), (5, "a + bc"))]
    assert choose(race(alone, *alike), early, (), consensus).text != "zzz"


def test_the_bias_is_that_of_lanes_of_wrong_length() -> None:
    bias = length_bias([THREE])

    assert bias[1, 2] == -0.2
    assert bias[2, 8] == -1.2
    assert (1, 4) not in bias


def test_climbing_finds_the_peak_of_calibrated_confidence() -> None:
    flat = {(1, 2): -0.2, (1, 4): -0.6, (1, 8): -1.5}

    assert climb(THREE, {**flat, (1, 4): -2.0}).text == "a + b"
    assert climb(THREE, {**flat, (1, 8): -3.0}).text == "a + b + c + d"


def test_every_rule_chooses_and_is_told_by_kind_and_length() -> None:
    rows = rows_of(
        {
            **rules([THREE], LengthSettings(token_reward_nats=1.0)),
            "own": already_chosen({id(THREE): choose(THREE, early, (), likelihood(0.0))}),
        },
        [THREE],
    )

    names = {row.method for row in rows}
    assert {"oracle", "race, 1 nats a token (ours)", "own"} <= names
    assert {row.group for row in rows} == {"all", "rest of line", "4 to 6 tokens"}
    oracle = next(row for row in rows if row.method == "oracle")
    assert (oracle.exact_match, oracle.edit_similarity) == (1.0, 1.0)
    assert len(length_table(rows).split("\n")) == len(rows) + 2
