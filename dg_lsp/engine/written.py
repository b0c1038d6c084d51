"""What a job has written: the text of a lane, after the settled blocks before it."""

from __future__ import annotations

import dataclasses

from dg_lsp.engine.codec import Codec
from dg_lsp.engine.family import FoundText
from dg_lsp.engine.lanes import Lane
from dg_lsp.engine.segments import joined_text
from dg_lsp.engine.span_text import masked_places, meeting_point, span_text
from dg_lsp.job import InfillJob


class Written:
    """The settled blocks of a job, and what surrounds the current one."""

    def __init__(self, job: InfillJob, codec: Codec) -> None:
        self._job, self._codec = job, codec
        self._committed: list[tuple[int, float]] = []
        """Tokens of the settled blocks, with their probabilities."""
        self.left_tokens: tuple[int, ...] = ()
        """The freed tokens before the span; only the first block has them."""
        self.rest = ""
        """The old text after the current block of a rewrite."""
        self.is_open_ended = False
        """Whether texts are cut where they meet the suffix."""

    def commit(self, lane: Lane) -> list[int]:
        """Make a settled block known text; returns its tokens."""
        tokens = _tokens(lane)
        self._committed += tokens
        return [token_id for token_id, _ in tokens]

    def found_in(self, lane: Lane) -> FoundText:
        """The text of the job, if it ended with this lane."""
        if self._job.pinned:
            return joined_text(lane, self._codec, self._job.pinned)
        tokens = [*self._committed, *_tokens(lane)]
        ids = [token_id for token_id, _ in tokens]
        plan = dataclasses.replace(lane.plan, left_tokens=self.left_tokens)
        text, confidences = span_text(plan, self._codec, ids, [share for _, share in tokens])
        if self.is_open_ended:
            end = meeting_point(text, self._job.suffix)
            return FoundText(text[:end], confidences[:end], meets=end is not None)
        before = len(self._committed)
        masked = {before + at: width for at, width in lane.masked.items()}
        return FoundText(
            text + self.rest,
            (*confidences, *[0.0] * len(self.rest)),
            seed=lane.plan.seed,
            is_decided=not masked,
            masked=masked_places(plan.edges, self._codec, ids, masked),
        )


def _tokens(lane: Lane) -> list[tuple[int, float]]:
    return list(zip(lane.shown.tolist(), lane.log_probability.exp().tolist(), strict=True))
