"""The command line: finds the command, runs it and turns what goes wrong into one line.

Each command is a module of its own that is imported when it is asked for (or listed), so that
`dg-lsp --help` and `--version` load no tensor library. Knows nothing of what commands do.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from dg_lsp import __version__

COMMANDS = {
    "infill": "dg_lsp.cli.infill",
    "engine": "dg_lsp.cli.engine",
    "serve": "dg_lsp.cli.serve",
    "doctor": "dg_lsp.cli.doctor",
    "trace": "dg_lsp.cli.trace",
    "bench": "dg_lsp.cli.bench",
    "pull": "dg_lsp.cli.pull",
    "models": "dg_lsp.cli.models",
    "eval": "dg_lsp.cli.eval",
}
"""Command to module; the module has a function or a `Typer` of the same name."""

EXIT_FAILED = 1
EXIT_REFUSED = 2
"""What the user asked for cannot be done as it was asked."""
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""


def main() -> NoReturn:
    """Run the command line of this process and end it with the exit status."""
    sys.exit(run(sys.argv[1:]))


class ArgumentError(ValueError):
    """An argument or option that cannot be followed; the message says why."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status."""
    command = typer.main.get_command(_app)
    try:
        with command.make_context("dg-lsp", list(arguments)) as context:
            command.invoke(context)
        # What is still buffered must fail here, not while the interpreter ends.
        sys.stdout.flush()
    except typer.Exit as end:
        return end.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The status with which rich ends a process whose reader has left.
        _discard_output()
        return EXIT_FAILED
    except typer.TyperException as error:
        _complain(error.format_message())
        return EXIT_REFUSED
    except Exception as error:
        if isinstance(error, _refusals()):
            _complain(str(error))
            return EXIT_REFUSED
        if os.environ.get("DG_LSP_DEBUG"):
            traceback.print_exc()
        else:
            _complain(
                f"{type(error).__name__}: {error} "
                "(run again with DG_LSP_DEBUG=1 for the traceback)"
            )
        return EXIT_FAILED
    return 0


class _Commands(TyperGroup):
    """Looks commands up in `COMMANDS` and imports only the one that is wanted."""

    def list_commands(self, ctx: object) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: object, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        function = getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name)
        if isinstance(function, typer.Typer):
            group = typer.main.get_command(function)
            group.name = cmd_name
            return group
        app = typer.Typer(add_completion=False)
        app.command(cmd_name, help=help_of(function))(function)
        return typer.main.get_command(app)


def help_of(function: Callable[..., None]) -> str:
    """A command's help: the terminal breaks its lines, so those of the docstring go."""
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(one.split()) for one in paragraphs)


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
    """Fill spans of code with a diffusion language model."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(EXIT_REFUSED)


def _refusals() -> tuple[type[Exception], ...]:
    """Errors of this project whose message alone tells the user what to do."""
    from dg_lsp.cli.compose import ModelError
    from dg_lsp.document.position import PositionError
    from dg_lsp.document.source import SourceError
    from dg_lsp.evaluation import EvaluationError

    return ArgumentError, EvaluationError, ModelError, PositionError, SourceError


def _complain(message: str) -> None:
    """Write one line to stderr; file names and model output can hold control characters."""
    line = " ".join(part.strip() for part in message.splitlines() if part.strip())
    shown = "".join(char if char.isprintable() else "\ufffd" for char in line)
    print(f"dg-lsp: {shown}", file=sys.stderr)


def _discard_output() -> None:
    """Let the interpreter's last flush go nowhere, or it would complain after all."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
