"""From tokens to the text of the span, and where a text goes over into the suffix."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dg_lsp.engine.prompt import CanvasPlan
from dg_lsp.engine.span_text import meeting_point, span_text


class Pieces:
    """A codec whose token `n` writes the `n`-th piece."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def token_bytes(self, token_id: int) -> bytes:
        return self.pieces[token_id]


def read(pieces: list[bytes], sureness, left: bytes | None, right: bytes | None):
    """The span that a canvas of `pieces` writes between the typed `left` and `right`."""
    codec = Pieces([*pieces, left or b"", right or b""])
    count = len(pieces)
    plan = CanvasPlan(
        (-1,) * count,
        0,
        count,
        left_tokens=() if left is None else (count,),
        right_tokens=() if right is None else (count + 1,),
        is_open=right is None,
    )
    return span_text(plan, codec, range(count), sureness)


@pytest.mark.parametrize(
    ("pieces", "sureness", "left", "right", "text", "confidences"),
    [
        ([b"x", b" + 1"], [0.5, 0.9], None, None, "x + 1", (0.5, 0.9, 0.9, 0.9, 0.9)),
        ([b"area", b"("], [0.5, 0.9], b"ar", None, "ea(", (0.5, 0.5, 0.9)),
        ([b"x", b"):\n"], [0.5, 0.9], None, b":\n", "x)", (0.5, 0.9)),
        ([b"area", b"):"], [0.5, 0.9], b"ar", b":", "ea)", (0.5, 0.5, 0.9)),
        ([b"area"], [0.5], b"a", b"a", "re", (0.5, 0.5)),
        ([b"a", b"b"], [0.5, 0.9], b"a", b"b", "", ()),
        # "圆" by two tokens, the second of which goes on.
        ([b"\xe5\x9c", b"\x86 = 1"], [0.9, 0.5], None, None, "圆 = 1", (0.5,) * 5),
        ([b"\xe5", b"\x9c", b"\x86x"], [0.3, 0.2, 0.9], None, None, "圆x", (0.2, 0.9)),
        ([b"a\xc3", b"\xa9"], [0.9, 0.8], b"a", None, "é", (0.8,)),
        # Bytes that form no character.
        ([b"\x86", b"a"], [0.9, 0.5], None, None, "\ufffda", (0.9, 0.5)),
    ],
)
def test_text_and_confidence_of_each_character(
    pieces, sureness, left, right, text, confidences
):
    assert read(pieces, sureness, left, right) == (text, confidences)


@settings(deadline=None)
@given(text=st.text(max_size=12), data=st.data())
def test_however_tokens_cut_the_bytes_the_text_is_the_same(text, data):
    written = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(written)))) | {0, len(written)})
    pieces = [written[a:b] for a, b in itertools.pairwise(cuts)]
    sureness = data.draw(st.lists(st.floats(0, 1), min_size=len(pieces), max_size=len(pieces)))

    got, confidences = read(pieces, sureness, None, None)
    assert got == text
    assert len(confidences) == len(text)
    assert set(confidences) <= set(sureness)


@pytest.mark.parametrize(
    ("text", "suffix", "span"),
    [
        ("x + 1)\n", ")\n    return y\n", "x + 1"),
        ("a, b)", ")", "a, b"),
        ("a, b", ")", None),
        ("a, b)\n    ret", ")\n    return a\n", "a, b"),
        (") * 2\n", ") * 2\nprint()\n", ""),
        ("", ")", None),
        ("x", "", None),
        ("x\n", "\n", None),
        ("x\n    ", "\n    return y", None),
        # Long enough to be no coincidence, though the text goes on.
        ("1\n    return area\n    print(", "\n    return area\n", "1"),
        ("f(a)\n\ng", "(a)\n\nh(b)\n", None),
        # The first of two meetings.
        ("1\nreturn x\nreturn x\n", "\nreturn x\n", "1"),
        # A coincidence, then the meeting.
        ("(a) + (b)\n", ")\n\n\ndef f():", "(a) + (b"),
        ("(a) + (b) * 2", ") * 2\n", "(a) + (b"),
    ],
)
def test_meeting_point(text, suffix, span):
    end = meeting_point(text, suffix)

    assert (None if end is None else text[:end]) == span


@settings(deadline=None)
@given(st.text("ab(\n ", max_size=20), st.text("ab(\n ", max_size=20))
@example("", "")
def test_what_is_cut_off_repeats_the_suffix(text, suffix):
    end = meeting_point(text, suffix)

    if end is not None:
        rest = text[end:]
        assert rest.strip()
        shared = next(
            (n for n, (a, b) in enumerate(zip(rest, suffix, strict=False)) if a != b),
            min(len(rest), len(suffix)),
        )
        assert shared > 0
