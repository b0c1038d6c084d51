"""How long the server waits for the next key."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.server.suggest.pace import (
    KEPT_GAPS,
    MOST_RISK,
    MOST_WAIT_S,
    SAME_KEY_S,
    SEEN_S,
    USUAL_GAPS_S,
    After,
    Pace,
    after,
    safe_after,
)

LETTER_S = 0.15


def paced(engine_s, gap_s=LETTER_S, keys=KEPT_GAPS + 1, spread=0.2):
    """After letters that were typed at about this rate."""
    rng = random.Random(3)
    pace, at_s = Pace(), 0.0
    for _ in range(keys):
        pace.key(at_s, "a")
        at_s += gap_s * rng.uniform(1 - spread, 1 + spread)
    if engine_s is not None:
        pace.job_took(engine_s)
    return pace


def waits(pace, since_key_s=0.0):
    return pace.wait_s(pace.last_key_s + since_key_s)


@pytest.mark.parametrize(
    ("typed", "expect"),
    [
        ("a", After.WORD),
        ("_", After.WORD),
        ("é", After.WORD),
        ("7", After.WORD),
        ("total", After.WORD),
        ("(", After.SIGN),
        (" ", After.SIGN),
        ("x)", After.SIGN),
        ("\n", After.LINE),
        ("\n    ", After.LINE),
        ("\r\n\t", After.LINE),
        ("a\nb", After.WORD),
        ("", After.SIGN),
        (None, After.SIGN),
    ],
)
def test_what_the_last_key_wrote(typed, expect):
    assert after(typed) is expect


@pytest.mark.parametrize(
    ("gaps_s", "job_s", "expect"),
    [
        pytest.param([0.7, 0.8, 0.9, 1.0], 0.3, 0.0, id="users think here: at once"),
        pytest.param([0.1] * 9 + [2.0], 0.3, 0.1, id="only a pause is long enough"),
        pytest.param([0.1, 0.1, 0.2, 0.2], 0.3, 0.2, id="no gap is: when all are over"),
        pytest.param([0.1, 0.2, 0.9, 0.9, 0.9, 0.9, 0.9], 0.3, 0.0, id="most gaps are"),
        pytest.param([0.1] * 9 + [2.0], 0.05, 0.0, id="a fast engine"),
    ],
)
def test_when_a_job_would_probably_end_before_the_next_key(gaps_s, job_s, expect):
    assert safe_after(gaps_s, job_s) == expect


@given(
    st.lists(st.floats(0.001, 5.0), min_size=1, max_size=KEPT_GAPS),
    st.floats(0.001, 2.0),
)
def test_of_the_gaps_that_are_left_few_are_too_short(gaps_s, job_s):
    start_s = safe_after(gaps_s, job_s)

    left = [gap for gap in gaps_s if gap > start_s]
    assert sum(gap <= start_s + job_s for gap in left) <= MOST_RISK * len(left)
    assert start_s == 0 or start_s in gaps_s


def test_a_user_who_types_on_is_waited_for():
    assert 1.1 * LETTER_S < waits(paced(0.3)) <= 1.2 * LETTER_S
    assert waits(paced(0.3, gap_s=0.9)) == 0.0


def test_a_fast_engine_is_asked_sooner():
    fast, slow = (waits(paced(engine_s, spread=0.5)) for engine_s in (0.01, 0.5))

    assert fast < slow


def test_no_text_is_asked_for_that_would_be_gone_before_it_is_seen():
    assert waits(paced(0.001, gap_s=SEEN_S / 2)) > 0
    assert waits(paced(0.001, gap_s=SEEN_S * 2)) == 0.0


def test_nobody_is_waited_for_longer_than_half_a_second():
    assert waits(paced(5.0, gap_s=0.9)) == MOST_WAIT_S


def test_while_nothing_is_known_of_the_engine_it_is_asked_at_once():
    assert waits(paced(None)) == 0.0
    assert Pace(engine_s=0.3).wait_s(1.0) == 0.0


def test_after_a_line_break_the_model_is_asked_at_once():
    pace = paced(0.3)
    pace.key(pace.last_key_s + LETTER_S, "\n")
    assert waits(pace) == 0.0
    # The editor's indentation is no key of the user's.
    pace.key(pace.last_key_s + SAME_KEY_S / 2, "    ")
    assert waits(pace) == 0.0


def test_what_the_editor_has_waited_already_counts():
    pace = paced(0.3)
    assert waits(pace, 0.1) == pytest.approx(waits(pace) - 0.1)
    assert waits(pace, 0.3) == 0.0


def test_a_user_who_has_just_begun_types_as_usual():
    pace = Pace(engine_s=0.3)
    pace.key(5.0, "a")
    assert waits(pace) == safe_after(USUAL_GAPS_S[After.WORD], 0.3 + SEEN_S) > 0


def test_the_cadence_is_that_of_the_last_keys():
    pace = paced(0.3, gap_s=0.1)
    before = waits(pace)
    for _ in range(KEPT_GAPS):
        pace.key(pace.last_key_s + 0.3, "a")

    assert before < 0.2
    assert waits(pace) == pytest.approx(0.3)
    assert len(pace.gaps_s[After.WORD]) == KEPT_GAPS


def test_the_engines_time_follows_changes():
    pace = paced(0.1)
    for _ in range(40):
        pace.job_took(5.0)
    assert pace.engine_s == pytest.approx(5.0, rel=0.01)
