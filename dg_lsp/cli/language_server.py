"""Connects the language server to its engine and runs both until the session ends.

The engine is the user's shared engine process, an engine elsewhere that the settings name, or
a model in this process. It is started when it is first needed, in the background, so that the
editor never waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from dg_lsp.cli import ArgumentError, streams
from dg_lsp.reason import CodedError, ReasonCode

if TYPE_CHECKING:
    from dg_lsp.diagnosis.journal import Journal
    from dg_lsp.job import OpenedModel
    from dg_lsp.server.link.remote_link import RemoteEngine
    from dg_lsp.server.recorder import Recorder
    from dg_lsp.server.session import Session
    from dg_lsp.server.settings import EngineAccess

log = logging.getLogger(__name__)

EXAMINE_S = 120.0
"""The first import of torch can take long if the disk is slow."""
MAX_UNREAD_LOG_BYTES = 1_000_000
LOG_FLUSH_S = 0.5
SWITCH_S = 0.0005
"""How long a thread runs while another one waits. Reading files and parsing happen in threads,
and a keystroke passes several others on its way; by Python's default, each would cost 5 ms."""

GARBAGE = 20_000
"""After so many new objects, garbage is collected even if no job has been sent meanwhile; while
the engine works, it is collected anyway (`server/suggest/jobs.py`), and delays no key then."""


def run_server(
    address: tuple[str, int] | None = None,
    model: str | None = None,
    device: str | None = None,
    in_process: bool = False,
    level: int = logging.WARNING,
) -> int:
    """Serve one client over stdio, or at the address; the exit status."""
    if address is None:
        streams.check_both()
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    stderr = _Stderr()
    logging.basicConfig(stream=stderr, level=level, format=form)
    # Importing thousands of protocol types creates no garbage, but collecting takes a tenth
    # of the time.
    gc.disable()
    from dg_lsp.server import app  # noqa: F401
    from dg_lsp.server.rpc import transport  # noqa: F401

    gc.freeze()
    gc.set_threshold(GARBAGE)
    gc.enable()
    sys.setswitchinterval(SWITCH_S)
    try:
        return asyncio.run(_serve(address, model, device, in_process))
    finally:
        stderr.end()


class _Stderr(io.TextIOBase):
    """The log's way to an editor, which need not read it: then lines are lost."""

    def __init__(self) -> None:
        from dg_lsp.server.rpc.pipe_writer import PipeWriter

        self._writer = PipeWriter(sys.stderr.fileno(), MAX_UNREAD_LOG_BYTES)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._writer.write(text.encode(errors="backslashreplace"))
        return len(text)

    def end(self) -> None:
        """Write what is left; later lines are lost."""
        self._writer.flush(LOG_FLUSH_S)


async def _serve(
    address: tuple[str, int] | None, model: str | None, device: str | None, in_process: bool
) -> int:
    from dg_lsp.diagnosis.journal import Journal, state_directory
    from dg_lsp.server.rpc.transport import serve_stdio, serve_tcp

    journal = Journal(state_directory())
    make = _session_in_process if in_process else _session_with_engine
    session = make(model, device, journal)
    session.recorder = _recorder()
    protocol = session.server.protocol
    try:
        if address is None:
            with _own_stdout() as stdout:
                return await serve_stdio(protocol, session.close, sys.stdin.buffer, stdout)
        return await serve_tcp(protocol, session.close, *address, _say_listening)
    except OSError as error:
        if address is None:
            raise
        raise ArgumentError(
            f"cannot listen on {address[0]}:{address[1]}: {error.strerror or error}",
            ReasonCode.BAD_ADDRESS,
        ) from error
    finally:
        journal.close()


