"""What is known of the text around a cursor, piece by piece."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dg_lsp.document.pieces import (
    PIECE_CHARS,
    lines_after,
    lines_before,
    pieces_around,
    split_lines,
)

TEXTS = st.text("ab \n\r\x0c\u2028", max_size=30)


@given(TEXTS, st.integers(1, 9))
def test_the_lines_beside_a_cursor_are_those_of_the_whole_text(text: str, most: int) -> None:
    lines = split_lines(text)

    assert "".join(lines) == text
    assert lines_before(text, most) == lines[-most:]
    assert lines_after(text, most) == lines[:most]


@given(TEXTS, st.integers(1, PIECE_CHARS), st.integers(0, 9_000), st.integers(0, 9_000))
def test_each_line_is_in_a_piece_as_it_is_in_the_text(
    text: str, width: int, above: int, below: int
) -> None:
    filling = "-" * width + "\n"
    prefix = filling * (above // width) + text + "\n" + filling * (above % 7)
    suffix = filling * (below % 7) + "\n" + text + filling * (below // width)
    pieces = pieces_around(prefix, suffix)

    for line in map(str.strip, split_lines(text)):
        assert any(piece.has(line) for piece in pieces)
        assert any(line in piece.stripped_lines for piece in pieces)
        assert any(piece.has(f"{line}!") for piece in pieces) is False


def test_a_part_of_a_line_is_in_its_piece() -> None:
    (above, below) = pieces_around("    return total + 1\n", "\nreturn 2")

    assert above.has("total + 1")
    assert not below.has("total + 1")
    assert "total + 1" not in above.stripped_lines


def test_most_pieces_stay_when_the_cursor_moves() -> None:
    lines = [f"line {number}\n" for number in range(3_000)]
    before = pieces_around("".join(lines[:1500]), "".join(lines[1501:]))
    after = pieces_around("".join(lines[:1520]), "".join(lines[1521:]))

    assert len({*map(id, before)} & {*map(id, after)}) >= len(before) - 4
