"""Reads the weights of a compressed-tensors checkpoint in int4, shard by shard.

All names and shapes are checked before any weight is read. Packed words keep their bits;
experts that are stored one by one are copied into the stacks that the kernels read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from dg_lsp.models.checkpoint import CheckpointError, list_shards, one_line, read_headers
from dg_lsp.models.family import TensorLayout
from dg_lsp.models.formats import INSTEAD, FormatError
from dg_lsp.models.w4a16.format import BLOCK, PER_WORD, Int4, stored_bytes
from dg_lsp.models.w4a16.names import Part, Place, place_of

TYPES = {Part.WORDS: torch.int32, Part.SCALES: torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Piece:
    """A stored tensor, and where it goes."""

    shard: Path
    name: str
    place: Place
    shape: tuple[int, ...]


@dataclass(slots=True)
class Plan:
    """What is read from where, by the weight's own name."""

    layout: TensorLayout
    pieces: dict[str, list[Piece]] = field(default_factory=lambda: defaultdict(list))

    def group(self, own: str) -> int | None:
        """How many values of a packed weight share a scale; None if it is not packed."""
        width = self.layout.shapes[own][-1]
        scales = (p for p in self.pieces[own] if p.place.part is Part.SCALES)
        return next((width // piece.shape[-1] for piece in scales), None)

    def bytes(self, dtype: torch.dtype) -> int:
        """Bytes of all weights in memory; `dtype` is for those that are not packed."""
        total = 0
        for own, shape in self.layout.shapes.items():
            group = self.group(own)
            whole = torch.Size(shape).numel() * dtype.itemsize
            total += whole if group is None else stored_bytes(shape, group)
        return total


def plan_reading(directory: Path, layout: TensorLayout, groups: tuple[int, ...]) -> Plan:
    """Read all headers and check names and shapes; `groups` are those of `config.json`."""
    plan = Plan(layout)
    surplus = []
    for shard, tensors in read_headers(list_shards(directory)).items():
        for name, shape in tensors.items():
            place = place_of(name)
            own = layout.own_name(place.weight)
            if layout.is_ignored(name):
                continue
            if own not in layout.shapes:
                surplus.append(name)
                continue
            if place.part in (Part.ZEROS, Part.ORDER):
                what = "zero points" if place.part is Part.ZEROS else "activation order"
                raise FormatError(
                    f"{shard}: {name} belongs to int4 with {what}, which dg-lsp does not read; "
                    f"{INSTEAD}"
                )
            plan.pieces[own].append(Piece(shard, name, place, shape))
    missing = [own for own in layout.shapes if own not in plan.pieces]
    for kind, names in (("missing", missing), ("unexpected", surplus)):
        if names:
            raise CheckpointError(
                f"{directory} has {len(names)} {kind} tensors, the first is {min(names)}; "
                "it is not a complete checkpoint; download it again"
            )
    for own, shape in layout.shapes.items():
        plan.pieces[own] = _checked(own, shape, plan, groups)
    return plan


def read_int4(
    directory: Path,
    layout: TensorLayout,
    groups: tuple[int, ...],
    device: torch.device,
    report: Callable[[float], None] = lambda share: None,
    on_host: Collection[str] = (),
) -> dict[str, Tensor | Int4]:
    """All weights of a checkpoint by their own names; raises `CheckpointError`.

    `report` is called with the share of the pieces loaded so far. Weights named in `on_host`
    stay in the mapped files if they are not packed.
    """
    plan = plan_reading(directory, layout, groups)
    by_shard: dict[Path, list[tuple[str, Piece]]] = defaultdict(list)
    for own, found in plan.pieces.items():
        for piece in found:
            by_shard[piece.shard].append((own, piece))
    total, done = sum(map(len, by_shard.values())), 0
    parts: dict[tuple[str, Part], Tensor] = {}
    for shard, pieces in by_shard.items():
        try:
            with safe_open(shard, framework="pt") as file:
                for own, piece in pieces:
                    tensor = file.get_tensor(piece.name)
                    _check_content(piece, tensor, layout.shapes[own])
                    is_kept = own in on_host and piece.place.part is Part.WHOLE
                    where = tensor.device if is_kept else device
                    _put(parts, own, piece, tensor, plan, where)
        except CheckpointError:
            raise
        except Exception as error:  # Reading a file from elsewhere may raise anything.
            raise CheckpointError(
                f"{shard} could not be read ({one_line(error)}); download it again"
            ) from error
        done += len(pieces)
        report(done / total)
    return dict(_weights(parts, layout))


def _weights(
    parts: dict[tuple[str, Part], Tensor], layout: TensorLayout
) -> Iterator[tuple[str, Tensor | Int4]]:
    for own in layout.shapes:
        if (own, Part.WHOLE) in parts:
            yield own, parts[own, Part.WHOLE]
        else:
            yield own, Int4(parts[own, Part.WORDS], parts[own, Part.SCALES])


def _checked(
    own: str, shape: tuple[int, ...], plan: Plan, groups: tuple[int, ...]
) -> list[Piece]:
    """The pieces of one weight, each place once, with the right shapes."""
    found: dict[Place, Piece] = {}
    for piece in plan.pieces[own]:
        place = piece.place
        key = Place(own, place.part, place.expert, place.half)
        # Both halves of the model may be present; the decoder's name is kept.
        if key not in found or place.weight == own:
            found[key] = piece
    if any(place.part is Part.WHOLE for place in found):
        return [_checked_whole(own, shape, found, plan)]
    group = plan.group(own)
    for part in (Part.WORDS, Part.SCALES):
        have = {(p.expert, p.half) for p in found if p.part is part}
        wanted = _wanted(own, shape, have)
        if have != wanted:
            odd = min(have ^ wanted, key=str)
            kind = "missing" if odd in wanted else "unexpected"
            raise CheckpointError(
                f"{next(iter(found.values())).shard.parent}: {_describe(own, part, odd)} is "
                f"{kind}; download the checkpoint again"
            )
    for place, piece in found.items():
        if place.part is Part.SHAPE:
            continue
        per_value = PER_WORD if place.part is Part.WORDS else group
        expected = _piece_shape(place, shape)
        wide = expected[-1] // per_value if per_value else 0
        if group not in groups or expected[-1] % group or piece.shape != (*expected[:-1], wide):
            raise CheckpointError(
                f"{piece.shard}: {piece.name} has shape {list(piece.shape)}, config.json wants "
                f"{list(expected)} in groups of {' or '.join(map(str, groups))}; "
                "they do not belong together"
            )
    if shape[-1] % BLOCK:
        raise FormatError(
            f"{own} has rows of {shape[-1]} int4 values, not a multiple of {BLOCK}, "
            f"which dg-lsp does not read; {INSTEAD}"
        )
    return list(found.values())


def _checked_whole(
    own: str, shape: tuple[int, ...], found: dict[Place, Piece], plan: Plan
) -> Piece:
    """The one piece of a weight that is not packed."""
    piece = next(p for place, p in found.items() if place.part is Part.WHOLE)
    if plan.layout.is_bulk(own):
        raise FormatError(
            f"{piece.shard}: {piece.name} is not quantized, so the model would take several "
            f"times its memory; {INSTEAD}"
        )
    if len(found) > 1 or piece.shape != shape:
        raise CheckpointError(
            f"{piece.shard}: {piece.name} has shape {list(piece.shape)}, config.json wants "
            f"{list(shape)} and nothing else for it; they do not belong together"
        )
    return piece


def _wanted(
    own: str, shape: tuple[int, ...], have: set[tuple[int | None, int | None]]
) -> set[tuple[int | None, int | None]]:
    """The places that a weight has pieces for: one for all, or one for each expert."""
    if len(shape) == 2 or (None, None) in have:
        return {(None, None)}
    halves = (0, 1) if own.endswith("gate_up_proj") else (None,)
    return {(expert, half) for expert in range(shape[0]) for half in halves}


def _describe(own: str, part: Part, place: tuple[int | None, int | None]) -> str:
    expert, half = place
    if expert is None:
        return f"the {part.value} tensor of {own}"
    projection = {0: "gate_proj", 1: "up_proj", None: "down_proj"}[half]
    return f"{own.rpartition('.')[0]}.{expert}.{projection}.weight_{part.value}"


def _piece_shape(place: Place, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The unpacked shape of what a piece holds."""
    if place.expert is None:
        return shape
    rows = shape[1] if place.half is None else shape[1] // 2
    return rows, shape[2]


def _check_content(piece: Piece, tensor: Tensor, shape: tuple[int, ...]) -> None:
    part = piece.place.part
    wanted = TYPES.get(part)
    if wanted is not None and tensor.dtype is not wanted:
        raise CheckpointError(
            f"{piece.shard}: {piece.name} is {tensor.dtype}, not {wanted}; "
            "download the checkpoint again"
        )
    if part is Part.SHAPE and tuple(tensor.tolist()) != _piece_shape(piece.place, shape):
        raise CheckpointError(
            f"{piece.shard}: {piece.name} says {tensor.tolist()}, config.json wants "
            f"{list(_piece_shape(piece.place, shape))}; they do not belong together"
        )
    if part is Part.SCALES and not torch.isfinite(tensor).all():
        raise CheckpointError(
            f"{piece.shard}: {piece.name} has values that are not finite; "
            "download the checkpoint again"
        )


def _put(
    parts: dict[tuple[str, Part], Tensor],
    own: str,
    piece: Piece,
    tensor: Tensor,
    plan: Plan,
    device: torch.device,
) -> None:
    """Store a piece under its weight, or copy it to its place in the weight's stack."""
    place = piece.place
    if place.part is Part.SHAPE:
        return
    key = own, place.part
    if place.expert is None:
        parts[key] = tensor.to(device)
        return
    experts, rows, _ = plan.layout.shapes[own]
    if key not in parts:
        shape = experts, rows, tensor.shape[-1]
        parts[key] = torch.empty(shape, dtype=tensor.dtype, device=device)
    start = (place.half or 0) * rows // 2
    parts[key][place.expert, start : start + tensor.shape[0]].copy_(tensor)
