"""`dg-lsp serve`: the options of the language server (language_server.py)."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.language_server import run_server
from dg_lsp.cli.options import DeviceOption, ModelOption


def serve(
    stdio: Annotated[
        bool, typer.Option("--stdio", help="Use stdin and stdout (the default).")
    ] = False,
    tcp: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Wait for one editor at this address of the loopback interface.",
        ),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    in_process: Annotated[
        bool,
        typer.Option(
            "--in-process", help="Load the model in this process, not in the shared engine."
        ),
    ] = False,
    log_level: Annotated[
        str, typer.Option(metavar="LEVEL", help="Log level on stderr, from debug to error.")
    ] = "warning",
) -> None:
    """Start the language server; editors do this.

    The exit status is 0 if the client sent `shutdown`, and 1 if it just disconnected.
    """
    if stdio and tcp is not None:
        raise ArgumentError("--stdio and --tcp cannot be combined")
    address = None if tcp is None else _parse_address(tcp)
    level = logging.getLevelNamesMapping().get(log_level.upper())
    if level is None:
        raise ArgumentError(f"{log_level!r} is not a log level; try warning or info")
    status = run_server(address, model, device, in_process, level)
    if status:
        raise typer.Exit(status)


def _parse_address(address: str) -> tuple[str, int]:
    from dg_lsp.service.address import AddressError, is_loopback, parse_listen

    try:
        host, port = parse_listen(address)
    except AddressError as error:
        raise ArgumentError(f"--tcp: {error}") from error
    if not is_loopback(host):
        raise ArgumentError(
            f"--tcp: {host} is not this machine alone, and the port has no token; use "
            "127.0.0.1, through an SSH tunnel if the editor is elsewhere"
        )
    return host, port
