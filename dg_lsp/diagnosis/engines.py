"""Checks the user's engines: the runtime directory, sockets, locks, and what answers there."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from dg_lsp import __version__
from dg_lsp.diagnosis.findings import Finding, ok, one_line, problem, size_of, time_of, warning
from dg_lsp.reason import ReasonCode
from dg_lsp.service.address import (
    IS_WINDOWS,
    AddressError,
    engine_names,
    local_address,
    runtime_directory,
)
from dg_lsp.service.process.lock import holder, is_held
from dg_lsp.service.runtime import WAY_OUT
from dg_lsp.service.schema import EngineStatus

STOP = "`dg-lsp engine stop` stops it; the next request starts another"


def check_engines(directory: Path | None) -> Iterator[Finding]:
    """The runtime directory, and each engine that is running or has run there."""
    try:
        directory = runtime_directory(directory)
    except (AddressError, OSError) as error:
        yield problem("runtime", one_line(error), WAY_OUT)
        return
    yield _runtime(directory)
    names = engine_names(directory)
    looked_at = [finding for name in names for finding in _engine(directory, name)]
    yield from looked_at or [ok("engine", "none is running; the first request starts one")]


def _runtime(directory: Path) -> Finding:
    facts = {"directory": str(directory)}
    said = f"{directory}, yours alone" if not IS_WINDOWS else str(directory)
    if not os.access(directory, os.W_OK | os.X_OK):
        advice = "correct its permissions, or set DG_LSP_RUNTIME_DIR to another directory"
        return problem("runtime", f"{directory} cannot be written to", advice, **facts)
    return ok("runtime", said, **facts)


def _engine(directory: Path, name: str) -> Iterator[Finding]:
    lock = directory / f"{name}.lock"
    address = local_address(directory, name)
    socket = None if address is None else address.socket
    if not is_held(lock):
        if socket is not None and socket.exists():
            said = f"{socket} is left from an engine that was killed"
            advice = "nothing to do: the next engine takes its place"
            yield warning("socket", said, advice, socket=str(socket))
        yield from _crashes(directory, name)
        return
    pid = holder(lock)
    known = {"name": name, "pid": pid}
    if address is None or (socket is not None and not socket.exists()):
        said = f"process {pid} holds {lock} but has no socket"
        yield problem("engine", said, f"wait if it is just starting; otherwise {STOP}", **known)
        return
    if socket is not None and socket.stat().st_mode & 0o077:
        said = f"others may open {socket}"
        yield problem("socket", said, f"chmod 600 {socket}", socket=str(socket))
    try:
        status = asyncio.run(_probe(directory, name))
    except ValueError as error:
        yield problem("engine", f"process {pid}: {one_line(error)}", STOP, **known)
        return
    yield _told(status, str(address))
    yield from _crashes(directory, name)


async def _probe(directory: Path, name: str) -> EngineStatus:
    from dg_lsp.service.process.lifecycle import probe

    address = local_address(directory, name)
    if address is None:
        raise ValueError("its address cannot be read")
    return await probe(address)


def _told(status: EngineStatus, address: str) -> Finding:
    facts = {"address": address, **dataclasses.asdict(status)}
    said = f"process {status.pid}, up {time_of(status.uptime_s)}"
    said += f", {size_of(status.memory_bytes)}"
    if status.model is not None:
        said += f", {status.model.name} on {status.model.device}"
        said += f" ({status.model.runs_as})" if status.model.runs_as else ""
    if status.version != __version__:
        said += f"; it is dg-lsp {status.version}, and this is {__version__}"
        return warning("engine", said, f"restart the editors, or {STOP}", **facts)
    if status.state == "failed":
        advice = f"choose another model, or see {status.log or 'its log'}"
        reason = f"{said}; the model cannot be loaded: {status.error}"
        return problem("engine", reason, advice, **facts)
    if status.model is not None and status.model.notes:
        told = "; ".join(map(str, status.model.notes))
        codes = ", ".join(note.code.value for note in status.model.notes)
        advice = f"it works; docs/troubleshooting.md says more about {codes}"
        return warning("engine", f"{said}, {status.state}; {told}", advice, **facts)
    return ok("engine", f"{said}, {status.state}", **facts)


def _crashes(directory: Path, name: str) -> Iterator[Finding]:
    """Starts that ended in a crash, and losses of the GPU."""
    from dg_lsp.service.process import losses
    from dg_lsp.service.process.lifecycle import FORGET_S

    if lost := losses.recent(directory, name):
        said = f"the engine lost its GPU {len(lost)} times in {time_of(losses.FORGET_S)}"
        ways = dict.fromkeys(one.runs_as for one in lost if one.runs_as)
        said += f", with {' and '.join(ways)}" if ways else ""
        advice = "see its log; update the driver, or use --device cpu"
        code = ReasonCode.GPU_LOST.value
        yield warning("engine", said, advice, losses=len(lost), reason_code=code)
    try:
        starts = json.loads((directory / f"{name}.starts").read_text(encoding="utf-8"))
        recent = [one for one in starts if time.time() - one < FORGET_S]
    except (OSError, ValueError, TypeError):
        return
    # One of them may be the engine that is running now.
    if len(recent) > 1:
        said = f"the engine was started {len(recent)} times in {time_of(FORGET_S)}"
        advice = f"see its log, and {directory / f'{name}.stderr'}"
        yield warning("engine", said, advice, starts=len(recent))
