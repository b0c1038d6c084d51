"""A denoising step of canvases of several prompts, in one forward pass.

The keys and values of the prompts are side by side in a workspace of their own, and a canvas
sees its own prompt and itself. Nothing else in the model tells rows of one prompt from those of
another, except that each prompt has its own temperature.

On a GPU, such a step is captured like any other (`padded_step.py`), for as many prompts,
tokens, rows and constraints as a bucket has room for; more are divided into several steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dg_lsp.engine.denoiser import Canvases, Prediction, StepRequest
from dg_lsp.models.gemma import attention
from dg_lsp.models.gemma.bucketed import BucketedSteps
from dg_lsp.models.gemma.buckets import (
    LEAST_SHARED_TOKENS,
    PROMPTS_TOGETHER,
    RESERVED_ROWS,
    SHARED_TOKENS,
    bucket_for,
    shared_sizes,
    usual_shared,
)
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.folded import Folded, Prepared
from dg_lsp.models.gemma.masks import offsets, shared_mask
from dg_lsp.models.gemma.prefix_cache import Encoded, LayerShape, Prefix
from dg_lsp.models.gemma.step import StepInputs, prediction_of, run_step
from dg_lsp.models.gemma.workspace import Workspace, slots_by_kind
from dg_lsp.models.padding import SHARED_CONSTRAINTS, rounded


@dataclass(slots=True)
class _Arranged:
    """What is the same in all steps of the same canvases."""

    of: list[tuple[int, Canvases]]
    """The prompts, by their serial numbers, and their canvases."""
    canvases: Canvases
    """All of them."""
    positions: Tensor
    """(rows,) on the host."""
    places: dict[str, list[range]]
    """How many slots before the rows each canvas sees, by layer type."""
    inputs: StepInputs | None = None
    """Of steps on unpadded tensors."""
    prepared: Prepared | None = None
    """The same, for a folded model."""

    def is_for(self, requests: Sequence[StepRequest]) -> bool:
        return len(self.of) == len(requests) and all(
            serial == request.encoded.serial and canvases is request.canvases
            for (serial, canvases), request in zip(self.of, requests, strict=True)
        )


class SharedSteps:
    """The steps of one model that several prompts share."""

    def __init__(
        self,
        model: TextDiffusionGemma,
        shapes: Sequence[LayerShape],
        groups: dict[str, int],
        folded: Folded | None,
    ) -> None:
        self._model, self._groups, self._folded = model, groups, folded
        self._shapes = list(shapes)
        weight = model.lm_head.weight
        self._dtype, self._device = weight.dtype, weight.device
        self._window: int = model.config.text_config.sliding_window
        self._workspace = Workspace(shapes, self._dtype, self._device)
        self._places: dict[int, dict[str, range]] = {}
        """Of the prompts in the workspace: how many tokens before the rows each one is, by
        layer type."""
        self._arranged: _Arranged | None = None
        self.capacity = 0
        """Tokens of prompts that captured steps have room for; 0 if none are captured."""

    @property
    def nbytes(self) -> int:
        return self._workspace.nbytes

    def capacity_within(self, budget: int, longest: int) -> int:
        """Tokens of prompts, the longest of `longest`, that captured steps may have room for in
        so many bytes; 0 if they are too few to be shared."""
        capacity = min(SHARED_TOKENS, PROMPTS_TOGETHER * rounded(longest))
        while capacity >= LEAST_SHARED_TOKENS and self.bytes_of(capacity) > budget:
            capacity //= 2
        return capacity if capacity >= LEAST_SHARED_TOKENS else 0

    def bytes_of(self, capacity: int) -> int:
        """What the workspace of captured steps takes."""
        slots = slots_by_kind(capacity, self._window, PROMPTS_TOGETHER)
        held = 0
        for shape in self._shapes:
            kind = "full_attention" if shape.window is None else "sliding_attention"
            held += 2 * shape.heads * shape.dim * (slots[kind] + RESERVED_ROWS)
        return held * int(self._dtype.itemsize)

    def prepare(
        self, bucketed: BucketedSteps, capacity: int, on_each: Callable[[], None]
    ) -> None:
        """Make room for prompts of so many tokens together, and prepare the usual steps."""
        self._reserve(capacity)
        for bucket in usual_shared(capacity):
            bucketed.step(self._model, self._workspace, bucket)
            on_each()

    def answer(
        self,
        requests: Sequence[StepRequest],
        prefix_of: Callable[[Encoded], Prefix],
        bucketed: BucketedSteps,
        alone: Callable[[StepRequest], Prediction],
    ) -> list[Prediction]:
        """What `step` does, in captured steps; `alone` answers a request by itself."""
        found: list[Prediction] = []
        for part in self._divided(requests):
            if len(part) == 1:
                found.append(alone(part[0]))
                continue
            made = self._captured_step(part, prefix_of, bucketed)
            found += made or self.step(part, prefix_of)
        return found

    def _divided(self, requests: Sequence[StepRequest]) -> list[list[StepRequest]]:
        """Requests that captured steps have room for together."""
        parts: list[list[StepRequest]] = []
        for request in requests:
            if parts and self._fits([*parts[-1], request]):
                parts[-1].append(request)
            else:
                parts.append([request])
        return parts

    def _captured_step(
        self,
        requests: Sequence[StepRequest],
        prefix_of: Callable[[Encoded], Prefix],
        bucketed: BucketedSteps,
    ) -> list[Prediction] | None:
        """What `step` does, in a bucket; `None` if there is none."""
        rows = sum(request.rows for request in requests)
        self._reserve(self.capacity)
        self._load([request.encoded for request in requests], rows, prefix_of)
        arranged = self._arranged_for(requests)
        cached = self._loaded("full_attention")
        free = len(arranged.canvases.free)
        sizes = shared_sizes(self.capacity)
        bucket = bucket_for(cached, rows, free, sizes, PROMPTS_TOGETHER)
        if bucket is None:
            return None
        step = bucketed.step(self._model, self._workspace, bucket)
        step.arrange_shared(arranged.canvases, arranged.positions, arranged.places)
        inputs = self._joined(requests)
        return _parts_of(step(*inputs), requests)

    def _fits(self, requests: Sequence[StepRequest]) -> bool:
        return (
            len(requests) <= PROMPTS_TOGETHER
            and sum(request.encoded.length for request in requests) <= self.capacity
            and sum(request.rows for request in requests) <= RESERVED_ROWS
            and sum(len(request.canvases.disallowed) for request in requests)
            <= SHARED_CONSTRAINTS
        )

    def _reserve(self, capacity: int) -> None:
        sliding = slots_by_kind(capacity, self._window, PROMPTS_TOGETHER)["sliding_attention"]
        if self._workspace.reserve(capacity, RESERVED_ROWS, sliding):
            self._places, self._arranged = {}, None
        self.capacity = capacity

    def step(
        self, requests: Sequence[StepRequest], prefix_of: Callable[[Encoded], Prefix]
    ) -> list[Prediction]:
        """The answers to requests for different prompts; `prefix_of` gives what was read of a
        prompt."""
        rows = sum(request.rows for request in requests)
        self._load([request.encoded for request in requests], rows, prefix_of)
        arranged = self._arranged_for(requests)
        if arranged.inputs is None:
            arranged.inputs, arranged.prepared = self._unpadded(arranged)
        inputs = arranged.inputs
        inputs.canvas, inputs.conditioning, inputs.temperature, inputs.share = self._joined(
            requests
        )
        view = self._workspace.view(
            self._loaded("full_attention"), self._loaded("sliding_attention"), rows
        )
        if self._folded is not None and arranged.prepared is not None:
            selection, soft = self._folded.step(view, inputs, arranged.prepared)
        else:
            selection, soft = run_step(self._model, view, inputs)
        return _parts_of(prediction_of(selection, soft), requests)

    def _joined(
        self, requests: Sequence[StepRequest]
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """Canvas, conditioning, temperature (free,) and share of all of them."""
        free = torch.tensor([len(request.share) for request in requests])
        temperatures = torch.tensor([request.temperature for request in requests])
        return (
            torch.cat([request.canvas for request in requests]),
            _joined_conditioning(requests),
            temperatures.repeat_interleave(free).to(self._device),
            torch.cat([request.share for request in requests]),
        )

    def _loaded(self, kind: str) -> int:
        """Tokens in the workspace before the rows."""
        return max(place[kind].stop for place in self._places.values())

    def _load(
        self, prompts: Sequence[Encoded], rows: int, prefix_of: Callable[[Encoded], Prefix]
    ) -> None:
        """Ensure that the workspace holds the prompts and has room for `rows`."""
        wanted = {prompt.serial for prompt in prompts}
        is_crowded = len(self._places) > 2 * len(wanted)
        if wanted <= self._places.keys() and not is_crowded and rows <= self._workspace.rows:
            return
        self._places, self._arranged = {}, None
        # Read again where necessary, before anything is copied.
        prefixes = [prefix_of(prompt) for prompt in prompts]
        places: dict[int, dict[str, range]] = {}
        full = sliding = 0
        for prompt in reversed(prompts):
            seen = min(prompt.length, self._window - 1)
            places[prompt.serial] = {
                "full_attention": range(full, full + prompt.length),
                "sliding_attention": range(sliding, sliding + seen),
            }
            full, sliding = full + prompt.length, sliding + seen
        self._workspace.reserve(full, rows, sliding)
        self._workspace.load(
            *((prefix, prompt.length) for prefix, prompt in zip(prefixes, prompts, strict=True))
        )
        self._places = places

    def _arranged_for(self, requests: Sequence[StepRequest]) -> _Arranged:
        if self._arranged is not None and self._arranged.is_for(requests):
            return self._arranged
        positions = [
            offsets(request.canvases.lengths) + request.encoded.length for request in requests
        ]
        places = {
            kind: [
                self._places[request.encoded.serial][kind]
                for request in requests
                for _ in request.canvases.lengths
            ]
            for kind in self._groups
        }
        self._arranged = _Arranged(
            of=[(request.encoded.serial, request.canvases) for request in requests],
            canvases=joined([request.canvases for request in requests]),
            positions=torch.cat(positions),
            places=places,
        )
        return self._arranged

    def _unpadded(self, arranged: _Arranged) -> tuple[StepInputs, Prepared | None]:
        """The inputs of a step on unpadded tensors."""
        canvases = arranged.canvases
        lengths, rows = canvases.lengths, sum(canvases.lengths)
        masks = {
            kind: attention.added_mask(
                shared_mask(lengths, arranged.places[kind], rows, self._loaded(kind)),
                groups,
                self._dtype,
                self._device,
            )
            for kind, groups in self._groups.items()
        }
        none = canvases.free[:0]
        inputs = StepInputs(
            canvas=none,
            conditioning=None,
            positions=arranged.positions.to(self._device),
            masks=masks,
            order=torch.cat([canvases.free, canvases.pinned]),
            target=canvases.free,
            disallowed=canvases.disallowed,
            constraint=canvases.constraint,
            temperature=none,
            share=none,
        )
        if self._folded is None:
            return inputs, None
        return inputs, self._folded.prepare(inputs, lengths, arranged.places)


def joined(each: Sequence[Canvases]) -> Canvases:
    """Canvases of several prompts as one set of canvases."""
    free, pinned, constraint = [], [], []
    rows = constraints = 0
    for canvases in each:
        free.append(canvases.free + rows)
        pinned.append(canvases.pinned + rows)
        constraint.append(canvases.constraint + constraints)
        rows += sum(canvases.lengths)
        constraints += len(canvases.disallowed)
    return Canvases(
        lengths=tuple(length for canvases in each for length in canvases.lengths),
        free=torch.cat(free),
        pinned=torch.cat(pinned),
        disallowed=torch.cat([canvases.disallowed for canvases in each]),
        constraint=torch.cat(constraint),
    )


def _joined_conditioning(requests: Sequence[StepRequest]) -> Tensor | None:
    """(rows, hidden) zeros where a prompt has none yet; `None` if no prompt has any."""
    given = [request.conditioning for request in requests]
    some = next((one for one in given if one is not None), None)
    if some is None:
        return None
    return torch.cat(
        [
            some.new_zeros(request.rows, some.shape[1]) if one is None else one
            for one, request in zip(given, requests, strict=True)
        ]
    )


def _parts_of(prediction: Prediction, requests: Sequence[StepRequest]) -> list[Prediction]:
    """What belongs to each request."""
    free = [len(request.canvases.free) for request in requests]
    pinned = [len(request.canvases.pinned) for request in requests]
    assert prediction.conditioning is not None
    parts = zip(
        prediction.sampled.split(free),
        prediction.argmax.split(free),
        prediction.log_probability.split(free),
        prediction.entropy.split(free),
        prediction.free_fit.split(free),
        prediction.pinned_fit.split(pinned),
        prediction.conditioning.split([request.rows for request in requests]),
        strict=True,
    )
    return [Prediction(*part) for part in parts]
