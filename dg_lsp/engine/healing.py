"""Healing: tokens beside the cursor are freed, because the best token may straddle the cursor.

Before a span, the token at the cursor is freed, and with it as many tokens as some entry of the
vocabulary reaches over: one that starts where a typed token starts, continues with all the text
up to the cursor, and goes on. No entry crosses from the tokens before those into the span.
After a span, the same holds from right to left.

The positions that are freed for this are *healed*. The first one accepts the tokens that start
with the whole freed text, and the typed token. While positions hold their typed tokens, the
next one accepts the tokens that start with the rest of the freed text, and its own typed token.
Once a token reaches the cursor, everything after it is free. So every canvas begins with the
typed text, in the tokens that were typed, except for the one that straddles the cursor.

A model predicts all positions at once, so what they accept in one step follows from the tokens
of the step before. A token that does not continue the one before it is replaced by the typed
one, and so is noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dg_lsp.engine.codec import Codec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dg_lsp.engine.prompt import CanvasPlan, FreeSegment


@dataclass(frozen=True, slots=True)
class Limit:
    """Which tokens a healed position accepts."""

    start: bytes
    """Typed text that a token must start with."""
    end: bytes
    """Typed text that a token must end with, after `start`."""
    typed: int | None = None
    """The typed token, if it is accepted although it does not reach the cursor."""


@dataclass(frozen=True, slots=True)
class Healed:
    """A healed position."""

    position: int
    """Its index among the free positions."""
    typed: int
    """The token that was typed there."""
    limit: Limit
    token: int
    """The token that it holds, or that is shown in its place; -1 if its limit accepts none."""


def freed_before(codec: Codec, ids: Sequence[int]) -> tuple[int, ...]:
    """The tokens before a span that are freed, of those of the text before it."""
    count = _reach(codec, reversed(ids), from_left=True)
    return tuple(ids[len(ids) - count :])


def freed_after(codec: Codec, ids: Sequence[int]) -> tuple[int, ...]:
    """The tokens after a span that are freed, of those of the text after it."""
    return tuple(ids[: _reach(codec, ids, from_left=False)])


def heal(plan: CanvasPlan, codec: Codec, ids: Sequence[int]) -> list[Healed]:
    """The healed positions of a canvas whose free positions hold `ids`, -1 where unknown.

    If there are fewer positions than freed tokens, the cursor must be reached earlier.
    """
    healed: list[Healed] = []
    first = 0
    for segment in plan.segments:
        part = ids[first : first + segment.length]
        for one in _heal(segment, codec, part):
            healed.append(replace(one, position=first + one.position) if first else one)
        first += segment.length
    return healed


def _heal(segment: FreeSegment, codec: Codec, ids: Sequence[int]) -> list[Healed]:
    """The healed positions of one segment, by their index in it."""
    left, right, count = segment.left_tokens, segment.right_tokens, segment.length
    if count == 1 and left and right:
        both = Limit(text_of(codec, left), text_of(codec, right))
        return [Healed(0, left[0], both, _held(codec, both, ids[0], left[0]))]
    on_left = range(min(len(left), count - bool(right)))
    on_right = range(count - 1, count - 1 - min(len(right), count - len(on_left)), -1)
    return [
        *_side(codec, left, on_left, ids, from_left=True),
        *_side(codec, right[::-1], on_right, ids, from_left=False),
    ]


def mended(healed: Iterable[Healed], ids: Sequence[int]) -> list[int]:
    """`ids` with the tokens that the healed positions hold."""
    tokens = list(ids)
    for one in healed:
        tokens[one.position] = one.token
    return tokens


def allowed(codec: Codec, limit: Limit) -> list[int] | NDArray[np.int64]:
    """The tokens that a limit accepts, besides its typed one."""
    if not limit.end:
        return codec.starting_with(limit.start)
    if not limit.start:
        return codec.ending_with(limit.end)
    fewer = min(codec.starting_with(limit.start), codec.ending_with(limit.end), key=len)
    return [int(i) for i in fewer if _reaches(codec, limit, int(i))]


def text_of(codec: Codec, ids: Iterable[int]) -> bytes:
    """The bytes that some tokens write."""
    return b"".join(map(codec.token_bytes, ids))


def _reach(codec: Codec, ids: Iterable[int], *, from_left: bool) -> int:
    """How many tokens are freed; `ids` are those beside the cursor, the nearest first."""
    freed, text = 0, b""
    for count, token_id in enumerate(ids, start=1):
        piece = codec.token_bytes(token_id)
        text = piece + text if from_left else text + piece
        if _is_whole(text) and (count == 1 or _goes_on(codec, text, from_left=from_left)):
            freed = count
        if len(text) >= codec.longest_token:
            break
    return freed


def _is_whole(text: bytes) -> bool:
    """Whether it begins and ends at character boundaries, as the text to write must."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _goes_on(codec: Codec, text: bytes, *, from_left: bool) -> bool:
    """Whether any token starts (or ends) with a text and is longer."""
    found = codec.starting_with(text) if from_left else codec.ending_with(text)
    # The shortest come first, and all that are longer come after those that are equal.
    return len(found) > 0 and len(codec.token_bytes(int(found[-1]))) > len(text)


def _side(
    codec: Codec, freed: Sequence[int], positions: range, ids: Sequence[int], *, from_left: bool
) -> Iterator[Healed]:
    """The healed positions of one side, from the outside to the cursor, as `freed` is."""
    texts = [
        text_of(codec, freed[at:] if from_left else reversed(freed[at:]))
        for at in range(len(positions))
    ]
    limits = [Limit(text, b"") if from_left else Limit(b"", text) for text in texts]
    # Whether the positions after one can hold the rest of the text.
    can_follow = False
    for at in reversed(range(len(positions))):
        reaching = limits[at]
        if can_follow:
            limits[at] = replace(reaching, typed=freed[at])
        can_follow |= len(positions) == len(freed) or len(allowed(codec, reaching)) > 0
    for position, typed, limit in zip(positions, freed, limits, strict=False):
        token = _held(codec, limit, ids[position], typed)
        yield Healed(position, typed, limit, token)
        if token != limit.typed:
            return


def _held(codec: Codec, limit: Limit, token_id: int, typed: int) -> int:
    """The token at a healed position if its limit accepts it, or else one that it accepts.

    A position without text, noise or a mask, counts as the typed token.
    """
    for token in (token_id, typed):
        if token >= 0 and (token == limit.typed or _reaches(codec, limit, token)):
            return token
    return next((int(i) for i in allowed(codec, limit)), -1)


def _reaches(codec: Codec, limit: Limit, token_id: int) -> bool:
    """Whether a token contains all the typed text, up to the cursor."""
    piece = codec.token_bytes(token_id)
    return (
        len(piece) >= len(limit.start) + len(limit.end)
        and piece.startswith(limit.start)
        and piece.endswith(limit.end)
    )
