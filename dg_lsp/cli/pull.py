"""`dg-lsp pull`: gets a checkpoint, from the hub or from this disk, and packs it to 4 bits.

It says how much it will download and whether this machine can run the model before it starts.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.options import DeviceOption
from dg_lsp.cli.told import Told
from dg_lsp.reason import Reason, ReasonCode, reason_json

if TYPE_CHECKING:
    import torch

    from dg_lsp.models.hub import Remote
    from dg_lsp.models.nf4.manifest import Manifest
    from dg_lsp.models.registry import Checkpoint

DOWNLOADS = ".downloads"


def pull(
    repository: Annotated[
        str | None,
        typer.Argument(
            metavar="[REPOSITORY]",
            help="Repository on the hub, or a short name such as dreamon; by default the best "
            "model that fits this machine.",
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
    keep_source: Annotated[
        bool,
        typer.Option("--keep-source", help="Keep downloaded weights after packing them."),
    ] = False,
    delete_source: Annotated[
        bool,
        typer.Option("--delete-source", help="Delete the weights of --from after packing."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print progress as lines of JSON, for programs.")
    ] = False,
    look: Annotated[
        bool,
        typer.Option(
            "--look",
            help="Show the licence, the size and whether this machine can run the model; "
            "download nothing.",
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Continue even if this machine cannot run the model."),
    ] = False,
    device: DeviceOption = None,
) -> None:
    """Download a model, pack it to 4 bits if it is not, and store it under a name.

    The default is DiffusionGemma 26B: about 17 GB to download in ready-made int4, or 52 GB to
    pack to 15 GB if the GPU has less memory. Before anything is downloaded, the command checks
    whether this machine can run the model; --force or --device cpu gets it anyway, for example
    for another machine. Each file of full weights is packed as soon as it is here and then
    deleted, so the disk needs room for the packed model and two of these files. Afterwards,
    --model NAME selects the model, and the best model that fits is used by default. If the
    command is interrupted, run it again to continue.
    """
    told = Told(as_json)
    if source is not None:
        if repository is not None or revision is not None:
            raise ArgumentError(
                "--from takes a directory instead of a repository; give only one"
            )
        _from_disk(told, source, name, device, force=force, look=look)
        if delete_source and not look:
            _delete_weights(told, source)
        return
    _from_hub(
        told,
        repository,
        revision,
        name,
        device,
        accept_licence=accept_licence,
        keep=keep_source,
        force=force,
        look=look,
    )


def _from_disk(
    told: Told, source: Path, name: str | None, device: str | None, *, force: bool, look: bool
) -> None:
    from dg_lsp.models import store
    from dg_lsp.models.checkpoint import list_shards
    from dg_lsp.models.nf4.packing import pack
    from dg_lsp.models.nf4.planning import plan_packing
    from dg_lsp.models.registry import open_checkpoint
    from dg_lsp.models.w4a16.keeping import keep

    kept = store.check_name(name or source.resolve().name)
    _refuse_if_there(kept)
    checkpoint = open_checkpoint(source)
    is_packed = bool(checkpoint.weights.groups)
    plan = None if is_packed else plan_packing(source)
    size = sum(shard.stat().st_size for shard in list_shards(source)) if is_packed else 0
    against = _obstacles(kept, checkpoint, size, device)
    if look:
        obstacles = [reason_json(one) for one in against]
        told.say(f"{kept}: {_verdict(against)}", event="found", name=kept, obstacles=obstacles)
        return
    _refuse_unless(force, told, kept, against)
    target, origin = store.models_directory() / kept, str(source.resolve())
    if plan is None:
        with told.progress("checking") as [count]:
            manifest = keep(source, target, source_name=origin, move=False, told=count)
    else:
        chosen = _packing_device(device)
        with told.progress("packing") as [count]:
            manifest = pack(source, target, plan, device=chosen, source_name=origin, told=count)
    _say_done(told, kept, manifest)


def _from_hub(
    told: Told,
    repository: str | None,
    revision: str | None,
    name: str | None,
    device: str | None,
    *,
    accept_licence: bool,
    keep: bool,
    force: bool,
    look: bool,
) -> None:
    from dg_lsp.diagnosis.catalogue import repository_of
    from dg_lsp.models import hub, store
    from dg_lsp.models.nf4.manifest import alone
    from dg_lsp.models.registry import open_checkpoint

    wanted = (
        _default_repository(told, revision, device, force=force)
        if repository is None
        else repository_of(repository)
    )
    kept = store.check_name(name or _name_of(wanted))
    _refuse_if_there(kept)
    downloads = store.models_directory() / DOWNLOADS / kept
    remote = hub.look_up(wanted, revision)
    if look:
        _say_found(told, remote, kept, _remote_obstacles(remote, kept, device))
        return
    _say_found(told, remote, kept)
    _agree(remote, accept_licence)
    downloads.mkdir(parents=True, exist_ok=True)
    with alone(store.models_directory() / DOWNLOADS / f"{kept}.lock", f"pulling {kept}"):
        hub.download_small(remote, downloads)
        checkpoint = open_checkpoint(downloads)
        against = _obstacles(kept, checkpoint, remote.weight_bytes, device)
        _refuse_unless(force, told, kept, against)
        if checkpoint.weights.groups:
            checkpoint.read_codec()
            manifest = _fetch(told, remote, downloads, kept)
        else:
            manifest = _fetch_and_pack(told, remote, downloads, kept, device, keep=keep)
        if keep and not checkpoint.weights.groups:
            told.say(f"the full weights are in {downloads}")
        else:
            shutil.rmtree(downloads)
    _say_done(told, kept, manifest)


def _default_repository(
    told: Told, revision: str | None, device: str | None, *, force: bool
) -> str:
    """The best model that fits this machine; for another machine, DiffusionGemma.

    Ready-made int4 is a third of the download and needs no packing, but more memory than NF4.
    """
    from dg_lsp.models import hub, store
    from dg_lsp.models.checkpoint import size_in_words
    from dg_lsp.models.formats import READY_MADE

    directory = store.models_directory()
    for begun in (READY_MADE, hub.DIFFUSION_GEMMA):
        name = _name_of(begun)
        if (directory / DOWNLOADS / name).is_dir() and store.find(name) is None:
            told.say(f"{begun} is taken, because its download has begun")
            return begun
    if device is None and not force:
        return _proposed(told)
    remote = hub.look_up(READY_MADE, revision)
    against = _remote_obstacles(remote, _name_of(READY_MADE), device)
    too_large = [one for one in against if one.code is ReasonCode.DOES_NOT_FIT]
    if too_large:
        told.say(
            f"{hub.DIFFUSION_GEMMA} is taken, to be packed to NF4, which needs less memory: "
            f"{too_large[0]}"
        )
        return hub.DIFFUSION_GEMMA
    told.say(
        f"{READY_MADE} is taken: its int4 weights need no packing, and "
        f"{size_in_words(remote.size)} to download instead of 52 GB"
    )
    return READY_MADE


def _proposed(told: Told) -> str:
    from dg_lsp.diagnosis.available import best
    from dg_lsp.models import device as devices

    model = best(devices.look())
    if model is None:
        raise ArgumentError(
            "no model can be used on this machine; dg-lsp models --available says why, and "
            "dg-lsp pull NAME --force gets one anyway",
            ReasonCode.DOES_NOT_FIT,
        )
    told.say(
        f"{model.repository} is taken, the most capable model that fits this machine "
        f"({model.about})"
    )
    return model.repository


def _remote_obstacles(remote: Remote, name: str, device: str | None) -> list[Reason]:
    """The obstacles according to a repository's configuration, without keeping anything."""
    from dg_lsp.models import hub
    from dg_lsp.models.registry import open_checkpoint

    with tempfile.TemporaryDirectory() as directory:
        hub.download_small(remote, Path(directory), lambda file: file == "config.json")
        checkpoint = open_checkpoint(Path(directory))
        return _obstacles(name, checkpoint, remote.weight_bytes, device)


