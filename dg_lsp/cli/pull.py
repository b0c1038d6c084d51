"""`dg-lsp pull`: gets a checkpoint, from the hub or from this disk, and packs it to 4 bits.

It says how much it will download and store before it starts.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.options import DeviceOption
from dg_lsp.cli.told import Told
from dg_lsp.reason import ReasonCode

if TYPE_CHECKING:
    from dg_lsp.models.hub import Remote

DOWNLOADS = ".downloads"


def pull(
    repository: Annotated[
        str | None,
        typer.Argument(
            metavar="[REPOSITORY]",
            help="Repository on the hub; by default google/diffusiongemma-26B-A4B-it.",
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="A checkpoint that is already on disk."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name for the model, to use with --model."),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(metavar="REVISION", help="A branch, tag or commit.")
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence of the weights.")
    ] = False,
    delete_source: Annotated[
        bool,
        typer.Option("--delete-source", help="Delete the full weights after packing."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print progress as lines of JSON, for programs.")
    ] = False,
    look: Annotated[
        bool, typer.Option("--look", help="Show the licence and the size; download nothing.")
    ] = False,
    device: DeviceOption = None,
) -> None:
    """Download a model, pack it to 4 bits, and store it under a name.

    The default is DiffusionGemma 26B: about 52 GB to download, 15 GB to keep. Afterwards,
    --model NAME selects it, and the best model is used by default. If the command is
    interrupted, run it again to continue.
    """
    from dg_lsp.models import hub, store
    from dg_lsp.models.checkpoint import size_in_words

    told = Told(as_json)
    if source is not None and (repository is not None or revision is not None):
        raise ArgumentError("--from takes a directory instead of a repository; give only one")
    if source is not None:
        kept = store.check_name(name or source.resolve().name)
        _pack(told, source, kept, str(source.resolve()), device)
        if delete_source:
            _delete_weights(told, source)
        return
    wanted = repository or hub.DIFFUSION_GEMMA
    kept = store.check_name(name or wanted.rpartition("/")[2].lower())
    _refuse_if_there(kept)
    downloads = store.models_directory() / DOWNLOADS / kept
    remote = hub.look_up(wanted, revision)
    _say_found(told, remote, kept, hub.missing_bytes(remote, downloads))
    if look:
        return
    _agree(remote, accept_licence)
    _fetch(told, remote, downloads)
    _pack(told, downloads, kept, f"{wanted}@{remote.revision}", device)
    if delete_source:
        shutil.rmtree(downloads)
    else:
        told.say(
            f"the full weights stay in {downloads} ({size_in_words(remote.size)}); "
            "delete them if you like, or use --delete-source"
        )


def _refuse_if_there(name: str) -> None:
    from dg_lsp.models import store

    if store.find(name) is not None:
        raise ArgumentError(
            f"{name} already exists; dg-lsp models lists it. To create it again, delete "
            f"{store.models_directory() / name}, or choose another --name",
            ReasonCode.NAME_TAKEN,
        )


def _say_found(told: Told, remote: Remote, name: str, missing_bytes: int) -> None:
    from dg_lsp.models.checkpoint import size_in_words
    from dg_lsp.models.hub import FREE_LICENCES

    told.say(
        f"{remote.repository}: licence {remote.licence}, {size_in_words(remote.size)}",
        event="found",
        name=name,
        repository=remote.repository,
        licence=remote.licence,
        needs_consent=remote.licence not in FREE_LICENCES,
        bytes=remote.size,
        missing_bytes=missing_bytes,
    )


def _agree(remote: Remote, accepted: bool) -> None:
    """The licence, before anything is downloaded."""
    from dg_lsp.models.hub import FREE_LICENCES

    if accepted or remote.licence in FREE_LICENCES:
        return
    question = f"Do you accept the licence {remote.licence!r} of {remote.repository}?"
    if not (sys.stdin.isatty() and typer.confirm(question, err=True)):
        raise ArgumentError(
            f"{remote.repository} comes under the licence {remote.licence!r}; "
            "read it on the hub and pass --accept-licence",
            ReasonCode.LICENCE,
        )


def _fetch(told: Told, remote: Remote, directory: Path) -> None:
    from dg_lsp.models import hub
    from dg_lsp.models.nf4.packing import check_disk, packed_bytes
    from dg_lsp.models.registry import open_checkpoint

    directory.mkdir(parents=True, exist_ok=True)
    hub.download_small(remote, directory)
    checkpoint = open_checkpoint(directory)
    checkpoint.read_codec()
    packed = packed_bytes(checkpoint.tensors)
    check_disk(directory, hub.missing_bytes(remote, directory) + packed)
    with told.progress("downloading") as count:
        hub.download_weights(remote, directory, count)


def _pack(told: Told, source: Path, name: str, origin: str, device: str | None) -> None:
    from dg_lsp.models import store
    from dg_lsp.models.checkpoint import count_in_words, size_in_words
    from dg_lsp.models.device import choose_device
    from dg_lsp.models.nf4.packing import pack, plan_packing

    _refuse_if_there(name)
    chosen = choose_device(device)
    plan = plan_packing(source)
    target = store.models_directory() / name
    with told.progress("packing") as count:
        manifest = pack(source, target, plan, device=chosen, source_name=origin, told=count)
    told.say(
        f"{name}: {count_in_words(manifest.parameters)} parameters in "
        f"{size_in_words(manifest.weight_bytes)}; use it with --model {name}",
        event="done",
        name=name,
        bytes=manifest.weight_bytes,
    )


def _delete_weights(told: Told, source: Path) -> None:
    from dg_lsp.models.checkpoint import INDEX, list_shards

    for path in (*list_shards(source), source / INDEX):
        path.unlink(missing_ok=True)
    told.say(f"deleted the full weights in {source}")
