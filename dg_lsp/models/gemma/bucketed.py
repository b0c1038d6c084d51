"""Runs forward passes on tensors of a few fixed sizes at fixed addresses.

On a GPU, computing a step of a small canvas takes less time than launching its kernels one by
one, so steps are captured as CUDA graphs and replayed. Sizes and addresses in a graph are
fixed; rows, selected rows and cached tokens are therefore padded up to a bucket, and masks
hide the padding. Everything except the capture itself (graphs.py) also runs, and is tested,
on a CPU.
"""

from __future__ import annotations

from dg_lsp.models.captured import Capture
from dg_lsp.models.gemma.buckets import Bucket, Reading
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.padded_reading import PaddedReading
from dg_lsp.models.gemma.padded_step import PaddedStep
from dg_lsp.models.gemma.step import Parts
from dg_lsp.models.gemma.workspace import Workspace
from dg_lsp.models.padding import CACHED
from dg_lsp.models.prepared import Prepared


class BucketedSteps:
    """The forward passes of one model that run in buckets, created when first needed.

    Each has its own buffers. With `fused`, its parts are used for steps, and they run the fused
    kernels.
    """

    def __init__(self, capture: Capture, fused: Parts | None = None) -> None:
        self._capture = capture
        self.fused = fused
        self.sizes: tuple[int, ...] = CACHED
        """Numbers of cached tokens that a forward pass is padded up to."""
        self._prepared: Prepared[Bucket | Reading, PaddedStep | PaddedReading] = Prepared()

    @property
    def buckets(self) -> list[Bucket]:
        """The buckets of the steps that are prepared."""
        return sorted(bucket for bucket in self._prepared if isinstance(bucket, Bucket))

    @property
    def readings(self) -> list[Reading]:
        """The buckets in which the encoder is prepared to read."""
        return sorted(bucket for bucket in self._prepared if isinstance(bucket, Reading))

    @property
    def nbytes(self) -> int:
        return self._prepared.nbytes

    @property
    def times_prepared(self) -> int:
        """How often a forward pass has been prepared so far."""
        return self._prepared.times_made

    def clear(self) -> None:
        """Drop everything, because the workspace moved or memory is short."""
        self._prepared.clear()

    def step(
        self, model: TextDiffusionGemma, workspace: Workspace, bucket: Bucket
    ) -> PaddedStep:
        """The step of a bucket that the workspace has room for."""
        step = self.prepare(model, workspace, bucket)
        assert isinstance(step, PaddedStep)
        return step

    def reading(
        self, model: TextDiffusionGemma, workspace: Workspace, bucket: Reading
    ) -> PaddedReading:
        """The encoder in a bucket that the workspace has room for."""
        reading = self.prepare(model, workspace, bucket)
        assert isinstance(reading, PaddedReading)
        return reading

    def prepare(
        self, model: TextDiffusionGemma, workspace: Workspace, bucket: Bucket | Reading
    ) -> PaddedStep | PaddedReading:
        """What runs in a bucket, created if it is not there; see `Prepared.get`."""

        def make() -> PaddedStep | PaddedReading:
            if isinstance(bucket, Bucket):
                return PaddedStep(model, workspace, bucket, self._capture, self.fused)
            return PaddedReading(model, workspace, bucket, self._capture)

        return self._prepared.get(bucket, make)
