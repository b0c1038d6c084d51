"""A job in token ids: what the network reads, and the plan of a canvas.

For every model family, a canvas is

    [free: healed .. span .. healed][right anchor][closing]

Healed positions begin and end the free ones: they hold the text on both sides of the cursor
(`healing`). The family decides what surrounds the canvas (`family.PromptLayout`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dg_lsp.engine.codec import Codec
from dg_lsp.engine.healing import text_of


@dataclass(frozen=True, slots=True)
class Prompt:
    """A job in tokens, before the length of its span is known."""

    ids: tuple[int, ...]
    """What the network reads before the canvas."""
    left_tokens: tuple[int, ...]
    """The freed tokens before the span."""
    right_tokens: tuple[int, ...]
    """The freed tokens after the span."""
    right_anchor: tuple[int, ...]
    """Pinned suffix tokens; `closing` follows if they reach the end of the document."""
    closing: tuple[int, ...]
    """Pinned end of the reply, if the right anchor contains all the text after the span."""
    after: tuple[int, ...] = ()
    """What the network reads after the canvas, for a family that reads both sides."""

    @property
    def knows_what_follows(self) -> bool:
        """Whether the network sees any text right after the span."""
        pinned = self.right_anchor or self.closing
        return bool(self.right_tokens or pinned or self.after)

    @property
    def healed_tokens(self) -> int:
        """Tokens that the text around the span takes in a canvas, as it is typed."""
        return len(self.left_tokens) + len(self.right_tokens)

    @property
    def least_tokens(self) -> int:
        """Free positions that a canvas needs: one token may hold all that is freed on a
        side."""
        return max(1, bool(self.left_tokens) + bool(self.right_tokens))

    @property
    def anchored_tokens(self) -> int:
        """Canvas positions that are pinned."""
        return len(self.right_anchor) + len(self.closing)


@dataclass(frozen=True, slots=True)
class CanvasPlan:
    """One canvas: which positions are pinned, which are free, and what those accept."""

    ids: tuple[int, ...]
    """Starting ids; -1 for free positions that start as noise."""
    free_start: int
    free_end: int
    left_tokens: tuple[int, ...]
    """Typed tokens that limit the first free positions."""
    right_tokens: tuple[int, ...]
    """Typed tokens that limit the last free positions."""
    is_open: bool
    """Whether no known text follows the free positions."""
    seed: int | None = None
    """Number of the job's seed that the free positions start as."""

    @property
    def free_length(self) -> int:
        return self.free_end - self.free_start

    @property
    def free_ids(self) -> tuple[int, ...]:
        """What the free positions start as."""
        return self.ids[self.free_start : self.free_end]

    def with_free(self, ids: Sequence[int]) -> CanvasPlan:
        """The same canvas with other free positions, possibly more or fewer."""
        return replace(
            self,
            ids=(*self.ids[: self.free_start], *ids, *self.ids[self.free_end :]),
            free_end=self.free_start + len(ids),
        )


def plan_canvas(prompt: Prompt, free_length: int) -> CanvasPlan:
    """An anchored canvas with `free_length` free positions, healed ones included."""
    return plan_rewrite(prompt, [-1] * free_length)


def plan_seed(prompt: Prompt, ids: Sequence[int], seed: int) -> CanvasPlan:
    """An anchored canvas that starts as the text of the job's seed with that number."""
    return replace(plan_rewrite(prompt, ids), seed=seed)


def plan_open_canvas(prompt: Prompt, free_length: int) -> CanvasPlan:
    """A canvas with nothing after the free positions: the span may end anywhere in it."""
    return CanvasPlan((-1,) * free_length, 0, free_length, prompt.left_tokens, (), is_open=True)


def plan_rewrite(prompt: Prompt, start_ids: Sequence[int]) -> CanvasPlan:
    """An anchored canvas whose free positions start as `start_ids`, -1 where noised."""
    if not start_ids:
        raise ValueError("a canvas needs at least one free position")
    return CanvasPlan(
        ids=(*start_ids, *prompt.right_anchor, *prompt.closing),
        free_start=0,
        free_end=len(start_ids),
        left_tokens=prompt.left_tokens,
        right_tokens=prompt.right_tokens,
        is_open=not prompt.knows_what_follows,
    )


def healed_ids(prompt: Prompt, codec: Codec, span: str) -> list[int]:
    """The free positions that write `span`, with the typed text around it healed in."""
    before, after = (text_of(codec, ids) for ids in (prompt.left_tokens, prompt.right_tokens))
    return codec.encode(before.decode() + span + after.decode())
