"""A denoising step on padded tensors of the sizes of a bucket, at fixed addresses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dg_lsp.engine.denoiser import Canvases, Prediction
from dg_lsp.models.captured import Capture
from dg_lsp.models.gemma.attention import fold, groups_by_kind
from dg_lsp.models.gemma.buckets import Bucket
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.fused import Lanes
from dg_lsp.models.gemma.masks import lanes, offsets, shared_mask, slots_seen
from dg_lsp.models.gemma.step import Parts, StepInputs, run_step
from dg_lsp.models.gemma.workspace import Workspace, slots_by_kind
from dg_lsp.models.padding import CONSTRAINTS, SHARED_CONSTRAINTS


class PaddedStep:
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
        vocab, hidden = weight.shape
        device, dtype = weight.device, weight.dtype
        self._bucket = bucket
        self._window: int = model.config.text_config.sliding_window
        self._slots = slots_by_kind(bucket.cached, self._window, bucket.prompts)
        self._groups = groups_by_kind(model)

        def ids(*size: int) -> Tensor:
            return torch.zeros(size, dtype=torch.long, device=device)

        lane = torch.zeros(bucket.rows, dtype=torch.int32, device=device)
        self._conditioning = torch.zeros(bucket.rows, hidden, dtype=dtype, device=device)
        self._inputs = StepInputs(
            canvas=ids(bucket.rows),
            conditioning=self._conditioning,
            positions=ids(bucket.rows),
            masks={
                kind: Lanes(lane, ids(2, bucket.rows).int())
                if fused
                else torch.zeros(
                    (1, 1, groups * bucket.rows, self._slots[kind] + bucket.rows),
                    dtype=dtype,
                    device=device,
                )
                for kind, groups in self._groups.items()
            },
            order=ids(bucket.rows),
            target=ids(bucket.free),
            disallowed=torch.zeros(
                constraints_of(bucket), vocab, dtype=torch.bool, device=device
            ),
            constraint=ids(bucket.free),
            temperature=torch.ones(bucket.free, device=device),
            share=torch.zeros(bucket.free, device=device),
        )
        self._canvases: Canvases | None = None
        self._cached = 0
        view = workspace.view(
            self._slots["full_attention"], self._slots["sliding_attention"], bucket.rows
        )
        captured = capture(lambda: run_step(model, view, self._inputs, fused))
        self._run = captured.run
        self.nbytes = captured.nbytes + _bytes_of(self._inputs)
        """What dropping the step frees."""

    def arrange(self, canvases: Canvases, cached: int) -> None:
        """Fill in what stays the same in all steps of `canvases` after `cached` tokens."""
        if canvases is self._canvases and cached == self._cached:
            return
        count = len(canvases.lengths)
        places = {
            "full_attention": [range(cached)] * count,
            "sliding_attention": [range(min(cached, self._window - 1))] * count,
        }
        self.arrange_shared(canvases, offsets(canvases.lengths) + cached, places)
        self._cached = cached

    def arrange_shared(
        self, canvases: Canvases, positions: Tensor, places: Mapping[str, Sequence[range]]
    ) -> None:
        """The same for canvases after several prompts.

        `positions` (rows,); `places` say, by layer type, how many slots before the rows those
        are that each canvas sees.
        """
        if canvases is self._canvases and not self._cached:
            return
        inputs, bucket = self._inputs, self._bucket
        free, pinned = len(canvases.free), len(canvases.pinned)
        inputs.canvas.zero_()
        self._conditioning.zero_()
        inputs.positions.zero_()
        inputs.positions[: len(positions)] = positions.to(inputs.positions.device)
        for kind, mask in inputs.masks.items():
            assert mask is not None
            arguments = canvases.lengths, places[kind], bucket.rows, self._slots[kind]
            if isinstance(mask, Lanes):
                mask.lane.copy_(lanes(canvases.lengths, bucket.rows))
                mask.seen.copy_(slots_seen(*arguments))
                continue
            visible = shared_mask(*arguments)
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
        self._canvases, self._cached = canvases, 0

    def __call__(
        self,
        canvas: Tensor,
        conditioning: Tensor | None,
        temperature: float | Tensor,
        share: Tensor,
    ) -> Prediction:
        """Run one step with the arranged inputs; `temperature` may be one for each free row."""
        inputs = self._inputs
        rows, free = len(canvas), len(share)
        inputs.canvas[:rows] = canvas
        if conditioning is None:
            self._conditioning.zero_()
        else:
            self._conditioning[:rows] = conditioning
        inputs.temperature[:free] = temperature
        inputs.share[:free] = share
        selection, soft = self._run()
        first = self._bucket.free
        assert self._canvases is not None
        pinned = len(self._canvases.pinned)
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


def constraints_of(bucket: Bucket) -> int:
    """How many constraints a step has room for."""
    return CONSTRAINTS if bucket.prompts == 1 else SHARED_CONSTRAINTS


def _bytes_of(inputs: StepInputs) -> int:
    masks = [
        mask.lane if isinstance(mask, Lanes) else mask
        for mask in inputs.masks.values()
        if mask is not None
    ]
    own = [getattr(inputs, each.name) for each in dataclasses.fields(inputs)]
    return sum(one.nbytes for one in (*own, *masks) if isinstance(one, Tensor))
