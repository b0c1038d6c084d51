"""`dg-lsp doctor`: checks whether everything is in order, and says what to do if not.

Prints each finding as it is made, then fills one span as a test. The checks are in
dg_lsp/diagnosis.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dg_lsp.cli import EXIT_FAILED
from dg_lsp.cli.options import DeviceOption, JsonOption, ModelOption

if TYPE_CHECKING:
    from rich.console import Console

    from dg_lsp.diagnosis.doctor import Choice
    from dg_lsp.diagnosis.findings import Finding
    from dg_lsp.job import Infiller

MARKS = {"ok": ("✓", "green"), "warning": ("!", "bold yellow"), "problem": ("✗", "bold red")}
AREA_CELLS = 10


def doctor(
    as_json: JsonOption = False,
    as_page: Annotated[
        bool, typer.Option("--markdown", help="Print a page in Markdown.")
    ] = False,
    anonymous: Annotated[
        bool,
        typer.Option("--anonymous", help="Print a report for an issue, without paths."),
    ] = False,
    in_process: Annotated[
        bool,
        typer.Option(
            "--in-process", help="Fill the span in this process, not in the shared engine."
        ),
    ] = False,
    no_self_test: Annotated[
        bool,
        typer.Option("--no-self-test", help="Do not import torch and do not fill a span."),
    ] = False,
    model: ModelOption = None,
    device: DeviceOption = None,
    runtime_dir: Annotated[
        Path | None, typer.Option("--runtime-dir", metavar="DIR", hidden=True)
    ] = None,
) -> None:
    """Check whether everything is in order, and say what to do if not.

    Without --model and --device, the settings of the last editor are used. The exit status is
    1 if there is a problem.
    """
    from dg_lsp.diagnosis.doctor import Choice, last_choice
    from dg_lsp.diagnosis.findings import Level, report_json, worst
    from dg_lsp.diagnosis.pages import doctor_page, issue_report

    last = last_choice()
    choice = Choice(model or last.model, device or last.device)
    coming = _findings(choice, runtime_dir, in_process, no_self_test)
    if as_json or as_page or anonymous:
        found = [*coming]
        report = report_json(found)
        if as_json:
            print(json.dumps(report))
        if as_page:
            print(doctor_page(report), end="")
        if anonymous:
            print(issue_report(report, _last_trace()), end="")
    else:
        found = _print(coming)
    if worst(found) is Level.PROBLEM:
        raise typer.Exit(EXIT_FAILED)


def _last_trace() -> dict[str, Any] | None:
    """The last editor that asked, which is the one whose user has trouble."""
    from dg_lsp.diagnosis.journal import read_traces, state_directory

    try:
        return next(iter(read_traces(state_directory(), 1)), None)
    except OSError:
        return None


def _findings(
    choice: Choice, runtime_dir: Path | None, in_process: bool, no_self_test: bool
) -> Iterator[Finding]:
    from dg_lsp.diagnosis.doctor import examine
    from dg_lsp.diagnosis.findings import Level, guarded, warning

    is_broken = False
    for finding in examine(choice, runtime_dir, imports_torch=not no_self_test):
        # The crash might take this process with it.
        is_broken |= finding.area == "torch" and finding.level is Level.PROBLEM
        yield finding
    if is_broken:
        yield warning(
            "self-test", "not run, because torch cannot be used", "repair torch first"
        )
    elif not no_self_test:
        yield from guarded("self-test", lambda: [_self_test(choice, runtime_dir, in_process)])


def _self_test(choice: Choice, runtime_dir: Path | None, in_process: bool) -> Finding:
    from dg_lsp.diagnosis.selftest import self_test

    async def open_here() -> Infiller:
        from dg_lsp.cli.compose import open_infiller

        return open_infiller(choice.model, choice.device).infiller

    async def open_shared() -> Infiller:
        from dg_lsp.cli.compose import model_for_engine
        from dg_lsp.service.process.lifecycle import EngineSpec, SharedEngine

        spec = EngineSpec(model_for_engine(choice.model), choice.device)
        shared = SharedEngine(spec, runtime_dir)
        try:
            await shared.wait_ready()
        except BaseException:
            await shared.close()
            raise
        return shared

    if in_process:
        return asyncio.run(self_test(open_here, "in this process"))
    return asyncio.run(self_test(open_shared, "through the shared engine"))


def _print(coming: Iterator[Finding]) -> list[Finding]:
    from dg_lsp.cli.output import open_console

    console, found = open_console(), []
    # Shown on a terminal only.
    with console.status("looking"):
        for finding in coming:
            found.append(finding)
            _print_finding(console, finding)
    _print_end(console, found)
    return found


def _print_finding(console: Console, finding: Finding) -> None:
    from rich.table import Table
    from rich.text import Text

    from dg_lsp.cli.cells import VISIBLE

    mark, style = MARKS[finding.level.value]
    said = Text(finding.said.translate(VISIBLE))
    if finding.advice:
        said.append(f"\n→ {finding.advice.translate(VISIBLE)}", "cyan")
    if not console.is_terminal:
        # A pipe gets plain words and unwrapped lines.
        for line in said.plain.split("\n"):
            print(f"{finding.level.value:8}{finding.area:{AREA_CELLS}} {line}")
        return
    row = Table.grid(padding=(0, 1))
    row.add_column()
    row.add_column(min_width=AREA_CELLS)
    row.add_column(overflow="fold")
    row.add_row(Text(mark, style), Text(finding.area, "bold"), said)
    console.print(row)


def _print_end(console: Console, found: list[Finding]) -> None:
    from rich.text import Text

    counts = {
        level: sum(finding.level.value == level for finding in found)
        for level in ("problem", "warning")
    }
    said = ", ".join(
        f"{count} {level}{'s' * (count > 1)}" for level, count in counts.items() if count
    )
    console.print(Text(said or "everything is in order", "bold" if said else "bold green"))