def _name_of(repository: str) -> str:
    return repository.rpartition("/")[2].lower()


def _fetch(told: Told, remote: Remote, downloads: Path, name: str) -> Manifest:
    """Download weights that are kept as they are."""
    from dg_lsp.models import hub, store
    from dg_lsp.models.nf4.packing import check_disk
    from dg_lsp.models.w4a16.keeping import keep

    weights = [file.name for file in remote.weights]
    with told.progress("downloading", "checking") as [downloading, checking]:
        shards = hub.RemoteShards(remote, downloads, weights, downloading, keeps=True)
        check_disk(downloads, shards.disk_bytes(weights))
        for shard in weights:
            shards.get(shard)
        return keep(
            downloads,
            store.models_directory() / name,
            source_name=f"{remote.repository}@{remote.revision}",
            move=True,
            told=checking,
        )


def _fetch_and_pack(
    told: Told, remote: Remote, downloads: Path, name: str, device: str | None, *, keep: bool
) -> Manifest:
    """Download one file of weights after the other, and pack each."""
    from dg_lsp.models import hub, store
    from dg_lsp.models.nf4.packing import pack, packed_shards
    from dg_lsp.models.nf4.planning import plan_packing

    target = store.models_directory() / name
    plan = plan_packing(downloads, hub.read_remote_headers(remote))
    needed = {*plan.shards} - packed_shards(target, plan.fingerprint)
    with told.progress("downloading", "packing") as [downloading, packing]:
        return pack(
            downloads,
            target,
            plan,
            device=_packing_device(device),
            source_name=f"{remote.repository}@{remote.revision}",
            told=packing,
            shards=hub.RemoteShards(remote, downloads, needed, downloading, keeps=keep),
        )


