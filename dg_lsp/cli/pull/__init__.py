"""`dg-lsp pull`: gets a checkpoint, from the hub or from this disk, and stores it under a name.

`choice.py` chooses the model if none is named, `verdict.py` judges whether this machine can run
it, and in which form, and `weights.py` gets and stores the weights.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.options import DeviceOption
from dg_lsp.cli.pull.choice import choose
from dg_lsp.cli.pull.verdict import Verdict, judge, judge_remote
from dg_lsp.cli.pull.weights import DOWNLOADS, fetch, store_from_disk
from dg_lsp.cli.told import Told
from dg_lsp.reason import ReasonCode, reason_json

if TYPE_CHECKING:
    from dg_lsp.models.hub import Remote
    from dg_lsp.models.nf4.manifest import Manifest


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
    """Download a model and store it under a name.

    Without a repository, it takes the most capable model that fits this machine; dg-lsp models
    --available lists them. Before anything is downloaded, the command checks whether this
    machine can run the model; --force or --device cpu gets it anyway, for example for another
    machine. For a GPU, weights in 16 bits are packed to 4 bits: each file is packed as soon as
    it is here and then deleted, so the disk needs room for the packed model and two of these
    files. A small masked model for a CPU is kept as it is, because it is faster there.
    Afterwards, --model NAME selects the model, and the best model that fits is used by default.
    If the command is interrupted, run it again to continue.
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
    if repository is None and revision is not None:
        raise ArgumentError("--revision belongs to a repository; name one")
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
    from dg_lsp.models.registry import open_checkpoint

    kept = store.check_name(name or source.resolve().name)
    _refuse_if_there(kept)
    checkpoint = open_checkpoint(source)
    is_int4 = bool(checkpoint.weights.groups)
    size = sum(shard.stat().st_size for shard in list_shards(source)) if is_int4 else 0
    verdict = judge(kept, checkpoint, size, device)
    if look:
        obstacles = [reason_json(one) for one in verdict.obstacles]
        told.say(f"{kept}: {verdict}", event="found", name=kept, obstacles=obstacles)
        return
    _refuse_unless(force, told, kept, verdict)
    _say_done(told, kept, store_from_disk(told, source, kept, verdict))


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

    wanted = choose(told, device) if repository is None else repository_of(repository)
    kept = store.check_name(name or wanted.rpartition("/")[2].lower())
    _refuse_if_there(kept)
    downloads = store.models_directory() / DOWNLOADS / kept
    remote = hub.look_up(wanted, revision)
    if look:
        _say_found(told, remote, kept, judge_remote(kept, remote, device))
        return
    _say_found(told, remote, kept)
    _agree(remote, accept_licence)
    downloads.mkdir(parents=True, exist_ok=True)
    with alone(store.models_directory() / DOWNLOADS / f"{kept}.lock", f"pulling {kept}"):
        hub.download_small(remote, downloads)
        verdict = judge(kept, open_checkpoint(downloads), remote.weight_bytes, device)
        _refuse_unless(force, told, kept, verdict)
        manifest = fetch(told, remote, downloads, kept, verdict, keep=keep)
        if keep and verdict.packs:
            told.say(f"the full weights are in {downloads}")
        else:
            shutil.rmtree(downloads)
    _say_done(told, kept, manifest)


def _refuse_unless(force: bool, told: Told, name: str, verdict: Verdict) -> None:
    if verdict.obstacles and not force:
        raise ArgumentError(
            f"{name}: {verdict}. No weights were downloaded; --force or --device cpu "
            "gets the model anyway, for example for another machine",
            verdict.obstacles[0].code,
        )
    if verdict.obstacles:
        told.say(f"{name}: {verdict}")


def _refuse_if_there(name: str) -> None:
    from dg_lsp.models import store

    if store.find(name) is not None:
        raise ArgumentError(
            f"{name} already exists; dg-lsp models lists it. To create it again, delete "
            f"{store.models_directory() / name}, or choose another --name",
            ReasonCode.NAME_TAKEN,
        )


def _say_found(told: Told, remote: Remote, name: str, verdict: Verdict | None = None) -> None:
    from dg_lsp.models import hub, store
    from dg_lsp.models.checkpoint import size_in_words
    from dg_lsp.models.nf4.packing import packed_shards

    directory = store.models_directory()
    needed = {file.name for file in remote.weights} - packed_shards(directory / name)
    said = f"{remote.repository}: licence {remote.licence}, {size_in_words(remote.size)}"
    told.say(
        said if verdict is None else f"{said}; {verdict}",
        event="found",
        name=name,
        repository=remote.repository,
        licence=remote.licence,
        needs_consent=remote.licence not in hub.FREE_LICENCES,
        bytes=remote.size,
        missing_bytes=hub.missing_bytes(remote, directory / DOWNLOADS / name, needed),
        **({} if verdict is None else {"obstacles": [*map(reason_json, verdict.obstacles)]}),
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
