"""Several free segments in one canvas, with pinned text between them.

A pinned text is healed at both of its edges as the text around the span is (`healing`), because
the best token may straddle an edge: its last tokens are freed for the segment after it, and
its first ones for the segment before it. Of a text so short that a token would be freed for
both, that token belongs to the segment after it, and at its other edge a token ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from dg_lsp.config import MAX_CHARS_PER_TOKEN
from dg_lsp.engine.codec import Codec
from dg_lsp.engine.family import FoundText
from dg_lsp.engine.healing import freed_after, freed_before
from dg_lsp.engine.lanes import Lane
from dg_lsp.engine.prompt import PinnedTokens, Prompt
from dg_lsp.engine.span_text import masked_places, segment_text
from dg_lsp.job import MaskedPlace, PinnedText
from dg_lsp.reason import Reason, ReasonCode


def pinned_tokens(codec: Codec, text: str) -> PinnedTokens:
    """A pinned text in tokens, those at its edges freed."""
    ids = codec.encode(text)
    left = freed_before(codec, ids)
    ids = ids[: len(ids) - len(left)]
    right = freed_after(codec, ids)
    return PinnedTokens(right, tuple(ids[len(right) :]), left)


def too_long_to_pin(pinned: Sequence[PinnedText], canvas_length: int) -> Reason | None:
    """Why texts cannot be pinned, whatever their tokens are."""
    chars = sum(len(one.text) for one in pinned)
    if chars <= canvas_length * MAX_CHARS_PER_TOKEN:
        return None
    return _canvas_full(f"{chars} characters", canvas_length)


def no_room(prompt: Prompt, canvas_length: int) -> Reason | None:
    """Why the free segments do not fit into a canvas."""
    if prompt.anchored_tokens + prompt.least_tokens <= canvas_length:
        return None
    pinned = sum(
        len(one.right_tokens) + len(one.ids) + len(one.left_tokens) for one in prompt.pinned
    )
    return _canvas_full(f"{pinned} tokens", canvas_length)


def _canvas_full(pinned: str, canvas_length: int) -> Reason:
    return Reason(
        ReasonCode.CANVAS_FULL,
        f"the pinned text has {pinned}, and this model's canvas has {canvas_length} tokens for "
        "it and all that is to be written; ask for fewer places, or for places nearer to each "
        "other",
    )


def joined_text(lane: Lane, codec: Codec, pinned: Sequence[PinnedText]) -> FoundText:
    """What a lane with several segments shows; pinned characters are certain."""
    shares = lane.log_probability.exp().tolist()
    ids = lane.shown.tolist()
    text = ""
    confidences: list[float] = []
    segments: list[str] = []
    masked: list[MaskedPlace] = []
    first = 0
    *others, last = lane.plan.segments
    for segment, between in zip(
        [*others, last], [*(one.text for one in pinned), ""], strict=True
    ):
        part = slice(first, first + segment.length)
        widths = {at - first: width for at, width in lane.masked.items() if at >= first}
        masked += (
            MaskedPlace(len(text) + place.at, place.width)
            for place in masked_places(segment, codec, ids[part], widths)
        )
        first = part.stop
        written, sure = segment_text(
            segment,
            codec,
            ids[part],
            shares[part],
            is_open=segment is last and lane.plan.is_open,
        )
        text += written + between
        confidences += (*sure, *[1.0] * len(between))
        segments.append(written)
    return FoundText(
        text,
        tuple(confidences),
        seed=lane.plan.seed,
        is_decided=not lane.masked,
        masked=tuple(masked),
        segments=tuple(segments),
    )
