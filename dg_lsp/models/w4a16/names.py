"""What a tensor of a compressed-tensors checkpoint is, by its name.

A linear has `NAME.weight_packed`, `NAME.weight_scale` and `NAME.weight_shape`. Experts are
published in two ways: as linears (`experts.7.gate_proj.weight_packed`, also `up_proj` and
`down_proj`), and as stacks (`experts.gate_up_proj_packed`, `experts.down_proj_scale`). Both
become the fused stacks of transformers, `experts.gate_up_proj` and `experts.down_proj`.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass


class Part(enum.Enum):
    """A tensor's part in a weight."""

    WORDS = "packed"
    SCALES = "scale"
    SHAPE = "shape"
    """The shape of the whole weight, as two or three integers."""
    ZEROS = "zero_point"
    ORDER = "g_idx"
    WHOLE = ""
    """All of it: this weight is not packed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stored tensor belongs."""

    weight: str
    """The parameter of the transformers class."""
    part: Part
    expert: int | None = None
    """The matrix of the stack; None if the tensor holds all."""
    half: int | None = None
    """0 for the rows of gate, 1 for those of up; None for all rows."""


EXPERT = re.compile(r"(.*\bexperts)\.(\d+)\.(gate_proj|up_proj|down_proj)\.weight")
STACK = re.compile(r"(.*\bexperts\.(?:gate_up_proj|down_proj))(?:\.weight)?")
SUFFIX = re.compile(r"(.+)_(packed|scale|shape|zero_point|g_idx)")


def place_of(name: str) -> Place:
    """Where the tensor with this name belongs."""
    found = SUFFIX.fullmatch(name)
    is_part = found and (found[1].endswith(".weight") or STACK.fullmatch(found[1]))
    base, part = (found[1], Part(found[2])) if found and is_part else (name, Part.WHOLE)
    if one := EXPERT.fullmatch(base):
        stack, number, projection = one.groups()
        if projection == "down_proj":
            return Place(f"{stack}.down_proj", part, int(number))
        half = 0 if projection == "gate_proj" else 1
        return Place(f"{stack}.gate_up_proj", part, int(number), half)
    if several := STACK.fullmatch(base):
        return Place(several[1], part)
    return Place(base, part)
