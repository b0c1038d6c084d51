"""`dg-lsp eval context`: what definitions and similar text of other files are worth."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from dg_lsp.cli.options import JsonOption, SpanSeedOption


def context(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of source code.")],
    per_kind: Annotated[
        int, typer.Option(metavar="N", min=1, help="Spans of each kind and language.")
    ] = 40,
    seed: SpanSeedOption = 0,
    language: Annotated[
        list[str] | None,
        typer.Option("--language", metavar="ID", help="Only files of this language."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how many of the names that are missing at a cursor the context of other files
    contains.

    Runs no model: cuts spans out of the files of a folder, as `dg-lsp eval repo` does, and
    looks for the names in them in what a model would be shown of the files that are imported
    and of those next to the file.
    """
    from dg_lsp.evaluation.context import OtherFiles, compare
    from dg_lsp.evaluation.data import DataError
    from dg_lsp.evaluation.repository import cut_spans, find_files

    files = [
        file
        for file in find_files(directory).files
        if not language or file.language in language
    ]
    if not files:
        raise DataError(f"no file of {', '.join(language or [])} in {directory}")
    problems = cut_spans(files, per_kind, seed)
    rows = compare(problems, OtherFiles(files))
    if as_json:
        covered = [dataclasses.asdict(row) for row in rows]
        print(json.dumps({"spans": len(problems), "contexts": covered}, indent=1))
        return
    new, own = rows[0].num_new, rows[0].num_own
    print(f"{len(problems)} spans; the document does not show {new} of their names,")
    print(f"{own} of which other files of the folder define.\n")
    print("| context | all names | not in the document | defined elsewhere | characters |")
    print("| --- | --- | --- | --- | --- |")
    for row in rows:
        shares = f"{row.all_names:.1%} | {row.new_names:.1%} | {row.own_names:.1%}"
        print(f"| {row.context} | {shares} | {row.chars:.0f} |")
