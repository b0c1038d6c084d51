"""Runs forward passes on tensors of a few fixed sizes at fixed addresses.

On a GPU, computing a step of a small canvas takes less time than launching its kernels one by
one, so steps are captured as CUDA graphs and replayed. Sizes and addresses in a graph are
fixed; rows, selected rows and cached tokens are therefore padded up to a bucket, and masks
hide the padding. Everything except the capture itself (graphs.py) also runs, and is tested,
on a CPU.
"""

from __future__ import annotations

from collections import OrderedDict

from dg_lsp.models.gemma.buckets import CACHED, Bucket
from dg_lsp.models.gemma.captured import Capture
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.padded_step import PaddedStep
from dg_lsp.models.gemma.step import Parts
from dg_lsp.models.gemma.workspace import Workspace

MOST_PREPARED = 96
MOST_BYTES = 384 * 2**20
"""Bounds on what is prepared at the same time. The memory plan counts it as workspace."""


class BucketedSteps:
    """The steps of one model, with one set of buffers per bucket, created when first needed.

    The least recently used are dropped when there are too many. With `fused`, its parts are
    used, and they run the fused kernels.
    """

    def __init__(self, capture: Capture, fused: Parts | None = None) -> None:
        self._capture = capture
        self.fused = fused
        self.sizes: tuple[int, ...] = CACHED
        """Numbers of cached tokens that a forward pass is padded up to."""
        self._prepared: OrderedDict[Bucket, PaddedStep] = OrderedDict()

    @property
    def buckets(self) -> list[Bucket]:
        """The buckets that are prepared."""
        return sorted(self._prepared)

    @property
    def nbytes(self) -> int:
        return sum(one.nbytes for one in self._prepared.values())

    def clear(self) -> None:
        """Drop all steps, because the workspace moved or memory is short."""
        self._prepared.clear()

    def step(
        self, model: TextDiffusionGemma, workspace: Workspace, bucket: Bucket
    ) -> PaddedStep:
        """The step of a bucket that the workspace has room for."""
        if bucket in self._prepared:
            self._prepared.move_to_end(bucket)
            return self._prepared[bucket]
        while len(self._prepared) >= MOST_PREPARED:
            self._prepared.popitem(last=False)
        step = PaddedStep(model, workspace, bucket, self._capture, self.fused)
        self._prepared[bucket] = step
        while self.nbytes > MOST_BYTES and len(self._prepared) > 1:
            self._prepared.popitem(last=False)
        return step
