"""Gets the weights of a model and puts them into the store, packed or as they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dg_lsp.cli.told import Told

if TYPE_CHECKING:
    from dg_lsp.cli.pull.verdict import Verdict
    from dg_lsp.models.hub import Remote
    from dg_lsp.models.nf4.manifest import Manifest

DOWNLOADS = ".downloads"


def store_from_disk(told: Told, source: Path, name: str, verdict: Verdict) -> Manifest:
    """Store a checkpoint of this disk, which stays where it is."""
    from dg_lsp.models import store
    from dg_lsp.models.keeping import keep
    from dg_lsp.models.nf4.packing import pack
    from dg_lsp.models.nf4.planning import plan_packing

    target, origin = store.models_directory() / name, str(source.resolve())
    if not verdict.packs:
        with told.progress("checking") as [count]:
            return keep(source, target, source_name=origin, move=False, told=count)
    plan = plan_packing(source)
    with told.progress("packing") as [count]:
        return pack(source, target, plan, device=verdict.device, source_name=origin, told=count)


def fetch(
    told: Told, remote: Remote, downloads: Path, name: str, verdict: Verdict, *, keep: bool
) -> Manifest:
    """Download and store the weights of a repository whose other files are in `downloads`.

    `keep` is whether packed weights stay there.
    """
    if verdict.packs:
        return _fetch_and_pack(told, remote, downloads, name, verdict, keep=keep)
    return _fetch_and_keep(told, remote, downloads, name)


def _fetch_and_keep(told: Told, remote: Remote, downloads: Path, name: str) -> Manifest:
    from dg_lsp.models import hub, store
    from dg_lsp.models.keeping import keep
    from dg_lsp.models.nf4.packing import check_disk
    from dg_lsp.models.nf4.planning import locate
    from dg_lsp.models.registry import open_checkpoint

    # Faults are found before the download.
    checkpoint = open_checkpoint(downloads)
    if checkpoint.weights.groups:
        checkpoint.read_codec()
    else:
        locate(downloads, hub.read_remote_headers(remote))
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
    told: Told, remote: Remote, downloads: Path, name: str, verdict: Verdict, *, keep: bool
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
            device=verdict.device,
            source_name=f"{remote.repository}@{remote.revision}",
            told=packing,
            shards=hub.RemoteShards(remote, downloads, needed, downloading, keeps=keep),
        )
