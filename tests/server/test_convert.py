"""Positions in all three units, on the texts that trip them."""

from __future__ import annotations

import re

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


def slow_offset(line: str, character: int, units: Units) -> tuple[int, int]:
    """Character by character: where a position is in a line, and how far inside of one."""
    used = 0
    for index, one in enumerate(line):
        size = slow_width(one, units)
        if used + size > character:
            return index, character - used
        used += size
    return len(line), 0


ODD_LINES = st.text(alphabet="ab\xe9\u0301\u2028\uffff🙂\U0010ffff\ud83d\udfff", max_size=40)


@given(line=ODD_LINES, character=st.integers(0, 200), units=st.sampled_from(Units))
def test_positions_are_those_of_counting_character_by_character(line, character, units):
    # A high half before a low one is one character to whoever reads UTF-16.
    line = line.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    text = f"first\n{line}\nlast"
    offset, cut = slow_offset(line, character, units)
    assert offset_at(text, types.Position(1, character), units) == 6 + offset
    assert position_at(text, 6 + offset, units) == types.Position(
        1, sum(slow_width(one, units) for one in line[:offset])
    )
    if units is not Units.UTF16 or not cut:
        at = types.Position(1, character)
        expect = f"first\n{line[:offset]}+{line[offset:]}\nlast"
        assert apply_change(text, types.Range(at, at), "+", units) == expect


def slow_width(character: str, units: Units) -> int:
    if units is Units.UTF8:
        return len(character.encode("utf-8", "surrogatepass"))
    return 1 + (units is Units.UTF16 and character > "\uffff")


def slow_lines(text: str) -> list[tuple[int, int]]:
    """Where each line starts and ends."""
    ends = [(found.start(), found.end()) for found in re.finditer("\r\n|\r|\n", text)]
    starts = [0, *(end for _, end in ends)]
    return [*zip(starts, [*(start for start, _ in ends), len(text)], strict=True)]


PLACE = st.tuples(st.integers(0, 30), st.integers(0, 8))
EDIT = st.tuples(PLACE, PLACE, st.text(alphabet="ab\n\r\xe9🙂", max_size=8))


@given(
    text=st.text(alphabet="ab\xe9🙂\n", max_size=300) | LINES,
    edits=st.lists(EDIT, max_size=12),
    looks=st.lists(PLACE, min_size=12, max_size=12),
)
def test_what_is_remembered_of_a_text_is_right_after_every_edit(text, edits, looks):
    units = Units.UTF32
    for edit, look in zip([None, *edits], looks, strict=False):
        if edit is not None:
            ends = [types.Position(*edit[0]), types.Position(*edit[1])]
            lines = slow_lines(text)
            start, end = sorted(
                min(lines[at.line][0] + at.character, lines[at.line][1])
                if at.line < len(lines)
                else len(text)
                for at in ends
            )
            expect = text[:start] + edit[2] + text[end:]
            text = apply_change(text, types.Range(*ends), edit[2], units)
            assert text == expect
        lines = slow_lines(text)
        line = look[0] % len(lines)
        first, last = lines[line]
        assert offset_at(text, types.Position(line, look[1]), units) == min(
            first + look[1], last
        )
        assert position_at(text, last, units) == types.Position(line, last - first)


def test_a_long_document_is_not_counted_anew_at_each_key(monkeypatch):
    text = "a line\n" * 100_000
    at = types.Position(50_000, 3)
    offset_at(text, at, Units.UTF16)
    searched = []

    class Watched(str):
        __slots__ = ()

        def count(self, *arguments):
            searched.append(arguments[2] - arguments[1])
            return super().count(*arguments)

        def rfind(self, *arguments):
            searched.append(1)
            return super().rfind(*arguments)

    text = Watched(text)
    offset_at(text, at, Units.UTF16)
    assert sum(searched) > 100_000
    searched.clear()
    for line in (50_000, 50_001, 49_990, 50_100):
        offset_at(text, types.Position(line, 3), Units.UTF16)
        position_at(text, 7 * line + 3, Units.UTF16)
    assert sum(searched) < 5_000
