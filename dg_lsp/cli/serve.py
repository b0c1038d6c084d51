"""`dg-lsp serve`: the language server, over stdio or TCP.

Puts the server and the way to its engine together: the user's one engine process, an engine
elsewhere that the settings name, or a model in this process. Either is started when it is first
needed, beside the session, so that the editor never waits for it. Knows nothing of LSP.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.options import DeviceOption, ModelOption

if TYPE_CHECKING:
    from dg_lsp.server.engine_link import OpenedModel
    from dg_lsp.server.remote_link import RemoteEngine
    from dg_lsp.server.session import Session
    from dg_lsp.server.settings import EngineAccess


def serve(
    stdio: Annotated[
        bool, typer.Option("--stdio", help="Speak over stdin and stdout (the default).")
    ] = False,
    tcp: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Wait for one client at this address."),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    in_process: Annotated[
        bool,
        typer.Option("--in-process", help="Load the model here, not in the shared engine."),
    ] = False,
    log_level: Annotated[
        str, typer.Option(metavar="LEVEL", help="What is written to stderr: debug to error.")
    ] = "warning",
) -> None:
    """Start the language server; editors do this.

    The exit status is 0 after the client has said `shutdown`, and 1 when it just went away.
    """
    if stdio and tcp is not None:
        raise ArgumentError("--stdio and --tcp exclude each other")
    address = None if tcp is None else _parse_address(tcp)
    level = logging.getLevelNamesMapping().get(log_level.upper())
    if level is None:
        raise ArgumentError(f"{log_level!r} is not a log level; try warning or info")
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(stream=sys.stderr, level=level, format=form)
    # Importing thousands of protocol types makes no garbage; looking for it takes a tenth.
    gc.disable()
    from dg_lsp.server import app, transport  # noqa: F401

    gc.freeze()
    gc.enable()
    status = asyncio.run(_serve(address, model, device, in_process))
    if status:
        raise typer.Exit(status)


async def _serve(
    address: tuple[str, int] | None, model: str | None, device: str | None, in_process: bool
) -> int:
    from dg_lsp.server.transport import serve_stdio, serve_tcp

    make = _session_in_process if in_process else _session_with_engine
    session = make(model, device)
    protocol = session.server.protocol
    if address is None:
        with _own_stdout() as stdout:
            return await serve_stdio(protocol, session.close, sys.stdin.buffer, stdout)
    try:
        return await serve_tcp(protocol, session.close, *address, _say_listening)
    except OSError as error:
        raise ArgumentError(
            f"cannot listen on {address[0]}:{address[1]}: {error.strerror or error}"
        ) from error


def _session_with_engine(model: str | None, device: str | None) -> Session:
    from dg_lsp.server.app import create_server
    from dg_lsp.server.remote_link import RemoteLink

    def connect(settings: EngineAccess) -> RemoteEngine:
        from dg_lsp.service.address import parse_address
        from dg_lsp.service.client import HttpInfiller
        from dg_lsp.service.lifecycle import EngineWish, SharedEngine

        if settings.address:
            return HttpInfiller(parse_address(settings.address, settings.token or None))
        # The command line was written for this very start; settings are for all of them.
        wanted = model or settings.model or None
        if wanted is not None and wanted != "bundled" and Path(wanted).is_dir():
            wanted = str(Path(wanted).absolute())
        idle_minutes = settings.idle_minutes or None
        wish = EngineWish(wanted, device or settings.device or None, idle_minutes)
        return SharedEngine(wish)

    link = RemoteLink(connect)
    return create_server(link, on_settings=link.configure)


def _session_in_process(model: str | None, device: str | None) -> Session:
    from dg_lsp.server.app import create_server
    from dg_lsp.server.engine_link import InProcessLink

    def open_model() -> OpenedModel:
        from dg_lsp.cli.compose import open_infiller

        return open_infiller(model, device)

    return create_server(InProcessLink(open_model))


@contextlib.contextmanager
def _own_stdout() -> Iterator[BinaryIO]:
    """The pipe to the client, for us alone: what anything else prints goes to stderr."""
    sys.stdout.flush()
    ours = os.dup(1)
    os.dup2(2, 1)
    try:
        with open(ours, "wb") as stdout:
            yield stdout
    except BrokenPipeError:
        # Something was left to be flushed for a client that is gone.
        pass


def _say_listening(host: str, port: int) -> None:
    print(f"dg-lsp: listening on {host}:{port}", file=sys.stderr, flush=True)


def _parse_address(address: str) -> tuple[str, int]:
    """Read `HOST:PORT`; an IPv6 host stands in brackets."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit():
        raise ArgumentError(f"{address!r} after --tcp is not HOST:PORT")
    if int(port[:6]) > 65535:
        raise ArgumentError(f"port {port} does not exist; ports end at 65535")
    return host, int(port)
