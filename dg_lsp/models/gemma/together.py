"""A denoising step of canvases of several prompts, in one forward pass.

The keys and values of the prompts are side by side in a workspace of their own, and a canvas
sees its own prompt and itself. Nothing else in the model tells rows of one prompt from those of
another, except that each prompt has its own temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dg_lsp.engine.denoiser import Canvases, Prediction, StepRequest
from dg_lsp.models.gemma import attention
from dg_lsp.models.gemma.diffusion_gemma import TextDiffusionGemma
from dg_lsp.models.gemma.folded import Folded, Prepared
from dg_lsp.models.gemma.masks import offsets, shared_mask
from dg_lsp.models.gemma.prefix_cache import Encoded, LayerShape, Prefix
from dg_lsp.models.gemma.step import StepInputs, prediction_of, run_step
from dg_lsp.models.gemma.workspace import Workspace


@dataclass(slots=True)
class _Arranged:
    """What is the same in all steps of the same canvases."""

    of: list[tuple[int, Canvases]]
    """The prompts, by their serial numbers, and their canvases."""
    canvases: Canvases
    """All of them."""
    inputs: StepInputs
    prepared: Prepared | None
    """For a folded model."""

    def is_for(self, requests: Sequence[StepRequest]) -> bool:
        return len(self.of) == len(requests) and all(
            serial == request.encoded.serial and canvases is request.canvases
            for (serial, canvases), request in zip(self.of, requests, strict=True)
        )


class SharedSteps:
    """The steps of one model that several prompts share; on unpadded tensors."""

    def __init__(
        self,
        model: TextDiffusionGemma,
        shapes: Sequence[LayerShape],
        groups: dict[str, int],
        folded: Folded | None,
    ) -> None:
        self._model, self._groups, self._folded = model, groups, folded
        weight = model.lm_head.weight
        self._dtype, self._device = weight.dtype, weight.device
        self._window: int = model.config.text_config.sliding_window
        self._workspace = Workspace(shapes, self._dtype, self._device)
        self._places: dict[int, dict[str, range]] = {}
        """Of the prompts in the workspace: how many tokens before the rows each one is, by
        layer type."""
        self._arranged: _Arranged | None = None

    @property
    def nbytes(self) -> int:
        return self._workspace.nbytes

    def step(
        self, requests: Sequence[StepRequest], prefix_of: Callable[[Encoded], Prefix]
    ) -> list[Prediction]:
        """The answers to requests for different prompts; `prefix_of` gives what was read of a
        prompt."""
        rows = sum(request.rows for request in requests)
        self._load([request.encoded for request in requests], rows, prefix_of)
        arranged = self._arrange(requests)
        inputs = arranged.inputs
        inputs.canvas = torch.cat([request.canvas for request in requests])
        inputs.share = torch.cat([request.share for request in requests])
        inputs.conditioning = _joined_conditioning(requests)
        free = torch.tensor([len(request.share) for request in requests])
        temperatures = torch.tensor([request.temperature for request in requests])
        inputs.temperature = temperatures.repeat_interleave(free).to(self._device)
        view = self._workspace.view(
            self._loaded("full_attention"), self._loaded("sliding_attention"), rows
        )
        if self._folded is not None and arranged.prepared is not None:
            selection, soft = self._folded.step(view, inputs, arranged.prepared)
        else:
            selection, soft = run_step(self._model, view, inputs)
        return _parts_of(prediction_of(selection, soft), requests)

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

    def _arrange(self, requests: Sequence[StepRequest]) -> _Arranged:
        if self._arranged is not None and self._arranged.is_for(requests):
            return self._arranged
        each = [request.canvases for request in requests]
        canvases = joined(each)
        seen = {kind: self._seen(kind, requests) for kind in self._groups}
        masks = {
            kind: attention.added_mask(
                shared_mask(canvases.lengths, seen[kind], self._loaded(kind)),
                groups,
                self._dtype,
                self._device,
            )
            for kind, groups in self._groups.items()
        }
        positions = [
            offsets(request.canvases.lengths) + request.encoded.length for request in requests
        ]
        none = canvases.free[:0]
        inputs = StepInputs(
            canvas=none,
            conditioning=None,
            positions=torch.cat(positions).to(self._device),
            masks=masks,
            order=torch.cat([canvases.free, canvases.pinned]),
            target=canvases.free,
            disallowed=canvases.disallowed,
            constraint=canvases.constraint,
            temperature=none,
            share=none,
        )
        prepared = None
        if self._folded is not None:
            prepared = self._folded.prepare(inputs, canvases.lengths, seen)
        of = [(request.encoded.serial, request.canvases) for request in requests]
        self._arranged = _Arranged(of, canvases, inputs, prepared)
        return self._arranged

    def _seen(self, kind: str, requests: Sequence[StepRequest]) -> list[range]:
        """The slots that each canvas sees."""
        end = self._loaded(kind)
        seen = []
        for request in requests:
            place = self._places[request.encoded.serial][kind]
            slots = range(end - place.stop, end - place.start)
            seen += [slots] * len(request.canvases.lengths)
        return seen


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
