"""What becomes of a canvas after some of its positions were decided; pure functions of lists.

Source: DreamOn (arXiv 2602.01326), section 3. A decided *delete* means that the text ends
there: every position to its right that is still masked is deleted with it. Then all deletes
leave the canvas. Then, from right to left, every decided *expand* becomes two masks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

NEW = -1
"""The origin of a position that was not in the canvas before."""


@dataclass(frozen=True, slots=True)
class MaskTokens:
    """The ids with a special meaning in a canvas; `None` for those that a model lacks."""

    mask: int
    delete: int | None = None
    expand: int | None = None

    @property
    def changing(self) -> frozenset[int]:
        """The tokens that change the length of a canvas."""
        return frozenset(one for one in (self.delete, self.expand) if one is not None)


@dataclass(frozen=True, slots=True)
class Change:
    """A canvas after deletes and expands."""

    ids: list[int]
    origins: list[int]
    """For each position, its index in the canvas before, or `NEW`."""
    expanded: int = 0
    """How many expands became two masks."""


def with_deletes(
    ids: Sequence[int], tokens: MaskTokens, fixed: Collection[int] = frozenset()
) -> list[int]:
    """The masks right of a delete become deletes too, up to the next `fixed` position.

    `fixed` has the positions that do not belong to the text to be found: those of the text
    around the span, and tokens that the canvas started with.
    """
    broadcast, is_after = [], False
    for at, token in enumerate(ids):
        if at in fixed:
            is_after = False
        elif token == tokens.delete:
            is_after = True
        elif is_after and token == tokens.mask:
            assert tokens.delete is not None
            token = tokens.delete
        broadcast.append(token)
    return broadcast


def resized(
    ids: Sequence[int],
    tokens: MaskTokens,
    *,
    longest: int,
    budget: int,
    fixed: Collection[int] = frozenset(),
) -> Change:
    """Carry out the deletes and expands of a canvas.

    `longest` is the most positions that it may have, and `budget` the most expands that may
    still be carried out; any other expand becomes one mask.
    """
    left = [
        (token, at)
        for at, token in enumerate(with_deletes(ids, tokens, fixed))
        if token != tokens.delete
    ]
    room = min(budget, longest - len(left))
    expanded = 0
    changed: list[tuple[int, int]] = []
    for token, at in reversed(left):
        if tokens.expand is None or token != tokens.expand:
            changed.append((token, at))
            continue
        changed.append((tokens.mask, NEW))
        if expanded < room:
            changed.append((tokens.mask, NEW))
            expanded += 1
    changed.reverse()
    return Change([token for token, _ in changed], [at for _, at in changed], expanded)


def surest(sureness: Sequence[float], count: int) -> frozenset[int]:
    """The `count` positions with the highest values; of equal ones, the leftmost."""
    order = sorted(range(len(sureness)), key=lambda at: -sureness[at])
    return frozenset(order[:count])


def remasked(
    ids: Sequence[int],
    sureness: Sequence[float],
    tokens: MaskTokens,
    count: int,
    fixed: Collection[int] = frozenset(),
) -> list[int]:
    """p2 (arXiv 2502.03540): keep the `count` surest positions, and mask the rest again."""
    open_positions = [at for at in range(len(ids)) if at not in fixed]
    kept = surest([sureness[at] for at in open_positions], count)
    again = {at for number, at in enumerate(open_positions) if number not in kept}
    return [tokens.mask if at in again else token for at, token in enumerate(ids)]
