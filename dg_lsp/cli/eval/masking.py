"""`dg-lsp eval secrets`: measures how many secrets and how many look-alikes are masked."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Annotated

import typer

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.options import JsonOption

CASES = Path(__file__).parents[3] / "tests" / "cases" / "secrets"
_FILES = ("formats.txt", "lookalikes.txt")
_SERVICES = "services.txt"
"""Formats of services that no rule names; a folder of one's own may lack it."""


def secrets(
    cases: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder with the cases.")
    ] = CASES,
    times: Annotated[
        int, typer.Option(metavar="N", min=1, help="Number of samples of each case.")
    ] = 20,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed for the random values.")] = 0,
    code: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also mask the code in this folder, and list the masks."
        ),
    ] = None,
    pattern: Annotated[
        str, typer.Option(metavar="GLOB", help="Which files of --code.")
    ] = "*.py",
    lines: Annotated[
        int, typer.Option(metavar="N", help="Maximum number of lines of --code.")
    ] = 300_000,
    list_misses: Annotated[
        bool, typer.Option("--misses", help="List the cases with wrong results.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how many secrets are masked, and how many look-alikes are masked by mistake.

    The cases are generated from formats. Every second format is held out: the rules were
    written without looking at it.
    """
    from dg_lsp.evaluation.secrets import precision, read_cases, recall, scan, share

    missing = [name for name in _FILES if not (cases / name).is_file()]
    if missing:
        raise ArgumentError(
            f"there is no {missing[0]} in {cases}; name the folder tests/cases/secrets of a "
            "clone of dg-lsp"
        )
    formats, lookalikes = (read_cases(cases / name) for name in _FILES)
    services = read_cases(cases / _SERVICES) if (cases / _SERVICES).is_file() else []
    groups = {
        "secrets masked": recall(formats, times, seed),
        "secrets of unknown services masked": recall(services, times, seed),
        "look-alikes masked": precision(lookalikes, times, seed),
    }
    report: list[dict[str, object]] = []
    for what, tallies in groups.items():
        for half in (False, True):
            chosen = [tally for tally in tallies if tally.case.held_out is half]
            if not chosen:
                continue
            right = share(chosen)
            is_recall = what.startswith("secrets")
            report.append(
                {
                    "what": what,
                    "cases": "held out" if half else "looked at",
                    "formats": len(chosen),
                    "samples": len(chosen) * times,
                    "share": round(right if is_recall else 1 - right, 4),
                    "not_always_right": [
                        tally.case.name for tally in chosen if tally.right < tally.drawn
                    ],
                }
            )
    found = None
    if code is not None:
        files = sorted(code.rglob(pattern))
        random.Random(seed).shuffle(files)
        found = scan(files, lines)
    if as_json:
        masks = found and [[str(file), line] for file, line, _ in found.masked]
        print(json.dumps({"cases": report, "code": found and [found.lines, masks]}, indent=1))
        return
    print("| | formats | | samples | share |\n| --- | --- | --- | --- | --- |")
    for row in report:
        print(
            f"| {row['what']} | {row['cases']} | {row['formats']} | {row['samples']} "
            f"| {row['share']:.1%} |"
        )
    if list_misses:
        for row in report:
            names = row["not_always_right"]
            assert isinstance(names, list)
            print(f"\n{row['what']}, {row['cases']}, not always right: {'; '.join(names)}")
    if found is not None:
        rate = 1000 * len(found.masked) / max(1, found.lines)
        print(f"\n{len(found.masked)} masks in {found.lines} lines: {rate:.3f} per 1000 lines")
        for file, line, text in found.masked:
            print(f"{file}:{line}: {len(text)} characters")
