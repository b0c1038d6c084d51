"""Which tokens are freed around a cursor, and what the positions accept that they leave."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.engine.codec import Codec
from dg_lsp.engine.healing import (
    Limit,
    allowed,
    freed_after,
    freed_before,
    heal,
    mended,
    text_of,
)
from dg_lsp.engine.prompt import CanvasPlan

MASK = b""


class Pieces:
    """A codec whose tokens are given; it takes the longest piece first."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.longest_token = max(map(len, pieces))

    def encode(self, text: str) -> list[int]:
        rest, ids = text.encode(), []
        while rest:
            piece = max((p for p in self.pieces if p and rest.startswith(p)), key=len)
            ids.append(self.pieces.index(piece))
            rest = rest[len(piece) :]
        return ids

    def token_bytes(self, token_id: int) -> bytes:
        return self.pieces[token_id]

    def ids(self, *pieces: bytes) -> tuple[int, ...]:
        return tuple(map(self.pieces.index, pieces))

    def starting_with(self, stem: bytes):
        return self._sorted(lambda piece: piece.startswith(stem))

    def ending_with(self, stem: bytes):
        return self._sorted(lambda piece: piece.endswith(stem))

    def _sorted(self, is_found):
        found = [i for i, piece in enumerate(self.pieces) if piece and is_found(piece)]
        return np.array(sorted(found, key=lambda i: len(self.pieces[i])), dtype=np.int64)


LETTERS = [bytes([byte]) for byte in range(256)]
WORDS = Pieces(
    *(MASK, *LETTERS, b"ret", b"ur", b"urn", b"return", b"returns", b" x", b"  ", b"    "),
    *(b"):", b"):\n", b"foo", b"\xe5\x9c", "圆".encode(), "圆圆".encode()),
)


def plan_of(
    codec: Pieces, left: Sequence[bytes], right: Sequence[bytes], count: int
) -> CanvasPlan:
    return CanvasPlan(
        (-1,) * count, 0, count, codec.ids(*left), codec.ids(*right), is_open=not right
    )


@pytest.mark.parametrize(
    ("tokens", "freed"),
    [
        ([b"foo", b"ret", b"ur"], 2),
        ([b"foo", b"ret"], 1),
        # Nothing reaches over it, but what follows may still be joined to it.
        ([b"foo", b"return", b"s"], 1),
        ([b"r", b"e", b"t", b"u"], 4),
        ([b"u", b"r"], 2),
        ([b"foo", b" "], 1),
        ([b"foo", b"  ", b" "], 2),
        # The longest run of spaces reaches three back, not four.
        ([b"  ", b"  ", b" "], 2),
        ([b"    ", b"  "], 1),
        ([], 0),
        # "圆" in two tokens, and a token for two of them.
        ([b"foo", b"\xe5\x9c", b"\x86"], 2),
        # No token reaches over "é", and its second byte alone is not a text.
        ([b"foo", b"\xc3", b"\xa9"], 0),
        ([b"\xc3", b"\xa9", b"ret"], 1),
    ],
)
def test_tokens_freed_before_a_span(tokens, freed):
    ids = WORDS.ids(*tokens)

    assert freed_before(WORDS, ids) == ids[len(ids) - freed :]


@pytest.mark.parametrize(
    ("tokens", "freed"),
    [
        ([b"urn", b"foo"], 1),
        ([b"ur", b"n", b"foo"], 2),
        ([b"x"], 1),
        ([b":", b"\n"], 2),
        ([b"u", b"r", b"n", b"s", b" x"], 4),
        ([], 0),
        (["圆".encode(), b"foo"], 1),
        ([b"\xe5\x9c", b"\x86", b"foo"], 2),
        ([b"\xc3", b"\xa9"], 0),
    ],
)
def test_tokens_freed_after_a_span(tokens, freed):
    ids = WORDS.ids(*tokens)

    assert freed_after(WORDS, ids) == ids[:freed]


VOCABULARY = st.sets(st.text("ab", min_size=1, max_size=5).map(str.encode), max_size=12)


@settings(deadline=None)
@given(extra=VOCABULARY, data=st.data())
def test_behind_the_freed_tokens_no_entry_crosses_into_the_span(extra, data):
    codec = Pieces(*sorted({b"a", b"b", *extra}))
    ids = data.draw(st.lists(st.integers(0, len(codec.pieces) - 1), min_size=1, max_size=8))
    before, after = freed_before(codec, ids), freed_after(codec, ids)

    for at in range(len(ids)):
        reaches = any(
            piece.startswith(text_of(codec, ids[at:])) and piece != text_of(codec, ids[at:])
            for piece in codec.pieces
        )
        assert at >= len(ids) - len(before) or not reaches
        reaches = any(
            piece.endswith(text_of(codec, ids[: at + 1]))
            and piece != text_of(codec, ids[: at + 1])
            for piece in codec.pieces
        )
        assert at < len(after) or not reaches
    assert before
    assert after


