"""A Qwen2 network with full attention as the engine's denoiser.

Its outputs are shifted by one: a row is predicted by the output of the row before it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import Qwen2ForCausalLM

from dg_lsp.config import CacheSettings
from dg_lsp.engine.denoiser import Canvases, Prediction
from dg_lsp.models.qwen2.bucketed import BucketedSteps, PaddedStep
from dg_lsp.models.qwen2.config import MaskedQwen2Config
from dg_lsp.models.qwen2.context import Context, Recorder, Workspace, record
from dg_lsp.models.qwen2.sampling import select
from dg_lsp.models.qwen2.step import Layout, forward, lay_out, prediction_of
from dg_lsp.models.working import working_on
from dg_lsp.reason import Reason

TOKENS_AT_ONCE = 4096
"""Tokens of full forward passes that run together, unless one canvas has more."""
LENGTHS_AT_ONCE = 4
"""Lengths of canvases in one step: each needs keys of its own for the text after it."""
RESERVED_AFTER, RESERVED_ROWS = 1024, 512
"""Tokens after the canvas and rows that the workspace is made for before the first job."""


@dataclass(slots=True, eq=False)
class Encoded:
    """The text around a canvas; it is read together with the first canvas."""

    ids: tuple[tuple[int, ...], tuple[int, ...]]
    """Before and after the canvas."""
    before: Tensor
    after: Tensor
    context: Context | None = None
    layouts: dict[tuple[int, ...], list[Layout]] = field(default_factory=dict)
    """Where the rows of the newest step's canvases are, by their lengths."""


@dataclass(frozen=True, slots=True, eq=False)
class FirstPass:
    """How a job began, for the next one that begins in the same way."""

    ids: tuple[tuple[int, ...], tuple[int, ...]]
    canvas: Tensor
    context: Context
    hidden: Tensor
    """(rows, hidden) the states that predict the canvas."""


