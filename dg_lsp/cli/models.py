"""`dg-lsp models`: lists the installed models, their size, and whether they are intact."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.output import open_console
from dg_lsp.reason import CodedError, ReasonCode

if TYPE_CHECKING:
    from dg_lsp.models.store import StoredModel


def models(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each model.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all files and compare their checksums.")
    ] = False,
    available: Annotated[
        bool,
        typer.Option("--available", help="List what pull can download, and whether it fits."),
    ] = False,
) -> None:
    """List the models on this machine, with the default model first."""
    if available:
        from dg_lsp.cli.available import print_available

        print_available(as_json=as_json)
        return
    from dg_lsp.models import store
    from dg_lsp.models.checkpoint import CheckpointError
    from dg_lsp.models.nf4 import manifest

    found = store.list_models()
    damage: dict[str, str] = {}
    for model in found if verify else ():
        try:
            manifest.verify(model.directory, model.manifest, anew=True)
        except CheckpointError as error:
            damage[model.name] = str(error)
    rows = [_row(model, damage) for model in (store.list_models() if verify else found)]
    rows.append(_bundled_row())
    _mark_default(rows)
    if as_json:
        for row in rows:
            print(json.dumps(row))
    else:
        _print_table(rows)
        for name in store.unfinished():
            print(
                f"{name}: not finished; run the same dg-lsp pull again to continue",
                file=sys.stderr,
            )
        if not found:
            from dg_lsp.diagnosis.available import check_available

            for finding in check_available():
                print(f"dg-lsp: {finding.said}", file=sys.stderr)
    if damage:
        raise ArgumentError("; ".join(damage.values()), ReasonCode.BAD_CHECKPOINT)


def _row(model: StoredModel, damage: dict[str, str]) -> dict[str, Any]:
    manifest = model.manifest
    return {
        "name": model.name,
        "parameters": manifest.parameters,
        "bytes": manifest.weight_bytes,
        "precision": manifest.precision,
        "checksum": "wrong" if model.name in damage else model.integrity.value,
        "source": manifest.source,
        "path": str(model.directory),
        "default": False,
    }


def _bundled_row() -> dict[str, Any]:
    from dg_lsp.models import store
    from dg_lsp.models.checkpoint import WEIGHTS, count_parameters

    directory = store.BUNDLED_DIRECTORY
    return {
        "name": store.BUNDLED,
        "parameters": count_parameters(directory / WEIGHTS),
        "bytes": (directory / WEIGHTS).stat().st_size,
        "precision": "float16",
        "checksum": "ok",
        "source": "dg-lsp",
        "path": str(directory),
        "default": False,
    }


def _mark_default(rows: list[dict[str, Any]]) -> None:
    """The model that runs without --model; the bundled one if another program fills the GPU."""
    from dg_lsp.models import store

    name = store.BUNDLED
    # Looking for a GPU and planning take a moment, and matter only if there is a choice.
    if len(rows) > 1:
        from dg_lsp.models.loading import choose_model

        with contextlib.suppress(CodedError):
            name = choose_model(*_device_in_sight())[0].name
    for row in rows:
        row["default"] = row["name"] == name
    rows.sort(key=lambda row: not row["default"])


def _device_in_sight() -> tuple[bool, int]:
    """Whether a model would run on a GPU, and how much memory it may use."""
    from dg_lsp.models import device as devices
    from dg_lsp.models.memory import default_budget

    chosen, _ = devices.default_device(devices.look())
    return chosen.type == "cuda", default_budget(chosen)


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from dg_lsp.models.checkpoint import count_in_words, size_in_words

    table = Table(box=None, pad_edge=False)
    for title in ("model", "parameters", "size", "precision", "checksum", "from"):
        justify: Literal["left", "right"] = (
            "right" if title in ("parameters", "size") else "left"
        )
        table.add_column(title, justify=justify, overflow="fold")
    for row in rows:
        table.add_row(
            row["name"] + (" *" if row["default"] else ""),
            count_in_words(row["parameters"]),
            size_in_words(row["bytes"]),
            row["precision"],
            row["checksum"],
            row["source"],
        )
    console = open_console()
    console.print(table)
    console.print("* is used without --model")
