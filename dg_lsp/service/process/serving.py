"""The engine process: takes its lock, listens, serves, and shuts down cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dg_lsp import __version__
from dg_lsp.reason import CodedError, ReasonCode
from dg_lsp.service.access.certificate import Certificate
from dg_lsp.service.access.entrance import OPEN, Entrance
from dg_lsp.service.access.limits import Accounts
from dg_lsp.service.access.tokens import SingleToken
from dg_lsp.service.address import IS_WINDOWS, Address, AddressError, local_address
from dg_lsp.service.http.app import make_app
from dg_lsp.service.http.commands import Command
from dg_lsp.service.http.metrics import Metrics
from dg_lsp.service.http.request import Access
from dg_lsp.service.http.server import GRACE_S, Server, make_server
from dg_lsp.service.process import losses
from dg_lsp.service.process.host import EndedJob, EngineHost, ModelLoader
from dg_lsp.service.process.lock import holder, note_holder, try_lock
from dg_lsp.service.process.log import log_directory, open_log
from dg_lsp.service.process.presence import Presence, guarded

CLOSE_S = 8
"""Time for the current denoising step; a thread that hangs cannot be ended otherwise."""

CLAIM_S = 0.1
"""A process that checks whether the lock is held has it for a moment."""
LOOK_S = 1.0
"""How soon an engine notices that nobody can find it."""
HANDOVER_S = LOOK_S + CLOSE_S + GRACE_S + 2.0
"""How long an engine waits for the end of one whose files were removed."""
STALL_GRACE_S = 0.5
"""For the word to the client before the process with a hanging model is ended."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listening:
    """How clients can connect to an engine."""

    directory: Path
    """The runtime directory."""
    name: str
    """Of the engine in it, see `engine_name`."""
    tcp: tuple[str, int] | None = None
    """Host and port in place of the Unix socket."""
    entrance: Entrance = OPEN
    """What clients on TCP need."""


@dataclass(frozen=True, slots=True)
class IdleTimes:
    """Idle times after which something happens; `None` means never."""

    unload_s: float | None = None
    """The model is unloaded; the next job loads it."""
    exit_s: float | None = None
    """The process exits; the next job of a front end starts another."""


class AlreadyRunningError(CodedError, ValueError):
    """Another process holds the engine's lock."""

    code = ReasonCode.ALREADY_RUNNING


def serve(
    listening: Listening,
    loader: ModelLoader,
    idle: IdleTimes,
    on_ready: Callable[[Address], None],
    on_tool_job: Callable[[EndedJob], None],
    command: Command,
) -> None:
    """Serve until told to stop. `AddressError`, `AlreadyRunningError` or `OSError` at first.

    `on_tool_job` is told of each job that no front end has sent, when it has ended. `command`
    is run for the user's own command line, and only for those who can open the Unix socket.
    """
    with (
        _claim(listening),
        _listen(listening) as (listener, address, presence),
        _logging(listening) as log_path,
    ):
        if listening.tcp is None and (
            fault := losses.take_fault(listening.directory, listening.name)
        ):
            log.error("before this start, %s", fault)
        log.info("engine %s of dg-lsp %s at %s", listening.name, __version__, address)
        access = _access(listening, address)
        ready = functools.partial(on_ready, address)
        note_loss = functools.partial(_note_loss, listening)
        asyncio.run(
            _serve(
                loader,
                idle,
                listener,
                access,
                listening.entrance.certificate,
                log_path,
                ready,
                on_tool_job,
                presence,
                note_loss,
                # Without a presence, it does not listen on a Unix socket.
                None if presence is None else command,
            )
        )