def limits_of(codec: Pieces, plan: CanvasPlan, held: Sequence[bytes | None]):
    """Of each healed position: its index, the text that limits it, and the typed token."""
    ids = [-1 if piece is None else codec.pieces.index(piece) for piece in held]
    return [
        (
            one.position,
            one.limit.start or one.limit.end,
            None if one.limit.typed is None else codec.token_bytes(one.limit.typed),
        )
        for one in heal(plan, codec, ids)
    ]


@pytest.mark.parametrize(
    ("held", "expect"),
    [
        # Nothing is known yet: each typed token may follow the one before.
        ([None, None, None], [(0, b"retur", b"ret"), (1, b"ur", None)]),
        ([MASK, MASK, MASK], [(0, b"retur", b"ret"), (1, b"ur", None)]),
        ([b"ret", b"urn", b"x"], [(0, b"retur", b"ret"), (1, b"ur", None)]),
        # The first token reaches the cursor, so the second is free.
        ([b"return", b"x", b"x"], [(0, b"retur", b"ret")]),
        # A token that does not belong there counts as the typed one.
        ([b"foo", b"x", b"x"], [(0, b"retur", b"ret"), (1, b"ur", None)]),
    ],
)
def test_positions_go_on_where_the_one_before_ends(held, expect):
    plan = plan_of(WORDS, [b"ret", b"ur"], [], len(held))

    assert limits_of(WORDS, plan, held) == expect


@pytest.mark.parametrize(
    ("held", "expect"),
    [
        ([None, None, None], [(2, b"urn", b"n"), (1, b"ur", None)]),
        ([b"x", b"x", b"return"], [(2, b"urn", b"n")]),
        ([b"x", b"ur", b"n"], [(2, b"urn", b"n"), (1, b"ur", None)]),
    ],
)
def test_after_the_span_positions_go_on_from_right_to_left(held, expect):
    plan = plan_of(WORDS, [], [b"ur", b"n"], len(held))

    assert limits_of(WORDS, plan, held) == expect


@pytest.mark.parametrize(
    ("left", "right", "count", "expect"),
    [
        # One token for each side.
        ([b"ret", b"ur"], [b")", b":"], 2, [(0, b"retur", None), (1, b"):", None)]),
        (
            [b"ret", b"ur"],
            [b")", b":"],
            3,
            [(0, b"retur", b"ret"), (1, b"ur", None), (2, b"):", None)],
        ),
        ([b"ret", b"ur"], [], 1, [(0, b"retur", None)]),
        ([], [b")", b":"], 1, [(0, b"):", None)]),
    ],
)
def test_a_short_canvas_reaches_the_cursor_in_time(left, right, count, expect):
    plan = plan_of(WORDS, left, right, count)

    assert limits_of(WORDS, plan, [None] * count) == expect


def test_one_position_holds_the_text_on_both_sides():
    plan = plan_of(WORDS, [b"ret"], [b"n"], 1)
    (healed,) = heal(plan, WORDS, [-1])

    assert healed.limit == Limit(b"ret", b"n")
    assert list(allowed(WORDS, healed.limit)) == list(WORDS.ids(b"return"))
    # They may not share a character.
    assert list(allowed(WORDS, Limit(b"return", b"return"))) == []


@pytest.mark.parametrize(
    ("held", "expect"),
    [
        ([b"ret", b"x", b"foo"], [b"ret", b"ur", b"foo"]),
        ([b"x", b"urn", b"foo"], [b"ret", b"urn", b"foo"]),
        ([b"returns", b"x", b"foo"], [b"returns", b"x", b"foo"]),
        ([MASK, b"x", b"foo"], [b"ret", b"ur", b"foo"]),
    ],
)
def test_a_token_that_does_not_go_on_is_replaced_by_the_typed_one(held, expect):
    plan = plan_of(WORDS, [b"ret", b"ur"], [], 3)
    ids = WORDS.ids(*held)

    assert mended(heal(plan, WORDS, ids), ids) == list(WORDS.ids(*expect))


