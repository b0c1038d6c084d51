"""Finds the command that a command line names, imports it and runs it."""

from __future__ import annotations

import importlib
import inspect
import shutil
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dg_lsp import __version__
from dg_lsp.cli import EXIT_REFUSED, ArgumentError
from dg_lsp.interrupts import EXIT_INTERRUPTED

LEAST_BOX_COLUMNS = 72
COMMANDS = {
    "infill": "dg_lsp.cli.infill",
    "engine": "dg_lsp.cli.engine",
    "token": "dg_lsp.cli.token",
    "serve": "dg_lsp.cli.serve",
    "doctor": "dg_lsp.cli.doctor",
    "trace": "dg_lsp.cli.trace",
    "stats": "dg_lsp.cli.stats",
    "record": "dg_lsp.cli.record",
    "bench": "dg_lsp.cli.bench",
    "pull": "dg_lsp.cli.pull",
    "models": "dg_lsp.cli.models",
    "eval": "dg_lsp.cli.eval",
}
"""From the command to its module, which has a function or a `Typer` of the same name."""


def run_command(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status; raises the command's errors."""
    command = _readable(typer.main.get_command(_app))
    try:
        with command.make_context(
            "dg-lsp", list(arguments), terminal_width=_narrow_columns()
        ) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except typer.Abort:
        return EXIT_INTERRUPTED
    except typer.TyperException as error:
        raise ArgumentError(error.format_message()) from error
    return 0


class _Commands(TyperGroup):
    """Looks commands up in `COMMANDS` and imports only the one that is run."""

    def list_commands(self, ctx: object) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: object, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        function = getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name)
        if isinstance(function, typer.Typer):
            group: Any = typer.main.get_command(function)
            group.name = cmd_name
            for inner in group.commands.values():
                inner.help = _unbroken(inner.help or "")
            return _readable(group)
        app = typer.Typer(add_completion=False)
        app.command(cmd_name, help=help_of(function))(function)
        return _readable(typer.main.get_command(app))


def _narrow_columns() -> int | None:
    """The width of a terminal that is too narrow for boxes; `None` for a wider one."""
    columns = shutil.get_terminal_size().columns
    return columns if columns < LEAST_BOX_COLUMNS else None


def _readable(command: Any) -> Any:
    """Prints help as plain text on a narrow terminal, where boxes cut off option names.

    On others, what is in brackets is text, not markup: `pip install 'dg-lsp[bench]'`.
    """
    if _narrow_columns() is not None:
        command.rich_markup_mode = None
        command.short_help = (command.help or "").partition("\n\n")[0]
    else:
        for one in (command, *command.params):
            one.help = _as_markup(getattr(one, "help", None))
    for inner in getattr(command, "commands", {}).values():
        _readable(inner)
    return command


def _as_markup(text: str | None) -> str | None:
    from rich.markup import escape

    return None if text is None else escape(text)


def help_of(function: Callable[..., None]) -> str:
    """A command's help without the docstring's line breaks; the terminal wraps it."""
    return _unbroken(inspect.cleandoc(function.__doc__ or ""))


def _unbroken(text: str) -> str:
    return "\n\n".join(" ".join(one.split()) for one in text.split("\n\n"))


_app = typer.Typer(cls=_Commands, name="dg-lsp", add_completion=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dg-lsp {__version__}")
        raise typer.Exit


@_app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Fill in and rewrite code with a diffusion language model."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(EXIT_REFUSED)