async def _serve(
    loader: ModelLoader,
    idle: IdleTimes,
    listener: socket.socket,
    access: Access,
    certificate: Certificate | None,
    log_path: str,
    on_ready: Callable[[], None],
    on_tool_job: Callable[[EndedJob], None],
    presence: Presence | None,
    note_loss: Callable[[str], None],
    command: Command | None,
) -> None:
    metrics = Metrics()
    ending, loop = asyncio.Event(), asyncio.get_running_loop()

    def job_ended(ended: EndedJob) -> None:
        metrics.count(ended.job, ended.result)
        if ended.sender is not None:
            on_tool_job(ended)

    def stalled() -> None:
        loop.call_later(STALL_GRACE_S, os._exit, 1)

    is_lost = False

    def gpu_lost(runs_as: str) -> None:
        nonlocal is_lost
        if not is_lost:
            log.error("the GPU refuses everything with %s, so the engine ends", runs_as or "it")
            note_loss(runs_as)
            loop.call_later(STALL_GRACE_S, os._exit, losses.EXIT_STATUS)
        is_lost = True

    host = EngineHost(
        loader,
        idle_unload_s=idle.unload_s,
        idle_exit_s=idle.exit_s,
        on_idle_exit=ending.set,
        on_stall=stalled,
        on_gpu_lost=gpu_lost,
        on_job_end=job_ended,
    )
    app = make_app(
        host, metrics, access=access, stop=ending.set, log_path=log_path, command=command
    )

    def on_signal() -> None:
        loop.call_soon_threadsafe(ending.set)

    server = make_server(app, on_signal, certificate)
    serving = asyncio.create_task(server.serve([listener]))
    host.start_loading()
    on_ready()
    waiting = asyncio.create_task(ending.wait())
    lost = asyncio.create_task(_stay_findable(presence, server))
    await asyncio.wait({serving, waiting, lost}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    lost.cancel()
    log.info("the engine ends")
    # First the jobs, so that their streams end and the server can.
    try:
        async with asyncio.timeout(CLOSE_S):
            await host.close()
    except TimeoutError:
        log.error("the model does not stop; the process is ended")
        os._exit(1)
    server.should_exit = True
    await serving


def _access(listening: Listening, address: Address) -> Access:
    if listening.tcp is None:
        # On Windows, the editors find a token beside the address.
        return Access(None if address.token is None else SingleToken(address.token))
    tokens = listening.entrance.tokens
    # Without a token, only the browser of this machine's user could do harm.
    return Access(tokens, Accounts(listening.entrance.limits), loopback_only=tokens is None)


def _note_loss(listening: Listening, runs_as: str) -> None:
    # Only front ends start engines, and they find none by TCP.
    if listening.tcp is None:
        losses.note(listening.directory, listening.name, runs_as)


async def _stay_findable(presence: Presence | None, server: Server) -> None:
    """Make the socket again when it is gone; return when the lock is.

    Something tidied up the directory, or a logout removed it. Without the lock, front ends
    start another engine, and two of them must not hold the model.
    """
    is_told = False
    while presence is None or presence.has_lock:
        await asyncio.sleep(LOOK_S)
        if presence is None or presence.has_socket or not presence.has_lock:
            continue
        try:
            await server.move_to(presence.open())
        except OSError as error:
            if not is_told:
                log.warning("%s was removed and cannot be made: %s", presence.path, error)
            is_told = True
        else:
            log.warning("%s was removed; it has been made again", presence.path)
            is_told = False
    log.warning("files in %s were removed: nobody finds this engine", presence.path.parent)


@contextlib.contextmanager
def _claim(listening: Listening) -> Iterator[None]:
    """Hold the lock of the name: one socket engine of a kind for each user."""
    if listening.tcp is not None:
        yield
        return
    path = listening.directory / f"{listening.name}.lock"
    lock = try_lock(path, CLAIM_S)
    if lock is None:
        raise AlreadyRunningError(f"an engine already runs with process id {holder(path)}")
    try:
        with guarded(path, HANDOVER_S) as is_alone:
            if not is_alone:
                raise AlreadyRunningError(
                    f"an engine whose files in {path.parent} were removed does not end"
                )
            # On a full disk, the engine runs anyway, without recording its process id.
            with contextlib.suppress(OSError):
                note_holder(path)
            yield
        # An end in good order; a crash leaves the count of starts behind.
        (listening.directory / f"{listening.name}.starts").unlink(missing_ok=True)
    finally:
        lock.release()


@contextlib.contextmanager
def _listen(
    listening: Listening,
) -> Iterator[tuple[socket.socket, Address, Presence | None]]:
    """An open socket, the address to give to clients, and the files by which they find it."""
    if listening.tcp is not None:
        with _tcp_socket(*listening.tcp) as listener:
            is_tls = listening.entrance.certificate is not None
            yield listener, _tcp_address(listener, is_tls=is_tls), None
    elif IS_WINDOWS:
        with _tcp_socket("127.0.0.1", 0) as listener:
            address = replace(_tcp_address(listener), token=secrets.token_urlsafe(32))
            known = listening.directory / f"{listening.name}.json"
            known.unlink(missing_ok=True)
            known.touch(mode=0o600)
            known.write_text(json.dumps({"url": address.url, "token": address.token}))
            try:
                yield listener, address, None
            finally:
                known.unlink(missing_ok=True)
    else:
        found = local_address(listening.directory, listening.name)
        assert found is not None
        assert found.socket is not None
        presence = Presence(listening.directory / f"{listening.name}.lock", found.socket)
        with presence.open() as listener:
            try:
                yield listener, found, presence
            finally:
                presence.leave()


def _tcp_socket(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=_family(host))
    except (OSError, UnicodeError) as error:
        raise AddressError(f"cannot listen on {host}:{port}: {error}") from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _tcp_address(listener: socket.socket, *, is_tls: bool = False) -> Address:
    host, port = listener.getsockname()[:2]
    scheme = "https" if is_tls else "http"
    return Address(
        f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    )


@contextlib.contextmanager
def _logging(listening: Listening) -> Iterator[str]:
    """Log into the file while the engine runs; yields its path."""
    # Two processes must not rotate one file.
    suffix = "" if listening.tcp is None else f"-port-{listening.tcp[1]}"
    path = log_directory() / f"{listening.name}{suffix}.log"
    handler = open_log(path)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    # uvicorn tells of each start and end.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        yield "" if isinstance(handler, logging.NullHandler) else str(path)
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()
