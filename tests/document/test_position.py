"""Positions as editors show them, at every kind of line end and at every edge."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.document.position import (
    PositionError,
    common_edges,
    common_length,
    line_column_at,
    may_cut,
    offset_at,
    without_surrogates,
)
from dg_lsp.reason import ReasonCode

TEXTS = st.text(alphabet=st.sampled_from("ab \r\n\u0301\U0001f600"), max_size=30)


def check_position(marked: str, expect: str) -> None:
    offset = marked.index("|")
    text = marked.replace("|", "", 1)
    line, column = (int(number) for number in expect.split(":"))
    assert line_column_at(text, offset) == (line, column)
    assert offset_at(text, line, column) == offset


@pytest.mark.parametrize(
    ("marked", "expect"),
    [
        ("|", "1:1"),
        ("|one", "1:1"),
        ("one|", "1:4"),
        ("one\n|", "2:1"),
        ("one\n\n|three", "3:1"),
        ("one\r\ntwo|\r\n", "2:4"),
        ("one\rtwo\r|", "3:1"),
        ("one\n\r|", "3:1"),
        ("\U0001f600\U0001f600|", "1:3"),
        ("e\u0301x|", "1:4"),
        ("form\x0cfeed\u2028|", "1:11"),
    ],
)
def test_position_both_ways(marked: str, expect: str) -> None:
    check_position(marked, expect)


@pytest.mark.parametrize(
    ("text", "line", "column", "names", "last"),
    [
        ("a\nb\n", 99, 1, "line 99", 3),
        ("", 2, 1, "line 2", 1),
        ("", 1, 2, "column 2", 1),
        ("a\nb\n", 0, 1, "line 0", 3),
        ("a\nb\n", -1, 1, "line -1", 3),
        ("a\r\n\r\npass = 1\r\n", 3, 40, "column 40", 9),
        ("a", 1, 0, "column 0", 2),
    ],
)
def test_position_outside(text: str, line: int, column: int, names: str, last: int) -> None:
    with pytest.raises(PositionError) as refused:
        offset_at(text, line, column)
    check_message(refused.value, names, last)
    assert f"line {line}" in str(refused.value)


def test_offset_outside() -> None:
    for offset in (7, -1):
        with pytest.raises(PositionError) as refused:
            line_column_at("ab", offset)
        check_message(refused.value, f"offset {offset}", 2)


def check_message(error: PositionError, names: str, last: int) -> None:
    """It names what is outside, and the last line, column or offset that there is."""
    assert error.code is ReasonCode.BAD_POSITION
    assert names in str(error)
    assert str(last) in re.findall(r"-?\d+", str(error))
    assert "\n" not in str(error)


def test_offset_inside_line_end_rounds_to_before() -> None:
    assert line_column_at("one\r\ntwo", 4) == (1, 4)


@settings(deadline=None)
@given(TEXTS)
def test_every_offset_survives_the_round_trip(text: str) -> None:
    for offset in range(len(text) + 1):
        line, column = line_column_at(text, offset)
        inside = text[offset - 1 : offset + 1] == "\r\n" and offset > 0
        assert offset_at(text, line, column) == offset - inside


@pytest.mark.parametrize(
    ("whole", "inner"),
    [
        ("\r\n", [1]),
        ("e\u0301\u0323", [1, 2]),
        ("\u2764\ufe0f", [1]),
        ("\U0001f468\u200d\U0001f469", [1, 2]),
        ("\U0001f44d\U0001f3fd", [1]),
        ("\U0001f1eb\U0001f1f7", [1]),
        ("ab", []),
        ("\n\r", []),
        ("\U0001f600\U0001f600", []),
    ],
)
def test_what_reads_as_one_character_stays_whole(whole: str, inner: list[int]) -> None:
    refused = [offset for offset in range(len(whole) + 1) if not may_cut(whole, offset)]
    assert refused == inner


def test_lone_surrogates_are_replaced_one_by_one() -> None:
    assert without_surrogates("a\ud83db\U0001f642") == "a\ufffdb\U0001f642"


@given(st.text("ab", max_size=12), st.text("ab", max_size=12))
def test_common_length(left, right):
    most = min(len(left), len(right))
    length = common_length(left, right, most)

    assert left[:length] == right[:length]
    assert length == most or left[length] != right[length]


@given(st.text("ab", max_size=12), st.text("ab", max_size=12))
def test_common_edges(old, new):
    start, end = common_edges(old, new)
    most = min(len(old), len(new))

    assert start == common_length(old, new, most)
    assert end == common_length(old[::-1], new[::-1], most - start)
    assert old[:start] == new[:start]
    assert old[len(old) - end :] == new[len(new) - end :]
