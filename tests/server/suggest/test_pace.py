"""How long the server waits for the next key."""

from __future__ import annotations

import pytest

from dg_lsp.server.suggest.pace import ENGINE_SHARE, MOST_WAIT_S, OVERDUE, USUAL_GAP_S, Pace


def paced(gap_s, engine_s, keys=20):
    pace = Pace()
    for key in range(keys):
        pace.key(key * gap_s)
    if engine_s is not None:
        pace.job_took(engine_s)
    return pace


@pytest.mark.parametrize(
    ("gap_s", "engine_s", "expect"),
    [
        pytest.param(0.1, 5.0, OVERDUE * 0.1, id="a fast typist"),
        pytest.param(0.25, 5.0, OVERDUE * 0.25, id="a slow typist"),
        pytest.param(0.25, 0.05, ENGINE_SHARE * 0.05, id="a fast engine is asked sooner"),
        pytest.param(0.9, 5.0, MOST_WAIT_S, id="never longer than half a second"),
        pytest.param(0.2, None, 0.0, id="nothing is known of the engine"),
        pytest.param(2.0, 5.0, OVERDUE * USUAL_GAP_S, id="pauses say nothing"),
    ],
)
def test_the_next_key_is_waited_for(gap_s, engine_s, expect):
    pace = paced(gap_s, engine_s)

    assert pace.wait_s(pace.last_key_s, is_in_word=False) == pytest.approx(expect)


def test_what_the_editor_has_waited_already_counts():
    pace = paced(0.1, 5.0)
    assert pace.wait_s(pace.last_key_s + 0.1, is_in_word=False) == pytest.approx(
        (OVERDUE - 1) * 0.1
    )
    assert pace.wait_s(pace.last_key_s + 0.2, is_in_word=False) == 0


def test_inside_a_word_the_next_letter_is_waited_for_longer():
    pace = paced(0.1, 5.0)
    inside, behind = (pace.wait_s(pace.last_key_s, is_in_word=one) for one in (True, False))
    assert inside > behind


def test_both_follow_changes():
    pace = paced(0.1, 0.1)
    for _ in range(40):
        pace.key(pace.last_key_s + 0.3)
        pace.job_took(5.0)
    assert pace.gap_s == pytest.approx(0.3)
    assert pace.engine_s == pytest.approx(5.0, rel=0.01)


def test_a_user_who_has_just_begun():
    assert paced(0.05, 5.0, keys=3).gap_s == USUAL_GAP_S
