"""Steps on tensors of a few fixed sizes at fixed addresses, which a GPU runs as CUDA graphs.

Launching the kernels of a step one by one takes longer than running them. Rows, free rows and
cached tokens are padded up to a bucket, and the mask hides the padding. Everything except the
capture itself also runs, and is tested, on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import Qwen2ForCausalLM

from dg_lsp.engine.denoiser import Canvases, Prediction
from dg_lsp.models.captured import Capture
from dg_lsp.models.padding import CACHED, CONSTRAINTS, ROWS, cached_sizes, least, rounded
from dg_lsp.models.prepared import Prepared
from dg_lsp.models.qwen2.context import Workspace
from dg_lsp.models.qwen2.sampling import Selection, select
from dg_lsp.models.qwen2.step import Layout, forward, prediction_of

WARM = ((32, 16), (48, 32), (64, 48), (96, 64))
"""Rows and free rows of the steps that are prepared at startup: one canvas that begins with 64
masks, and what it shrinks to. Others are prepared when first needed."""


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """The sizes of a step."""

    cached: int
    rows: int
    free: int


class BucketedSteps:
    """The steps of one model that run in buckets, created when first needed."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._sizes: tuple[int, ...] = CACHED
        """Numbers of cached tokens that a step is padded up to."""
        self._prepared: Prepared[Bucket, PaddedStep] = Prepared()

    @property
    def buckets(self) -> list[Bucket]:
        return sorted(self._prepared)

    @property
    def nbytes(self) -> int:
        return self._prepared.nbytes

    def clear(self) -> None:
        """Drop everything, because the workspace moved or memory is short."""
        self._prepared.clear()

    def bucket_for(self, layout: Layout, canvases: Canvases) -> Bucket | None:
        """The smallest bucket that a step fits into; `None` if there is none."""
        if len(canvases.pinned) or len(canvases.disallowed) > CONSTRAINTS:
            return None
        cached, rows = least(self._sizes, layout.cached), least(ROWS, layout.rows)
        free = least(ROWS, len(canvases.free))
        if cached is None or rows is None or free is None:
            return None
        return Bucket(cached, rows, free)

    def usual(self, longest: int) -> list[Bucket]:
        """What to prepare at startup for texts of up to `longest` tokens, from then on padded
        to the sizes that suit them."""
        self._sizes = cached_sizes(longest)
        most = [size for size in self._sizes if size <= rounded(longest)]
        return [Bucket(cached, rows, free) for cached in most for rows, free in WARM]

    def step(self, model: Qwen2ForCausalLM, workspace: Workspace, bucket: Bucket) -> PaddedStep:
        """The step of a bucket that the workspace has room for."""
        return self._prepared.get(
            bucket, lambda: PaddedStep(model, workspace, bucket, self._capture)
        )


class PaddedStep:
    """One bucket: buffers, and the step that reads them."""

    def __init__(
        self, model: Qwen2ForCausalLM, workspace: Workspace, bucket: Bucket, capture: Capture
    ) -> None:
        device: torch.device = model.model.norm.weight.device
        vocabulary: int = model.config.vocab_size

        def ids(*size: int) -> Tensor:
            return torch.zeros(size, dtype=torch.long, device=device)

        self._bucket = bucket
        self._layout: Layout | None = None
        self._canvases: Canvases | None = None
        self._ids, self._positions = ids(bucket.rows), ids(bucket.rows)
        keys = bucket.cached + bucket.rows
        self._mask = torch.ones(1, 1, bucket.rows, keys, dtype=torch.bool, device=device)
        self._predicting, self._constraint = ids(bucket.free), ids(bucket.free)
        self._disallowed = torch.zeros(CONSTRAINTS, vocabulary, dtype=torch.bool, device=device)
        self._temperature = torch.ones((), device=device)
        self._share = torch.zeros(bucket.free, device=device)
        none = ids(0)
        view = workspace.view(bucket.cached, bucket.rows)

        def run() -> Selection:
            hidden = forward(model, self._ids[None], self._mask, self._positions, view)[0]
            return select(
                model.lm_head,
                hidden[self._predicting],
                none,
                self._disallowed,
                self._constraint,
                self._temperature,
                self._share,
            )

        captured = capture(run)
        self._run = captured.run
        buffers = (self._ids, self._positions, self._mask, self._predicting)
        others = (self._constraint, self._disallowed, self._share)
        self.nbytes = captured.nbytes + sum(one.nbytes for one in (*buffers, *others))
        """What dropping the step frees."""

    def arrange(self, layout: Layout, canvases: Canvases) -> None:
        """Fill in what stays the same in all steps of `canvases`."""
        bucket, free = self._bucket, len(canvases.free)
        if layout is not self._layout:
            self._ids.zero_()
            self._ids[: layout.rows] = layout.ids
            self._positions.zero_()
            self._positions[: layout.rows] = layout.positions
            self._mask.copy_(layout.mask(bucket.cached, bucket.rows))
        if layout is not self._layout or canvases is not self._canvases:
            self._predicting.zero_()
            self._predicting[:free] = layout.predicting[canvases.free]
            self._disallowed.zero_()
            self._disallowed[: len(canvases.disallowed)] = canvases.disallowed
            self._constraint.zero_()
            self._constraint[:free] = canvases.constraint
        self._layout, self._canvases = layout, canvases

    def __call__(self, canvas: Tensor, temperature: float, share: Tensor) -> Prediction:
        """Run one step with what was arranged."""
        assert self._layout is not None
        free = len(share)
        self._ids[self._layout.own] = canvas
        self._temperature.fill_(temperature)
        self._share[:free] = share
        found = self._run()
        # Copies, because the next run overwrites the buffers.
        kept = Selection(
            sampled=found.sampled[:free].clone(),
            argmax=found.argmax[:free].clone(),
            log_probability=found.log_probability[:free].clone(),
            entropy=found.entropy[:free].clone(),
            margin=found.margin[:free].clone(),
            fit=found.fit[:free].clone(),
        )
        return prediction_of(kept, free)
