"""Whether this machine can run a model, and in which form its weights are stored for that."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dg_lsp.cli import ArgumentError
from dg_lsp.reason import Reason, ReasonCode

if TYPE_CHECKING:
    import torch

    from dg_lsp.models.hub import Remote
    from dg_lsp.models.registry import Checkpoint

CONFIGURATION = (
    "config.json", "generation_config.json", "tokenizer_config.json", "added_tokens.json",
)  # fmt: skip
"""What usually names a masked model's control tokens."""
TOKENIZER = "tokenizer.json"
"""Always names them, but is large."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a checkpoint here."""

    packs: bool
    """Whether it is packed to 4 bits; otherwise it is kept as it was published."""
    device: torch.device
    """Where it is packed, and where it will run unless another machine is meant."""
    obstacles: tuple[Reason, ...]
    """Why this machine cannot run it, or not well."""

    def __str__(self) -> str:
        if not self.obstacles:
            return "this machine can run it"
        return f"this machine cannot run it well: {'; '.join(map(str, self.obstacles))}"


def judge(
    name: str, checkpoint: Checkpoint, published_bytes: int, device: str | None
) -> Verdict:
    """The verdict on a checkpoint of which everything but the weights is here.

    `published_bytes` is the size of its weights. Raises if they would have to be packed, and
    this machine cannot do that.
    """
    from dg_lsp.hardware import bitsandbytes_obstacle
    from dg_lsp.models import device as devices
    from dg_lsp.models.nf4.planning import packed_bytes
    from dg_lsp.models.readiness import obstacles, runs_unpacked

    machine = devices.look()
    asked = None if device is None else devices.choose_device(device)
    chosen = asked or devices.default_device(machine)[0]
    packs = not checkpoint.weights.groups and not runs_unpacked(checkpoint, chosen)
    if packs and (lacking := bitsandbytes_obstacle(machine)) is not None:
        raise ArgumentError(lacking.message, lacking.code)
    if packs and chosen.type == "mps":
        # Nothing packs on a Mac's GPU.
        chosen = devices.choose_device("cpu")
    size = packed_bytes(checkpoint.tensors) if packs else published_bytes
    return Verdict(packs, chosen, tuple(obstacles(name, checkpoint, size, machine, asked)))


def judge_remote(name: str, remote: Remote, device: str | None) -> Verdict:
    """The verdict according to a repository's configuration, without keeping anything."""
    from dg_lsp.models import hub
    from dg_lsp.models.checkpoint import CheckpointError
    from dg_lsp.models.registry import open_checkpoint

    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        hub.download_small(remote, directory, lambda file: file in CONFIGURATION)
        try:
            checkpoint = open_checkpoint(directory)
        except CheckpointError as error:
            if error.code is not ReasonCode.UNKNOWN_FAMILY:
                raise
            # Some name the mask token only there.
            hub.download_small(remote, directory, lambda file: file == TOKENIZER)
            checkpoint = open_checkpoint(directory)
        return judge(name, checkpoint, remote.weight_bytes, device)