@settings(deadline=None)
@given(extra=VOCABULARY, data=st.data())
def test_whatever_is_predicted_the_canvas_holds_the_typed_text(extra, data):
    codec = Pieces(*sorted({b"a", b"b", *extra}))
    token = st.integers(0, len(codec.pieces) - 1)
    typed = st.lists(token, min_size=1, max_size=5)
    before, after = data.draw(typed), data.draw(typed)
    left, right = freed_before(codec, before), freed_after(codec, after)
    count = data.draw(st.integers(2, 8))
    plan = CanvasPlan((-1,) * count, 0, count, left, right, is_open=False)
    ids = data.draw(st.lists(token, min_size=count, max_size=count))

    healed = heal(plan, codec, ids)
    written = text_of(codec, mended(healed, ids))
    assert written.startswith(text_of(codec, left))
    assert written.endswith(text_of(codec, right))
    # Each token is one that its position accepts.
    for one in healed:
        assert one.token == one.limit.typed or one.token in allowed(codec, one.limit)
    # And it stays as it is.
    assert mended(heal(plan, codec, mended(healed, ids)), ids) == mended(healed, ids)


@settings(deadline=None)
@given(extra=VOCABULARY, data=st.data())
def test_the_typed_tokens_are_always_accepted_where_there_is_room(extra, data):
    codec = Pieces(*sorted({b"a", b"b", *extra}))
    typed = st.lists(st.integers(0, len(codec.pieces) - 1), min_size=1, max_size=5)
    left, right = freed_before(codec, data.draw(typed)), freed_after(codec, data.draw(typed))
    ids = [*left, *right]
    plan = CanvasPlan((-1,) * len(ids), 0, len(ids), left, right, is_open=False)

    assert mended(heal(plan, codec, ids), ids) == ids
    assert sorted(one.position for one in heal(plan, codec, ids)) == list(range(len(ids)))


CODE = inspect.getsource(textwrap)


@pytest.mark.parametrize("name", ["tiny_codec", "gemma_codec"])
def test_the_best_tokens_across_a_cursor_can_be_written(name, request):
    codec = request.getfixturevalue(name)
    reached, reached_by_one = [], []
    for cursor in range(100, len(CODE) - 100, 7):
        before = codec.encode(CODE[cursor - 80 : cursor])
        best = codec.encode(CODE[cursor - 80 : cursor + 80])
        left = freed_before(codec, before)
        reached.append(is_written(codec, before, left, best))
        reached_by_one.append(is_written(codec, before, left[-1:], best))

    assert np.mean(reached) > 0.96
    assert np.mean(reached_by_one) < np.mean(reached)


def is_written(codec: Codec, before: list[int], left: tuple[int, ...], best: list[int]) -> bool:
    """Whether a canvas that frees the tokens `left` of `before` may hold the `best` tokens."""
    known = len(before) - len(left)
    if best[:known] != before[:known]:
        return False
    plan = CanvasPlan(tuple(best[known:]), 0, len(best) - known, left, (), is_open=True)
    return mended(heal(plan, codec, plan.ids), plan.ids) == list(plan.ids)


def pieces_of(codec: Codec, ids: Sequence[int]) -> list[bytes]:
    return [codec.token_bytes(token_id) for token_id in ids]


@pytest.mark.parametrize(
    ("before", "freed"),
    [
        # Any number of spaces may follow up to the longest run; a few more are all freed.
        ("x = ", [b" "]),
        ("def f():\n    ", [b"    "]),
        ("def f():\n" + " " * 31, [b" " * 31]),
        ("\n\n", [b"\n\n"]),
        ("\t\t", [b"\t\t"]),
        ("<tabl", None),
        ("<unused0", None),
    ],
)
def test_what_a_vocabulary_of_gemmas_kind_frees(gemma_codec, before, freed):
    ids = gemma_codec.encode(before)
    left = freed_before(gemma_codec, ids)

    assert before.encode().endswith(text_of(gemma_codec, left))
    if freed is not None:
        assert pieces_of(gemma_codec, left) == freed
    for limit in (one.limit for one in heal(plan_of_ids(left), gemma_codec, [-1] * len(left))):
        # Every token that is accepted is text, and is found by bisection, not one by one.
        assert set(map(int, allowed(gemma_codec, limit))).isdisjoint(
            gemma_codec.control.disallowed
        )


def plan_of_ids(left: tuple[int, ...]) -> CanvasPlan:
    return CanvasPlan((-1,) * len(left), 0, len(left), left, (), is_open=True)


def test_a_cursor_after_a_space_accepts_every_token_that_starts_with_one(gemma_codec):
    left = freed_before(gemma_codec, gemma_codec.encode("x = "))
    (healed,) = heal(plan_of_ids(left), gemma_codec, [-1])
    found = pieces_of(gemma_codec, allowed(gemma_codec, healed.limit))

    assert {b" ", b"  ", b" " * 31, b" return"} <= set(found)
    assert len(found) == sum(
        gemma_codec.token_bytes(i).startswith(b" ") for i in range(gemma_codec.vocab_size)
    )
