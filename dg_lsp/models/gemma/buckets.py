"""Runs denoising steps on tensors of a few fixed sizes at fixed addresses.

On a GPU, computing a step of a small canvas takes less time than launching its kernels one by
one, so steps are captured as CUDA graphs and replayed. Sizes and addresses in a graph are
fixed; rows, selected rows and cached tokens are therefore padded up to a bucket, and masks
hide the padding. Everything except the capture itself (graphs.py) also runs, and is tested,
on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dg_lsp.engine.denoiser import Canvases, Prediction
from dg_lsp.models.gemma.attention import fold
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.fused import Lanes
from dg_lsp.models.gemma.masks import canvas_mask, lanes, offsets
from dg_lsp.models.gemma.sampling import Selection
from dg_lsp.models.gemma.step import Parts, StepInputs, run_step
from dg_lsp.models.gemma.workspace import Workspace, rounded

ROWS = (16, 32, 48, 64, 96, 128, 192, 256, 320, 384, 512)
"""Rows of a forward pass, and sampled rows. Up to about 200 rows cost little."""
CACHED = (256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)
"""Cached tokens; at most a third of what attention reads is padding."""
WARM = ((32, 16), (48, 32), (64, 48), (128, 64), (192, 96), (384, 192))
"""Rows and sampled rows of the steps that are prepared at startup: one line, a few lines, a
race that is almost over, and one that begins. Others are prepared when first needed."""
CONSTRAINTS = 8
"""One for control tokens, and one for each healed position of a lane, rarely more than four."""

Outcome = tuple[Selection, Tensor]


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """The sizes of a step."""

    cached: int
    rows: int
    free: int


def bucket_for(cached: int, rows: int, free: int) -> Bucket | None:
    """The smallest bucket that a step fits into; `None` if there is none."""
    sampled = _least(ROWS, free)
    held = _least(CACHED, cached)
    if sampled is None or held is None:
        return None
    # The padded selection has at most as many rows as the forward pass.
    total = _least(ROWS, max(rows, sampled + rows - free))
    return None if total is None else Bucket(held, total, sampled)


def _least(sizes: Iterable[int], wanted: int) -> int | None:
    return next((size for size in sizes if size >= wanted), None)


class Runner(Protocol):
    """How a step with fixed addresses is run repeatedly."""

    def __call__(self) -> Outcome: ...


Capture = Callable[[Callable[[], Outcome]], Runner]
"""Prepares a step to be run; each run may overwrite the previous result."""


def uncaptured(step: Callable[[], Outcome]) -> Runner:
    """Run the step without capturing it, operation by operation."""
    return step


class BucketedSteps:
    """The steps of one model, with one set of buffers per bucket, created when first needed.

    With `fused`, its parts are used, and they run the fused kernels.
    """

    def __init__(self, capture: Capture, fused: Parts | None = None) -> None:
        self._capture = capture
        self.fused = fused
        self._steps: dict[Bucket, _Step] = {}

    @property
    def buckets(self) -> list[Bucket]:
        """The buckets created so far."""
        return sorted(self._steps)

    def clear(self) -> None:
        """Drop all steps, because the workspace moved or memory is short."""
        self._steps.clear()

    def prepared(
        self, model: TextDiffusionGemma, workspace: Workspace, bucket: Bucket
    ) -> _Step:
        """The step of a bucket that the workspace has room for."""
        if bucket not in self._steps:
            self._steps[bucket] = _Step(model, workspace, bucket, self._capture, self.fused)
        return self._steps[bucket]


class _Step:
    """One bucket: buffers, and the step that reads them."""

    def __init__(
        self,
        model: TextDiffusionGemma,
        workspace: Workspace,
        bucket: Bucket,
        capture: Capture,
        fused: Parts | None,
    ) -> None:
        weight = model.lm_head.weight
        device, vocab = weight.device, weight.shape[0]
        self._bucket = bucket
        self._window: int = model.config.text_config.sliding_window
        # Rounded up because attention needs aligned masks; one slot may stay unused.
        self._slots = {
            "full_attention": bucket.cached,
            "sliding_attention": min(bucket.cached, rounded(self._window - 1)),
        }
        self._groups = {
            kind: layer.self_attn.num_key_value_groups
            for kind, layer in zip(
                model.config.text_config.layer_types, model.model.decoder.layers, strict=True
            )
        }

        def ids(*size: int) -> Tensor:
            return torch.zeros(size, dtype=torch.long, device=device)

        lane = torch.zeros(bucket.rows, dtype=torch.int32, device=device)
        self._conditioning = weight.new_zeros(bucket.rows, weight.shape[1])
        self._inputs = StepInputs(
            canvas=ids(bucket.rows),
            conditioning=self._conditioning,
            positions=ids(bucket.rows),
            masks={
                kind: Lanes(lane, ids())
                if fused
                else weight.new_zeros(
                    1, 1, groups * bucket.rows, self._slots[kind] + bucket.rows
                )
                for kind, groups in self._groups.items()
            },
            order=ids(bucket.rows),
            target=ids(bucket.free),
            disallowed=torch.zeros(CONSTRAINTS, vocab, dtype=torch.bool, device=device),
            constraint=ids(bucket.free),
            temperature=torch.ones((), device=device),
            share=torch.zeros(bucket.free, device=device),
        )
        self._canvases: Canvases | None = None
        self._cached = 0
        view = workspace.view(
            self._slots["full_attention"], self._slots["sliding_attention"], bucket.rows
        )
        self._run = capture(lambda: run_step(model, view, self._inputs, fused))

    def arrange(self, canvases: Canvases, cached: int) -> None:
        """Fill in what stays the same in all steps of `canvases` after `cached` tokens."""
        if canvases is self._canvases and cached == self._cached:
            return
        inputs, bucket = self._inputs, self._bucket
        free, pinned = len(canvases.free), len(canvases.pinned)
        positions = offsets(canvases.lengths) + cached
        inputs.canvas.zero_()
        self._conditioning.zero_()
        inputs.positions.fill_(cached)
        inputs.positions[: len(positions)] = positions.to(inputs.positions.device)
        seen = {
            "full_attention": cached,
            "sliding_attention": min(cached, self._window - 1),
        }
        for kind, mask in inputs.masks.items():
            assert mask is not None
            if isinstance(mask, Lanes):
                mask.lane.copy_(lanes(canvases.lengths, bucket.rows))
                mask.cached.fill_(seen[kind])
                continue
            visible = canvas_mask(canvases.lengths, seen[kind], bucket.rows, self._slots[kind])
            folded = fold(visible[None, None].to(mask.device), self._groups[kind])
            mask.zero_().masked_fill_(~folded, -torch.inf)
        inputs.order.zero_()
        inputs.order[:free] = canvases.free
        inputs.order[bucket.free : bucket.free + pinned] = canvases.pinned
        # One past the end: written but never read.
        inputs.target.fill_(bucket.rows)
        inputs.target[:free] = canvases.free
        inputs.disallowed.zero_()
        inputs.disallowed[: len(canvases.disallowed)] = canvases.disallowed
        inputs.constraint.zero_()
        inputs.constraint[:free] = canvases.constraint
        self._canvases, self._cached = canvases, cached

    def __call__(
        self, canvas: Tensor, conditioning: Tensor | None, temperature: float, share: Tensor
    ) -> Prediction:
        """Run one step with the arranged inputs."""
        inputs = self._inputs
        rows, free = len(canvas), len(share)
        inputs.canvas[:rows] = canvas
        if conditioning is None:
            self._conditioning.zero_()
        else:
            self._conditioning[:rows] = conditioning
        inputs.temperature.fill_(temperature)
        inputs.share[:free] = share
        selection, soft = self._run()
        first = self._bucket.free
        pinned = rows - free
        # Copies, because the next run overwrites the buffers.
        return Prediction(
            sampled=selection.sampled[:free].clone(),
            argmax=selection.argmax[:free].clone(),
            log_probability=selection.log_probability[:free].clone(),
            entropy=selection.entropy[:free].clone(),
            free_fit=selection.fit[:free].clone(),
            pinned_fit=selection.fit[first : first + pinned].clone(),
            conditioning=soft[:rows].clone(),
        )
