"""A Qwen2 network with full attention as the engine's denoiser.

Its outputs are shifted by one: a row is predicted by the output of the row before it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2ForCausalLM

from dg_lsp.config import CacheSettings
from dg_lsp.engine.denoiser import Canvases, Prediction
from dg_lsp.models.qwen2.config import MaskedQwen2Config
from dg_lsp.models.qwen2.context import EDGE_ROWS, Context, Recorder, record
from dg_lsp.models.qwen2.sampling import select
from dg_lsp.models.working import working_on
from dg_lsp.reason import Reason

TOKENS_AT_ONCE = 4096
"""Tokens of full forward passes that run together, unless one canvas has more."""
LENGTHS_AT_ONCE = 4
"""Lengths of canvases in one step: each needs keys of its own for the text after it."""


@dataclass(slots=True, eq=False)
class Encoded:
    """The text around a canvas; it is read together with the first canvas."""

    before: Tensor
    after: Tensor
    context: Context | None = None


class Qwen2Denoiser:
    """Implements `engine.denoiser.Denoiser` over transformers' Qwen2."""

    def __init__(
        self,
        model: Qwen2ForCausalLM,
        config: MaskedQwen2Config,
        cache: CacheSettings | None = None,
    ) -> None:
        self.model = model.eval()
        self.config = config
        self.vocab_size: int = model.config.vocab_size
        self.canvas_length = config.canvas_tokens
        self.device: torch.device = model.model.norm.weight.device
        self.refresh_steps = (cache or CacheSettings()).refresh_steps
        self.notes: tuple[Reason, ...] = ()
        self.full_passes = 0
        """Canvases that went through the network together with all the text around them."""
        self._newest: Encoded | None = None

    def encode(
        self, ids: Sequence[int], document: str = "", after: Sequence[int] = ()
    ) -> Encoded:
        self._newest = Encoded(self._tensor(ids), self._tensor(after))
        return self._newest

    @torch.inference_mode()
    def denoise(
        self,
        encoded: Encoded,
        canvases: Canvases,
        canvas: Tensor,
        conditioning: Tensor | None,
        temperature: float,
        share: Tensor,
    ) -> Prediction:
        free = len(canvases.free)
        with working_on(self.device):
            lanes = list(canvas.split(list(canvases.lengths)))
            hidden = torch.cat(self._hidden(encoded, lanes, is_step=not canvases.is_scored))
            selection = select(
                self.model.lm_head,
                hidden[torch.cat([canvases.free, canvases.pinned])],
                canvas[canvases.pinned],
                canvases.disallowed,
                canvases.constraint,
                temperature,
                share,
            )
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

    @torch.inference_mode()
    def logits(
        self,
        encoded: Encoded,
        canvas: Tensor,
        lengths: Sequence[int],
        conditioning: Tensor | None,
    ) -> Tensor:
        with working_on(self.device):
            lanes = list(canvas.split(list(lengths)))
            hidden = torch.cat(self._hidden(encoded, lanes, is_step=False))
            logits: Tensor = self.model.lm_head(hidden).float()
        return logits

    @torch.inference_mode()
    def surprise(self, ids: Sequence[int]) -> float:
        """How unlikely the model finds every second token, in nats, knowing the others."""
        known = self._tensor(ids)
        places = torch.arange(1, len(ids), 2, device=self.device)
        canvas = known.clone()
        canvas[places] = self.config.tokens.mask
        with working_on(self.device):
            around = Encoded(known[:0], known[:0])
            [hidden] = self._exact(around, [canvas])
            fits = self.model.lm_head(hidden[places]).float().log_softmax(-1)
        return -float(fits.gather(1, known[places, None]).mean())

    def warm_up(self, prompt_tokens: int, on_progress: Callable[[int, int], None]) -> None:
        """Nothing is prepared: steps run as they come."""

    def shrink(self) -> int:
        freed = 0
        if self._newest is not None and self._newest.context is not None:
            freed = self._newest.context.nbytes
            self._newest.context = None
        self._newest = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return freed

    def _hidden(
        self, encoded: Encoded, lanes: Sequence[Tensor], *, is_step: bool
    ) -> list[Tensor]:
        """For each canvas, the states (rows, hidden) that predict its rows."""
        if self.refresh_steps == 1:
            return self._exact(encoded, lanes)
        context = encoded.context
        is_due = (
            context is not None
            and is_step
            and self.refresh_steps
            and context.steps >= self.refresh_steps
        )
        if context is None or is_due:
            longest = max(lanes, key=len)
            encoded.context = None
            encoded.context, hidden = self._read(encoded, longest)
            encoded.context.steps = 1
            if len(lanes) == 1:
                return [hidden]
        else:
            context.steps += is_step
        return self._cached(encoded, lanes)

    def _exact(self, encoded: Encoded, lanes: Sequence[Tensor]) -> list[Tensor]:
        """Each canvas with all the text around it; those of one length run together."""
        found: dict[int, Tensor] = {}
        around = len(encoded.before) + len(encoded.after)
        order = sorted(range(len(lanes)), key=lambda at: len(lanes[at]))
        for length, same in itertools.groupby(order, key=lambda at: len(lanes[at])):
            numbers = list(same)
            together = max(1, TOKENS_AT_ONCE // (around + length))
            for at in range(0, len(numbers), together):
                batch = numbers[at : at + together]
                hidden = self._whole(encoded, torch.stack([lanes[n] for n in batch]))
                found.update(zip(batch, hidden, strict=True))
        return [found[number] for number in range(len(lanes))]

    def _read(self, encoded: Encoded, lane: Tensor) -> tuple[Context, Tensor]:
        """The context of a canvas, and the states that predict its rows."""
        recorder = Recorder()
        [hidden] = self._whole(encoded, lane[None], recorder)
        return record(recorder, len(encoded.before), len(lane)), hidden

    def _whole(
        self, encoded: Encoded, canvases: Tensor, cache: Recorder | None = None
    ) -> Tensor:
        """The states (canvases, rows, hidden) that predict canvases (canvases, rows)."""
        count, rows = canvases.shape
        before, after = (
            part.expand(count, len(part)) for part in (encoded.before, encoded.after)
        )
        tokens = torch.cat([before, canvases, after], dim=1)
        length = tokens.shape[1]
        # transformers takes the absence of a mask for a causal one.
        mask = torch.ones(1, 1, length, length, dtype=torch.bool, device=self.device)
        positions = torch.arange(length, device=self.device)[None]
        hidden = self._forward(tokens, mask.expand(count, -1, -1, -1), positions, cache)
        self.full_passes += count
        return hidden[:, self._predicting(len(encoded.before), rows)]

    def _cached(self, encoded: Encoded, lanes: Sequence[Tensor]) -> list[Tensor]:
        """The canvases and a few rows around each, after the context."""
        found: dict[int, Tensor] = {}
        for batch in _by_length(lanes):
            for number, hidden in zip(
                batch, self._step(encoded, [lanes[n] for n in batch]), strict=True
            ):
                found[number] = hidden
        return [found[number] for number in range(len(lanes))]

    def _step(self, encoded: Encoded, lanes: Sequence[Tensor]) -> Iterator[Tensor]:
        context = encoded.context
        assert context is not None
        left, right = encoded.before[-EDGE_ROWS:], encoded.after[:EDGE_ROWS]
        start = len(encoded.before) - len(left)
        rows = [torch.cat([left, lane, right]) for lane in lanes]
        lengths = sorted({len(lane) for lane in lanes})
        arranged = context.arrange(lengths, sum(map(len, rows)), self.model.model.rotary_emb)
        sizes = [len(own) for own in rows]
        which = [lengths.index(len(lane)) for lane in lanes]
        mask = arranged.mask([*zip(which, sizes, strict=True)], self.device)
        positions = torch.cat([torch.arange(len(own)) for own in rows]).to(self.device) + start
        hidden = self._forward(torch.cat(rows)[None], mask, positions[None], arranged)[0]
        for lane, own in zip(lanes, hidden.split(sizes), strict=True):
            yield own[self._predicting(len(left), len(lane))]

    def _forward(self, tokens: Tensor, mask: Tensor, positions: Tensor, cache: Any) -> Tensor:
        hidden: Tensor = self.model.model(
            input_ids=tokens,
            attention_mask={"full_attention": mask},
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
        return hidden

    def _predicting(self, before: int, rows: int) -> Tensor:
        """The outputs that predict `rows` rows after `before` others: each that of the row
        before. The first row of all has none before it, and keeps its own."""
        each = torch.arange(before - 1, before - 1 + rows, device=self.device)
        return each.clamp_min(0)

    def _tensor(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor(ids, dtype=torch.long, device=self.device)


def _by_length(lanes: Sequence[Tensor]) -> Iterator[list[int]]:
    """The numbers of the lanes in groups of few lengths."""
    lengths = sorted({len(lane) for lane in lanes})
    for at in range(0, len(lengths), LENGTHS_AT_ONCE):
        some = lengths[at : at + LENGTHS_AT_ONCE]
        yield [number for number, lane in enumerate(lanes) if len(lane) in some]