def _session_with_engine(model: str | None, device: str | None, journal: Journal) -> Session:
    from dg_lsp.server.app import create_server
    from dg_lsp.server.link.fallback import FallbackEngine
    from dg_lsp.server.link.remote_link import RemoteLink

    def connect(settings: EngineAccess) -> RemoteEngine:
        from dg_lsp.cli.compose import model_for_engine
        from dg_lsp.service.process.lifecycle import EngineSpec, SharedEngine

        # The command line was written for this very start; settings are for all of them.
        wanted = model_for_engine(model or settings.model or None)
        idle_minutes = settings.idle_minutes or None
        spec = EngineSpec(wanted, device or settings.device or None, idle_minutes)
        if not settings.address:
            return SharedEngine(spec)
        remote = _engine_elsewhere(settings)
        return FallbackEngine(remote, SharedEngine(spec)) if settings.local_fallback else remote

    link = RemoteLink(connect)
    examine = functools.partial(_examine, model, device)
    return create_server(link, on_settings=link.configure, journal=journal, examine=examine)


def _engine_elsewhere(settings: EngineAccess) -> RemoteEngine:
    """What answers at the address of the settings: an engine, or a server of another kind."""
    from dg_lsp.service.address import client_token, parse_address
    from dg_lsp.service.backend.forms import split_kind
    from dg_lsp.service.backend.infiller import BackendInfiller
    from dg_lsp.service.client.infiller import HttpInfiller

    kind, url = split_kind(settings.address)
    token = client_token(settings.token, settings.token_file)
    address = parse_address(url, token, settings.fingerprint)
    if kind is None:
        return HttpInfiller(address)
    return BackendInfiller(kind, address, settings.backend_model)


def _session_in_process(model: str | None, device: str | None, journal: Journal) -> Session:
    from dg_lsp.server.app import create_server
    from dg_lsp.server.link.engine_link import InProcessLink

    def open_model() -> OpenedModel:
        from dg_lsp.cli.compose import open_infiller

        return open_infiller(model, device)

    examine = functools.partial(_examine, model, device)
    return create_server(InProcessLink(open_model), journal=journal, examine=examine)


async def _examine(model: str | None, device: str | None) -> dict[str, Any]:
    """The findings of `dg-lsp doctor`, run in a separate process because it imports torch."""
    command = [sys.executable, "-P", "-m", "dg_lsp", "doctor", "--json", "--no-self-test"]
    for option, value in (("--model", model), ("--device", device)):
        command += [] if value is None else [option, value]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), EXAMINE_S)
        report: dict[str, Any] = json.loads(said)
    except (TimeoutError, ValueError) as error:
        raise CodedError("dg-lsp doctor did not answer; run it in a terminal") from error
    finally:
        if process.returncode is None:
            process.kill()
    return report


@contextlib.contextmanager
def _own_stdout() -> Iterator[BinaryIO]:
    """The pipe to the client, reserved for us: whatever else is printed goes to stderr."""
    sys.stdout.flush()
    ours = os.dup(1)
    os.dup2(2, 1)
    try:
        with open(ours, "wb") as stdout:
            yield stdout
    except BrokenPipeError:
        # Unflushed output for a client that is gone.
        pass


def _recorder() -> Recorder | None:
    """What records typing sessions, if the user has switched that on."""
    from dg_lsp.diagnosis import recordings
    from dg_lsp.diagnosis.journal import state_directory

    state = state_directory()
    if not recordings.is_recording(state):
        return None
    from dg_lsp.server.recorder import Edit, Recorder

    def keep(language: str, text: str, edits: list[Edit]) -> None:
        made = tuple(recordings.RecordedEdit(*edit) for edit in edits)
        try:
            recordings.keep(state, recordings.Recording(language, text, made))
        except OSError as error:
            log.warning("a recording cannot be written: %s", error.strerror or error)

    return Recorder(keep, recordings.MOST_EDITS, recordings.MOST_CHARS)


def _say_listening(host: str, port: int) -> None:
    print(f"dg-lsp: listening on {host}:{port}", file=sys.stderr, flush=True)
