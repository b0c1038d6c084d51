"""A step against the keys and values of the text around: its rows, and what they see.

For each canvas, the rows are a few of the text before it, its own, and a few of the text after
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2ForCausalLM

from dg_lsp.engine.denoiser import Prediction
from dg_lsp.models.qwen2.context import EDGE_ROWS
from dg_lsp.models.qwen2.sampling import Selection


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the rows of some canvases are."""

    canvases: tuple[int, ...]
    """Numbers of the canvases, ascending."""
    lengths: tuple[int, ...]
    """The lengths that occur, ascending; each has its own keys of the text after."""
    before: int
    """Cached tokens of the text before the rows."""
    after: int
    """The same of the text after them, for each length."""
    lanes: tuple[tuple[int, int], ...]
    """For each canvas, the index of its length and the number of its rows."""
    ids: Tensor
    """(rows,) the token of each row; 0 in the canvases."""
    positions: Tensor
    """(rows,) the position of each row in the document."""
    own: Tensor
    """(canvas rows,) the row of each position of the canvases."""
    predicting: Tensor
    """(canvas rows,) the row that predicts it."""

    @property
    def rows(self) -> int:
        return len(self.ids)

    @property
    def cached(self) -> int:
        """Cached tokens that the step reads."""
        return self.before + len(self.lengths) * self.after

    def mask(self, slots: int, rows: int) -> Tensor:
        """(1, 1, rows, slots + rows) what each row sees, with the cached tokens at the end of
        the slots. Rows that pad see themselves, because a row that saw nothing would be no
        number."""
        device = self.ids.device
        whole = torch.zeros(rows, slots + rows, dtype=torch.bool, device=device)
        whole[:, slots:].fill_diagonal_(True)
        first = slots - self.cached
        whole[: self.rows, first : first + self.before] = True
        start = 0
        for number, count in self.lanes:
            own = slice(start, start + count)
            after = first + self.before + number * self.after
            whole[own, after : after + self.after] = True
            whole[own, slots + start : slots + start + count] = True
            start += count
        return whole[None, None]


def lay_out(
    before: Tensor, after: Tensor, lengths: Sequence[int], canvases: Sequence[int]
) -> Layout:
    """The layout of those of the canvases, which have these lengths, that have the numbers
    `canvases`, between the tokens `before` and `after`."""
    device = before.device
    left, right = before[-EDGE_ROWS:], after[:EDGE_ROWS]
    distinct = tuple(sorted({lengths[number] for number in canvases}))
    ids: list[Tensor] = []
    lanes: list[tuple[int, int]] = []
    positions: list[int] = []
    own: list[int] = []
    predicting: list[int] = []
    first = len(before) - len(left)
    for number in canvases:
        length, start = lengths[number], len(positions)
        ids += [left, left.new_zeros(length), right]
        rows = len(left) + length + len(right)
        lanes.append((distinct.index(length), rows))
        positions += range(first, first + rows)
        inside = range(start + len(left), start + len(left) + length)
        own += inside
        # The first row of all has none before it, and keeps its own output.
        predicting += [max(start, row - 1) for row in inside]

    def tensor(values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=device)

    return Layout(
        canvases=tuple(canvases),
        lengths=distinct,
        before=first,
        after=len(after) - len(right),
        lanes=tuple(lanes),
        ids=torch.cat(ids),
        positions=tensor(positions),
        own=tensor(own),
        predicting=tensor(predicting),
    )


def forward(
    model: Qwen2ForCausalLM, ids: Tensor, mask: Tensor, positions: Tensor, cache: Any
) -> Tensor:
    """The last hidden states (canvases, rows, hidden) of ids (canvases, rows)."""
    hidden: Tensor = model.model(
        input_ids=ids,
        attention_mask={"full_attention": mask},
        position_ids=positions[None],
        past_key_values=cache,
        use_cache=cache is not None,
    ).last_hidden_state
    return hidden


def prediction_of(selection: Selection, free: int) -> Prediction:
    """The result of a step with so many free rows."""
    return Prediction(
        sampled=selection.sampled,
        argmax=selection.argmax,
        log_probability=selection.log_probability,
        entropy=selection.entropy,
        free_fit=selection.fit[:free],
        pinned_fit=selection.fit[free:],
        conditioning=None,
        margin=selection.margin,
    )
