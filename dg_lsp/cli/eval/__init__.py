"""`dg-lsp eval`: measures how well a model infills, with one module per group of commands."""

from __future__ import annotations

from collections.abc import Callable

import typer

from dg_lsp.cli.commands import help_of
from dg_lsp.cli.eval import (
    alternatives,
    benchmarks,
    context,
    departures,
    holes,
    masking,
    next_edits,
    pinning,
    research,
)

eval = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Measure how well a model infills."
)
_COMMANDS: dict[str, Callable[..., None]] = {
    "humaneval-infilling": benchmarks.humaneval_infilling,
    "santacoder-fim": benchmarks.santacoder_fim,
    "repo": benchmarks.repo,
    "spans": research.spans,
    "quiet": research.quiet,
    "lengths": research.lengths,
    "seeds": research.seeds,
    "tune": research.tune,
    "context": context.context,
    "departures": departures.departures,
    "pinning": pinning.pinning,
    "holes": holes.holes,
    "next-edits": next_edits.next_edits,
    "alternatives": alternatives.alternatives,
    "secrets": masking.secrets,
}
for name, function in _COMMANDS.items():
    eval.command(name, help=help_of(function))(function)
