"""What the encoder reads after a prompt, on padded tensors at fixed addresses.

A tail of the prompt itself, whose keys and values are then found after the cached tokens of the
workspace; or continuations of it, whose tokens are scored.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dg_lsp.models.captured import Capture
from dg_lsp.models.gemma.attention import fold, groups_by_kind
from dg_lsp.models.gemma.buckets import Reading
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.masks import continuation_mask, lanes, offsets
from dg_lsp.models.gemma.sampling import log_probabilities
from dg_lsp.models.gemma.step import Masks, head_of
from dg_lsp.models.gemma.workspace import Workspace, slots_by_kind


class PaddedReading:
    """One bucket: buffers, and the forward pass that reads them."""

    def __init__(
        self,
        model: TextDiffusionGemma,
        workspace: Workspace,
        bucket: Reading,
        capture: Capture,
    ) -> None:
        text, weight = model.config.text_config, model.lm_head.weight
        rows, device, dtype = bucket.rows, weight.device, weight.dtype
        slots = slots_by_kind(bucket.cached, text.sliding_window)
        windows = {"full_attention": None, "sliding_attention": text.sliding_window}
        groups = groups_by_kind(model)
        self._ids = torch.zeros(rows, dtype=torch.long, device=device)
        self._lane = torch.zeros(rows, dtype=torch.int32, device=device)
        self._offset = torch.zeros_like(self._ids)
        self._cached = torch.zeros((), dtype=torch.long, device=device)
        self._before = torch.zeros_like(self._ids)
        """Of a scored token: the row before it, counted from 1; 0 is the prompt's last one."""
        self._last_hidden = torch.zeros(weight.shape[1], dtype=dtype, device=device)
        view = workspace.view(slots["full_attention"], slots["sliding_attention"], rows)

        def mask(kind: str) -> Tensor:
            visible = continuation_mask(
                self._lane, self._offset, self._cached, slots[kind], windows[kind]
            )
            added = torch.zeros_like(visible, dtype=dtype).masked_fill_(~visible, -torch.inf)
            return fold(added[None, None], groups[kind])

        def read() -> Tensor:
            masks: Masks = {kind: mask(kind) for kind in groups}
            hidden: Tensor = model.model.encoder.language_model(
                input_ids=self._ids[None],
                attention_mask=masks,
                position_ids=(self._offset + self._cached)[None],
                past_key_values=view,
            ).last_hidden_state[0]
            if not bucket.scored:
                return hidden
            before = torch.cat([self._last_hidden[None], hidden])[self._before]
            return log_probabilities(head_of(model), before, self._ids)

        captured = capture(read)
        self._run = captured.run
        buffers = (self._ids, self._lane, self._offset, self._before, self._last_hidden)
        self.nbytes = captured.nbytes + sum(buffer.nbytes for buffer in buffers)
        """What dropping it frees."""

    def __call__(
        self, tokens: Tensor, lengths: Sequence[int], cached: int, last_hidden: Tensor | None
    ) -> Tensor:
        """Read sequences of some lengths, one after the other, each after `cached` tokens.

        Returns the log-probability (tokens,) of each token, for which `last_hidden` (hidden,)
        of the prompt is needed, or the states (tokens, hidden).
        """
        count = len(tokens)
        offset = offsets(lengths)
        self._ids.zero_()
        self._ids[:count] = tokens
        self._lane.copy_(lanes(lengths, len(self._lane)))
        self._offset.zero_()
        self._offset[:count] = offset.to(self._offset.device)
        self._cached.fill_(cached)
        if last_hidden is not None:
            before = torch.arange(count).masked_fill_(offset == 0, 0)
            self._before.zero_()
            self._before[:count] = before.to(self._before.device)
            self._last_hidden.copy_(last_hidden)
        # A copy, because the next run overwrites it.
        return self._run()[:count].clone()
