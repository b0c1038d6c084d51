"""Positions in all three units, on the texts that trip them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from dg_lsp.server.convert import (
    Units,
    apply_change,
    offset_at,
    position_at,
    width,
    without_surrogates,
)

TEXT = "a🙂b\r\nné\t\rx\x0cy\u2028z\n圆"


@pytest.mark.parametrize(
    ("line", "character", "units", "expect"),
    [
        (0, 0, Units.UTF16, 0),
        (0, 1, Units.UTF16, 1),
        (0, 2, Units.UTF16, 1),
        (0, 3, Units.UTF16, 2),
        (0, 4, Units.UTF16, 3),
        (0, 99, Units.UTF16, 3),
        (0, 5, Units.UTF8, 2),
        (0, 3, Units.UTF8, 1),
        (0, 2, Units.UTF32, 2),
        (1, 0, Units.UTF16, 5),
        (1, 3, Units.UTF8, 7),
        (1, 2, Units.UTF8, 6),
        # Form feed and line separator end no line of an editor.
        (2, 4, Units.UTF16, 13),
        (3, 1, Units.UTF16, 16),
        (4, 0, Units.UTF16, 16),
        (2**31 - 1, 7, Units.UTF8, 16),
    ],
)
def test_offsets_of_positions(line, character, units, expect):
    assert offset_at(TEXT, types.Position(line, character), units) == expect


@pytest.mark.parametrize("units", Units)
def test_every_offset_comes_back(units):
    between = TEXT.index("\n")
    for offset in range(len(TEXT) + 1):
        back = offset_at(TEXT, position_at(TEXT, offset, units), units)
        assert back == (offset - 1 if offset == between else offset)


def test_widths():
    assert [width("a🙂é", units) for units in Units] == [7, 4, 3]
    assert width("\ud83d", Units.UTF16) == 1
    assert width("\ud83d", Units.UTF8) == 3


def test_lone_surrogates_are_replaced_one_by_one():
    assert without_surrogates("a\ud83db🙂") == "a\ufffdb🙂"


def test_a_pair_that_is_cut_and_joined_again_is_one_character():
    at = types.Position(0, 1)
    cut = apply_change("🙂", types.Range(at, at), "x", Units.UTF16)
    assert cut == "\ud83dx\ude42"
    joined = apply_change(cut, types.Range(at, types.Position(0, 2)), "", Units.UTF16)
    assert joined == "🙂"


def test_a_range_the_wrong_way_round_is_turned():
    span = types.Range(types.Position(0, 3), types.Position(0, 1))
    assert apply_change("abcd", span, "-", Units.UTF16) == "a-d"


LINES = st.lists(
    st.text(alphabet="ab🙂é\u2028\x0c\ud83d", max_size=6), min_size=1, max_size=4
).flatmap(
    lambda lines: st.lists(
        st.sampled_from(["\n", "\r\n", "\r"]), min_size=len(lines), max_size=len(lines)
    ).map(lambda ends: "".join(line + end for line, end in zip(lines, ends, strict=True)))
)


@given(text=LINES, new=LINES, ends=st.tuples(st.integers(0, 50), st.integers(0, 50)))
def test_edits_are_those_of_an_editor_that_counts_utf16(text, new, ends):
    units = text.encode("utf-16-le", "surrogatepass")

    def place(at: int) -> tuple[types.Position, int]:
        """A position of an editor, and its place in UTF-16 code units."""
        at = min(at, len(units) // 2)
        before = units[: 2 * at].decode("utf-16-le", "surrogatepass")
        if before.endswith("\r") and units[2 * at : 2 * at + 2] == b"\n\x00":
            before, at = before[:-1], at - 1
        lines = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        last = len(lines[-1].encode("utf-16-le", "surrogatepass")) // 2
        return types.Position(len(lines) - 1, last), at

    (start, first), (end, last) = sorted((place(at) for at in ends), key=lambda one: one[1])
    inserted = new.encode("utf-16-le", "surrogatepass")
    expect = units[: 2 * first] + inserted + units[2 * last :]

    after = apply_change(
        units.decode("utf-16-le", "surrogatepass"), types.Range(start, end), new, Units.UTF16
    )
    assert after == expect.decode("utf-16-le", "surrogatepass")


@given(st.lists(st.sampled_from(["ab\n", "\n", "x\r\n", "\r\n", "long line\n"])), st.booleans())
def test_lines_are_found_in_documents_of_either_line_end(lines, is_mixed):
    text = "".join(lines) + ("\rlast" if is_mixed else "last")
    start = 0
    for number, line in enumerate(lines):
        body = line.rstrip("\r\n")
        for character in range(len(body) + 2):
            at = offset_at(text, types.Position(number, character), Units.UTF16)
            assert at == start + min(character, len(body))
        start += len(line)
    after = offset_at(text, types.Position(len(lines) + is_mixed, 1), Units.UTF16)
    assert after == start + is_mixed + 1
    assert offset_at(text, types.Position(len(lines) + 5, 0), Units.UTF16) == len(text)