def _obstacles(
    name: str, checkpoint: Checkpoint, packed_size: int, device: str | None
) -> list[Reason]:
    """Why this machine cannot run a model; raises if it cannot even pack it.

    `packed_size` is that of the weights if they are in 4 bits already.
    """
    from dg_lsp.hardware import bitsandbytes_obstacle
    from dg_lsp.models import device as devices
    from dg_lsp.models.nf4.planning import packed_bytes
    from dg_lsp.models.readiness import obstacles

    chosen = None if device is None else devices.choose_device(device)
    machine = devices.look()
    if not checkpoint.weights.groups:
        packed_size = packed_bytes(checkpoint.tensors)
        lacking = bitsandbytes_obstacle(machine)
        if lacking is not None:
            raise ArgumentError(lacking.message, lacking.code)
    return obstacles(name, checkpoint, packed_size, machine, chosen)


def _packing_device(device: str | None) -> torch.device:
    from dg_lsp.models.device import choose_device

    return choose_device(device)


def _refuse_unless(force: bool, told: Told, name: str, against: list[Reason]) -> None:
    if against and not force:
        raise ArgumentError(
            f"{name}: {_verdict(against)}. No weights were downloaded; --force or --device cpu "
            "gets the model anyway, for example for another machine",
            against[0].code,
        )
    if against:
        told.say(f"{name}: {_verdict(against)}")


def _verdict(against: list[Reason]) -> str:
    if not against:
        return "this machine can run it"
    return f"this machine cannot run it well: {'; '.join(map(str, against))}"


def _refuse_if_there(name: str) -> None:
    from dg_lsp.models import store

    if store.find(name) is not None:
        raise ArgumentError(
            f"{name} already exists; dg-lsp models lists it. To create it again, delete "
            f"{store.models_directory() / name}, or choose another --name",
            ReasonCode.NAME_TAKEN,
        )


def _say_found(
    told: Told, remote: Remote, name: str, against: list[Reason] | None = None
) -> None:
    from dg_lsp.models import hub, store
    from dg_lsp.models.checkpoint import size_in_words
    from dg_lsp.models.nf4.packing import packed_shards

    directory = store.models_directory()
    needed = {file.name for file in remote.weights} - packed_shards(directory / name)
    said = f"{remote.repository}: licence {remote.licence}, {size_in_words(remote.size)}"
    told.say(
        said if against is None else f"{said}; {_verdict(against)}",
        event="found",
        name=name,
        repository=remote.repository,
        licence=remote.licence,
        needs_consent=remote.licence not in hub.FREE_LICENCES,
        bytes=remote.size,
        missing_bytes=hub.missing_bytes(remote, directory / DOWNLOADS / name, needed),
        **({} if against is None else {"obstacles": [reason_json(one) for one in against]}),
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


def _say_done(told: Told, name: str, manifest: Manifest) -> None:
    from dg_lsp.models.checkpoint import count_in_words, size_in_words

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
