"""`dg-lsp pull`: get a checkpoint, from the hub or from this disk, and pack it to 4 bits.

Says what it will take before it takes it. Knows nothing of formats or of the hub's protocol.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.options import DeviceOption

if TYPE_CHECKING:
    from dg_lsp.models.hub import Remote

DOWNLOADS = ".downloads"


def pull(
    repository: Annotated[
        str | None,
        typer.Argument(
            metavar="[REPOSITORY]", help="On the hub; google/diffusiongemma-26B-A4B-it."
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="A checkpoint that is on disk already."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What --model will call it.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(metavar="REVISION", help="A branch, tag or commit.")
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Agree to the licence of the weights.")
    ] = False,
    delete_source: Annotated[
        bool,
        typer.Option(
            "--delete-source", help="Delete the full weights once the packed ones are there."
        ),
    ] = False,
    device: DeviceOption = None,
) -> None:
    """Get a model, pack it to 4 bits, and keep it under a name.

    Without arguments that is DiffusionGemma 26B: about 52 GB to download, 15 GB to keep.
    Afterwards --model NAME works everywhere, and the best model is used without being named.
    After an interruption the same command goes on, without what is there already.
    """
    from dg_lsp.models import hub, store
    from dg_lsp.models.checkpoint import CheckpointError, size_in_words

    if source is not None and (repository is not None or revision is not None):
        raise ArgumentError("--from takes a directory instead of a repository; give only one")
    try:
        if source is not None:
            kept = store.check_name(name or source.resolve().name)
            _pack(source, kept, str(source.resolve()), device)
            if delete_source:
                _delete_weights(source)
            return
        wanted = repository or hub.DIFFUSION_GEMMA
        kept = store.check_name(name or wanted.rpartition("/")[2].lower())
        _refuse_if_there(kept)
        downloads = store.models_directory() / DOWNLOADS / kept
        remote = hub.look_up(wanted, revision)
        _agree(remote, accept_licence)
        _fetch(remote, downloads)
        _pack(downloads, kept, f"{wanted}@{remote.revision}", device)
        if delete_source:
            shutil.rmtree(downloads)
        else:
            _say(
                f"the full weights stay in {downloads} ({size_in_words(remote.size)}); "
                "delete them if you like, or use --delete-source"
            )
    except CheckpointError as error:
        raise ArgumentError(str(error)) from error


def _refuse_if_there(name: str) -> None:
    from dg_lsp.models import store

    if store.find(name) is not None:
        raise ArgumentError(
            f"{name} is there already; dg-lsp models lists it. To make it anew, delete "
            f"{store.models_directory() / name}, or choose another --name"
        )


def _agree(remote: Remote, accepted: bool) -> None:
    """The licence, before anything is downloaded."""
    from dg_lsp.models.checkpoint import size_in_words
    from dg_lsp.models.hub import FREE_LICENCES

    _say(f"{remote.repository}: licence {remote.licence}, {size_in_words(remote.size)}")
    if accepted or remote.licence in FREE_LICENCES:
        return
    question = f"Do you agree to the licence {remote.licence!r} of {remote.repository}?"
    if not (sys.stdin.isatty() and typer.confirm(question, err=True)):
        raise ArgumentError(
            f"{remote.repository} comes under the licence {remote.licence!r}; "
            "read it on the hub and say --accept-licence"
        )


def _fetch(remote: Remote, directory: Path) -> None:
    from dg_lsp.models import hub
    from dg_lsp.models.checkpoint import read_config
    from dg_lsp.models.packing import check_disk, packed_bytes
    from dg_lsp.models.quantization import expected_shapes, skeleton

    directory.mkdir(parents=True, exist_ok=True)
    hub.download_small(remote, directory)
    packed = packed_bytes(expected_shapes(skeleton(read_config(directory))))
    check_disk(directory, hub.missing_bytes(remote, directory) + packed)
    with _progress("downloading") as told:
        hub.download_weights(remote, directory, told)


def _pack(source: Path, name: str, origin: str, device: str | None) -> None:
    from dg_lsp.models import store
    from dg_lsp.models.checkpoint import size_in_words
    from dg_lsp.models.device import choose_device
    from dg_lsp.models.packing import pack, plan_packing

    _refuse_if_there(name)
    chosen = choose_device(device)
    plan = plan_packing(source)
    target = store.models_directory() / name
    with _progress("packing") as told:
        manifest = pack(source, target, plan, device=chosen, source_name=origin, told=told)
    _say(
        f"{name}: {manifest.parameters / 1e6:.1f} million parameters in "
        f"{size_in_words(manifest.weight_bytes)}; use it with --model {name}"
    )


def _delete_weights(source: Path) -> None:
    from dg_lsp.models.checkpoint import INDEX, list_shards

    for path in (*list_shards(source), source / INDEX):
        path.unlink(missing_ok=True)
    _say(f"deleted the full weights in {source}")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar by bytes on a terminal; elsewhere a line at every tenth."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from dg_lsp.models.checkpoint import size_in_words

    console = Console(stderr=True, highlight=False, markup=False)
    if not console.is_terminal:
        said = -1

        def tell(done: int, total: int) -> None:
            nonlocal said
            tenth = 10 * done // max(1, total)
            if tenth > said:
                said = tenth
                _say(f"{what}: {size_in_words(done)} of {size_in_words(total)}")

        yield tell
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _say(line: str) -> None:
    print(f"dg-lsp: {line}", file=sys.stderr, flush=True)
