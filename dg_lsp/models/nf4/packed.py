"""Reads the tensors of a packed checkpoint: NF4 in safetensors, one file per layer.

Their names and layout are those of bitsandbytes. The files are memory-mapped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dg_lsp.models.checkpoint import CheckpointError, one_line
from dg_lsp.models.family import TensorLayout
from dg_lsp.models.nf4.format import STATE, Nf4, QuantizationError, from_tensors
from dg_lsp.models.nf4.manifest import read_manifest


def read_packed(
    directory: Path,
    layout: TensorLayout,
    device: torch.device,
    report: Callable[[float], None] = lambda share: None,
    on_host: Collection[str] = (),
) -> dict[str, Tensor | Nf4]:
    """All tensors of a packed checkpoint by their own names, which must be those of the layout.

    `report` is called with the share of the weights loaded so far. Tensors named in `on_host`
    that are not packed stay in the mapped files.
    """
    manifest = read_manifest(directory)
    expected = layout.shapes
    found: dict[str, Tensor | Nf4] = {}
    done = 0
    for file, (size, _) in manifest.files.items():
        try:
            found.update(_read(directory / file, device, on_host))
        except (SafetensorError, OSError, QuantizationError) as error:
            raise CheckpointError(
                f"{directory / file} could not be read: {one_line(error)}"
            ) from error
        done += size
        report(done / manifest.weight_bytes)
    wrong = [n for n in expected if n not in found or tuple(found[n].shape) != expected[n]]
    wrong += [name for name in found if name not in expected]
    if wrong:
        raise CheckpointError(
            f"{directory} does not fit its config.json: differing tensors: {len(wrong)}, the "
            f"first is {wrong[0]}; make it again with dg-lsp pull"
        )
    return found


def _read(
    path: Path, device: torch.device, on_host: Collection[str]
) -> Iterator[tuple[str, Tensor | Nf4]]:
    with (
        safe_open(path, framework="pt", device=str(device)) as file,
        safe_open(path, framework="pt") as host,
    ):
        names = list(file.keys())
        packed = {name.removesuffix(f".{STATE}") for name in names if name.endswith(STATE)}
        for name in packed:
            own = {key: file.get_tensor(key) for key in names if _belongs(key, name)}
            yield name, from_tensors(name, own, device)
        for name in names:
            if not any(_belongs(name, each) for each in packed):
                yield name, (host if name in on_host else file).get_tensor(name)


def _belongs(key: str, name: str) -> bool:
    return key == name or key.startswith(f"{name}.")