class Qwen2Denoiser:
    """Implements `engine.denoiser.Denoiser` over transformers' Qwen2."""

    def __init__(
        self,
        model: Qwen2ForCausalLM,
        config: MaskedQwen2Config,
        cache: CacheSettings | None = None,
        bucketed: BucketedSteps | None = None,
    ) -> None:
        """With `bucketed`, cached steps run on padded tensors at fixed addresses, otherwise on
        unpadded ones; ladder.py chooses."""
        self.model = model.eval()
        self.config = config
        self.vocab_size: int = model.config.vocab_size
        self.canvas_length = config.canvas_tokens
        self.device: torch.device = model.model.norm.weight.device
        self.refresh_steps = (cache or CacheSettings()).refresh_steps
        self.notes: tuple[Reason, ...] = ()
        self.runs_as = ""
        self.full_passes = 0
        """Canvases that went through the network together with all the text around them."""
        self._first: FirstPass | None = None
        """Of the newest job."""
        self._bucketed = bucketed
        self._workspace = self._new_workspace()

    def encode(
        self, ids: Sequence[int], document: str = "", after: Sequence[int] = ()
    ) -> Encoded:
        return Encoded((tuple(ids), tuple(after)), self._tensor(ids), self._tensor(after))

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
        with working_on(self.device):
            lanes = list(canvas.split(list(canvases.lengths)))
            hidden = self._read_anew(encoded, lanes, is_step=not canvases.is_scored)
            if hidden is None:
                step = self._prepared(encoded, canvases)
                if step is not None:
                    return step(canvas, temperature, share)
                hidden = self._cached(encoded, lanes)
            selection = select(
                self.model.lm_head,
                torch.cat(hidden)[torch.cat([canvases.free, canvases.pinned])],
                canvas[canvases.pinned],
                canvases.disallowed,
                canvases.constraint,
                temperature,
                share,
            )
        return prediction_of(selection, len(canvases.free))

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
            hidden = self._read_anew(encoded, lanes, is_step=False)
            hidden = self._cached(encoded, lanes) if hidden is None else hidden
            logits: Tensor = self.model.lm_head(torch.cat(hidden)).float()
        return logits

    @torch.inference_mode()
    def surprise(self, ids: Sequence[int]) -> float:
        """How unlikely the model finds every second token, in nats, knowing the others."""
        known = self._tensor(ids)
        places = torch.arange(1, len(ids), 2, device=self.device)
        canvas = known.clone()
        canvas[places] = self.config.tokens.mask
        with working_on(self.device):
            around = Encoded(((), ()), known[:0], known[:0])
            [hidden] = self._exact(around, [canvas])
            fits = self.model.lm_head(hidden[places]).float().log_softmax(-1)
        return -float(fits.gather(1, known[places, None]).mean())

    @torch.inference_mode()
    def warm_up(self, prompt_tokens: int, on_progress: Callable[[int, int], None]) -> None:
        """Prepare the usual steps after texts of up to `prompt_tokens`.

        `on_progress` is told how many of how many are ready.
        """
        if self._bucketed is None or self.refresh_steps == 1:
            return
        buckets = self._bucketed.usual(prompt_tokens)
        with working_on(self.device):
            # At once, because growing takes the prepared steps with it.
            more = (LENGTHS_AT_ONCE - 1) * RESERVED_AFTER
            self._reserve(prompt_tokens + more, RESERVED_ROWS)
            for done, bucket in enumerate(buckets, 1):
                self._bucketed.step(self.model, self._workspace, bucket)
                on_progress(done, len(buckets))

    def shrink(self) -> int:
        freed = self._workspace.nbytes
        self._workspace = self._new_workspace()
        if self._bucketed is not None:
            self._bucketed.clear()
        if self._first is not None:
            freed += self._first.context.nbytes
            self._first = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return freed

    def _read_anew(
        self, encoded: Encoded, lanes: Sequence[Tensor], *, is_step: bool
    ) -> list[Tensor] | None:
        """For each canvas, the states (rows, hidden) that predict its rows, if it was read with
        all the text around it; `None` if a step against the context says more cheaply."""
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
            encoded.context, hidden = (self._read if is_due else self._begin)(encoded, longest)
            encoded.context.steps = 1
            if len(lanes) == 1:
                return [hidden]
        else:
            context.steps += is_step
        return None

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

    def _begin(self, encoded: Encoded, lane: Tensor) -> tuple[Context, Tensor]:
        """The first pass of a job; the same as that of the job before, if it has the same text
        and the same canvas. Most keystrokes only change which tokens a healed position
        accepts."""
        first = self._first
        if first is None or first.ids != encoded.ids or not torch.equal(first.canvas, lane):
            self._first = None
            context, hidden = self._read(encoded, lane)
            first = self._first = FirstPass(encoded.ids, lane.clone(), context, hidden)
        return dataclasses.replace(first.context), first.hidden

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
        positions = torch.arange(length, device=self.device)
        mask = mask.expand(count, -1, -1, -1)
        hidden = forward(self.model, tokens, mask, positions, cache)
        self.full_passes += count
        first = len(encoded.before) - 1
        predicting = torch.arange(first, first + rows, device=self.device)
        # The first row of all has none before it, and keeps its own output.
        return hidden[:, predicting.clamp_min(0)]

    def _cached(self, encoded: Encoded, lanes: Sequence[Tensor]) -> list[Tensor]:
        """The same against the context: canvases of a few lengths run together."""
        found: dict[int, Tensor] = {}
        for layout in self._laid_out(encoded, [len(lane) for lane in lanes]):
            self._load(encoded, layout, layout.cached, layout.rows)
            ids = layout.ids.clone()
            ids[layout.own] = torch.cat([lanes[number] for number in layout.canvases])
            view = self._workspace.view(layout.cached, layout.rows)
            mask = layout.mask(layout.cached, layout.rows)
            hidden = forward(self.model, ids[None], mask, layout.positions, view)[0]
            sizes = [len(lanes[number]) for number in layout.canvases]
            parts = hidden[layout.predicting].split(sizes)
            found.update(zip(layout.canvases, parts, strict=True))
        return [found[number] for number in range(len(lanes))]

    def _prepared(self, encoded: Encoded, canvases: Canvases) -> PaddedStep | None:
        """The step of these canvases in a bucket, arranged; `None` if it runs unpadded."""
        if self._bucketed is None or canvases.is_scored:
            return None
        layout, *others = self._laid_out(encoded, canvases.lengths)
        bucket = None if others else self._bucketed.bucket_for(layout, canvases)
        if bucket is None:
            return None
        self._load(encoded, layout, bucket.cached, bucket.rows)
        step = self._bucketed.step(self.model, self._workspace, bucket)
        step.arrange(layout, canvases)
        return step

    def _laid_out(self, encoded: Encoded, lengths: Sequence[int]) -> list[Layout]:
        """Where the rows of canvases of these lengths are, a few lengths at a time."""
        key = tuple(lengths)
        if key not in encoded.layouts:
            distinct = sorted(set(key))
            groups = (
                set(distinct[at : at + LENGTHS_AT_ONCE])
                for at in range(0, len(distinct), LENGTHS_AT_ONCE)
            )
            made = [
                lay_out(
                    *(encoded.before, encoded.after, key),
                    [number for number, length in enumerate(key) if length in some],
                )
                for some in groups
            ]
            encoded.layouts = {key: made}
        return encoded.layouts[key]

    def _load(self, encoded: Encoded, layout: Layout, cached: int, rows: int) -> None:
        """Ensure that the workspace holds the context, with room for so much."""
        assert encoded.context is not None
        self._reserve(cached, rows)
        rotary = self.model.model.rotary_emb
        self._workspace.load(encoded.context, layout.lengths, rotary)

    def _reserve(self, cached: int, rows: int) -> None:
        if self._workspace.reserve(cached, rows) and self._bucketed is not None:
            self._bucketed.clear()

    def _new_workspace(self) -> Workspace:
        network = self.config.network
        return Workspace(
            network.num_hidden_layers,
            network.num_key_value_heads,
            network.hidden_size // network.num_attention_heads,
            self.model.model.norm.weight.dtype,
            self.device,
        )

    def _tensor(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor(ids, dtype=torch.long, device=self.device)
