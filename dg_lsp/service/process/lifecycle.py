"""Finds the user's engine or starts it; only one process starts, however many front ends ask.

The engine holds `NAME.lock` while it runs, so a socket whose lock is free is stale. A front end
that starts one holds `NAME.starting`, and the others wait for it. `NAME.starts` records the
times of starts that ended in a crash: an engine that keeps crashing is started less and less
often. An engine that lost its GPU is started anew once (losses.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from dg_lsp import __version__
from dg_lsp.fed_job import FedJob
from dg_lsp.job import InfillJob
from dg_lsp.reason import ReasonCode
from dg_lsp.service.address import (
    Address,
    engine_name,
    local_address,
    runtime_directory,
)
from dg_lsp.service.client.contact import Contact
from dg_lsp.service.client.infiller import HttpInfiller
from dg_lsp.service.client.refusals import EngineError, UnreachableError
from dg_lsp.service.process import losses
from dg_lsp.service.process.lock import holder, is_held, try_lock
from dg_lsp.service.schema import EngineStatus

PATIENCE_S = 30.0
"""How long a start may take until the socket answers; the model loads after that."""
POLL_S = 0.03
FREE_STARTS = 2
"""Starts within `FORGET_S` without a delay, so that a single crash is not noticeable."""
FORGET_S = 120.0
MAX_BACK_OFF_S = 60.0
REPLACE_S = 10.0
"""How long an engine of another version may take to exit."""

_COMMAND = (sys.executable, "-P", "-m", "dg_lsp")
"""-P: the working directory may be an untrusted project, whose modules must not be run."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """The engine that a front end needs; engines differ by model and device."""

    model: str | None = None
    """Absolute where it is a path: the engine has another working directory."""
    device: str | None = None
    idle_minutes: float | None = 20.0
    """After which the model is unloaded; `None` keeps it."""
    exit_minutes: float | None = 60.0
    """After which the process ends; `None` keeps it."""
    command: tuple[str, ...] = _COMMAND
    """The command that starts dg-lsp."""

    @property
    def name(self) -> str:
        return engine_name(self.model, self.device)


async def ensure_engine(
    spec: EngineSpec,
    directory: Path | None = None,
    patience_s: float = PATIENCE_S,
    contact: Contact | None = None,
) -> Address:
    """The address of a running engine of this version, started if need be.

    `contact` tells others meanwhile how long a running one has not answered. Raises
    `EngineError` (or `AddressError` for the directory) with the reason.
    """
    # Created again if it was removed in the meantime, for example by a logout.
    directory = runtime_directory(directory)
    contact = contact or Contact()
    try:
        return await _find_or_start(spec, directory, patience_s, contact)
    except OSError as error:
        raise EngineError(
            f"the engine cannot be started: {error}", ReasonCode.CANNOT_START
        ) from error
    finally:
        contact.over()


async def _find_or_start(
    spec: EngineSpec, directory: Path, patience_s: float, contact: Contact
) -> Address:
    found = await _running(directory, spec.name, contact)
    if found is not None:
        return found
    deadline = asyncio.get_running_loop().time() + patience_s
    async with _starting(directory, spec.name, deadline):
        found = await _running(directory, spec.name, contact)
        if found is not None:
            return found
        return await _started(spec, directory, deadline, contact)


class SharedEngine:
    """An `Infiller` for front ends: the user's engine, started and reconnected as needed."""

    def __init__(self, spec: EngineSpec, directory: Path | None = None) -> None:
        """Starts nothing yet; the first job does, or `start`. May raise `AddressError`."""
        self._spec, self._given = spec, directory
        # A name that nobody listens on, where there is no address yet.
        address = local_address(runtime_directory(directory), spec.name) or Address(
            "http://127.0.0.1:9"
        )
        self._contact = Contact()
        self._infiller = HttpInfiller(address, reconnect=self._find, why_lost=self._last_words)

    @property
    def address(self) -> Address:
        """Where the engine answers, or last did."""
        return self._infiller.address

    @property
    def silent_s(self) -> float:
        """How long nothing has come from the engine although it was asked."""
        return self._infiller.silent_s

    @property
    def unanswered_s(self) -> float:
        """How long an engine that runs has not answered whether it is there."""
        return self._contact.unanswered_s

    def submit(self, job: InfillJob) -> FedJob:
        """Like `Infiller.submit`; starts the engine first if it is not running."""
        return self._infiller.submit(job)

    def prepare(self, job: InfillJob) -> None:
        """Send a job ahead, if that can be done at once (`PreparingInfiller`)."""
        self._infiller.prepare(job)

    async def close(self) -> None:
        """Disconnect; the engine keeps running for others."""
        await self._infiller.close()

    async def start(self) -> EngineStatus:
        """Make sure that the engine is running. Raises `EngineError` with the reason."""
        await self._infiller.reconnect()
        return await self._infiller.status()

    async def wait_ready(
        self, tell: Callable[[EngineStatus], None] = lambda status: None
    ) -> EngineStatus:
        """Start the engine and wait for the model. Raises `EngineError`."""
        return await self._infiller.wait_ready(tell)

    async def status(self) -> EngineStatus:
        """The engine's status; raises `UnreachableError` if none is running."""
        return await self._infiller.status()

    async def unload(self) -> None:
        """Make the engine unload its model."""
        await self._infiller.unload()

    async def restart(self) -> EngineStatus:
        """Restart the engine, for every window."""
        await stop_engine(runtime_directory(self._given), self._spec.name)
        return await self.start()

    def _last_words(self) -> str:
        with contextlib.suppress(ValueError):
            directory = runtime_directory(self._given)
            return losses.last_words(_complaints(directory, self._spec.name))
        return ""

    async def _find(self) -> Address:
        # Another directory by now, if a logout has removed the one of the session.
        return await ensure_engine(self._spec, self._given, contact=self._contact)


async def stop_engine(directory: Path, name: str, patience_s: float = 10.0) -> bool:
    """Stop an engine, killing it if it does not respond. False if none was running."""
    lock = directory / f"{name}.lock"
    address = local_address(directory, name)
    was_running = is_held(lock)
    if address is not None and was_running:
        with contextlib.suppress(EngineError):
            await shut_down(address)
            await _until_free(lock, patience_s)
    if is_held(lock):
        pid = holder(lock)
        if pid is None:
            raise EngineError(
                f"the engine that holds {lock} does not say its process id",
                ReasonCode.CANNOT_STOP,
            )
        await asyncio.to_thread(_kill, pid)
        if not await _until_free(lock, patience_s):
            raise EngineError(
                f"the engine, process {pid}, cannot be ended", ReasonCode.CANNOT_STOP
            )
    losses.forget(directory, name)
    if was_running:
        (directory / f"{name}.starts").unlink(missing_ok=True)
    return was_running


def _kill(pid: int) -> None:
    import psutil

    # Whether it worked is seen by the lock.
    with contextlib.suppress(psutil.Error):
        psutil.Process(pid).kill()


async def probe(address: Address) -> EngineStatus:
    """The status of the engine at an address. Raises `EngineError` if none answers."""
    async with _client(address) as client:
        return await client.status()


async def shut_down(address: Address) -> None:
    """Ask the engine at an address to stop. Raises `EngineError` if none answers."""
    async with _client(address) as client:
        await client.shutdown()


@contextlib.asynccontextmanager
async def _client(address: Address) -> AsyncIterator[HttpInfiller]:
    client = HttpInfiller(address)
    try:
        yield client
    finally:
        await client.close()


async def _running(directory: Path, name: str, contact: Contact) -> Address | None:
    """The address of an engine that answers; an engine of an older version is stopped."""
    address = local_address(directory, name)
    if address is None or (address.socket is not None and not address.socket.exists()):
        return None
    contact.wait()
    try:
        status = await probe(address)
    except UnreachableError:
        return None
    finally:
        contact.over()
    if status.version == __version__:
        return address
    if is_newer(status.version):
        # Otherwise two windows would keep stopping each other's engines.
        raise EngineError(
            f"the engine is of the newer dg-lsp {status.version} and this is {__version__}; "
            "restart the editor",
            ReasonCode.VERSION_MISMATCH,
        )
    if status.jobs_waiting + status.jobs_running:
        raise EngineError(
            f"an engine of dg-lsp {status.version} is at work and this is {__version__}; "
            "try again later or run `dg-lsp engine stop`",
            ReasonCode.VERSION_MISMATCH,
        )
    await shut_down(address)
    if not await _until_free(directory / f"{name}.lock", REPLACE_S):
        raise EngineError(
            f"the engine of dg-lsp {status.version} does not end", ReasonCode.CANNOT_STOP
        )
    return None


def is_newer(version: str) -> bool:
    """Whether an engine's version is newer than ours; false if it is not valid (PEP 440)."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version) > Version(__version__)
    except InvalidVersion:
        return False


@contextlib.asynccontextmanager
async def _starting(directory: Path, name: str, deadline: float) -> AsyncIterator[None]:
    """Hold the right to start the engine."""
    path = directory / f"{name}.starting"
    loop = asyncio.get_running_loop()
    while (lock := try_lock(path)) is None:
        if loop.time() > deadline:
            raise EngineError(
                "another front end has been starting the engine for too long",
                ReasonCode.CANNOT_START,
            )
        await asyncio.sleep(POLL_S)
    try:
        yield
    finally:
        lock.release()


def _check_losses(directory: Path, name: str) -> None:
    """Raise `EngineError` if a new engine has lost its GPU too."""
    found = losses.recent(directory, name)
    if len(found) >= losses.MOST:
        left_minutes = (found[-losses.MOST].at + losses.FORGET_S - time.time()) / 60
        raise EngineError(
            f"the GPU has refused everything {len(found)} times; the engine's log has the "
            "error; update the driver or use --device cpu; the engine is started again in "
            f"{left_minutes:.0f} min, or after `dg-lsp engine stop`",
            ReasonCode.GPU_LOST,
        )


def _start(spec: EngineSpec, directory: Path) -> subprocess.Popen[bytes]:
    _check_losses(directory, spec.name)
    _count_start(directory / f"{spec.name}.starts")
    command = [*spec.command, "engine", "run", "--runtime-dir", str(directory)]
    for option, value in (
        ("--model", spec.model),
        ("--device", spec.device),
        ("--idle-minutes", spec.idle_minutes),
        ("--exit-minutes", spec.exit_minutes),
    ):
        if value is not None:
            command += [option, str(value)]
    fault = losses.last_words(_complaints(directory, spec.name))
    if fault:
        losses.note_fault(directory, spec.name, fault)
    with open(_complaints(directory, spec.name), "wb") as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            cwd=directory,
            **_detached(),  # type: ignore[call-overload]
        )
    # Whoever starts a process has to take note of its end.
    threading.Thread(target=process.wait, name="dg-lsp engine end", daemon=True).start()
    return process  # type: ignore[no-any-return]


def _detached() -> dict[str, object]:
    """Options of `Popen` for a process that outlives this one and gets none of its signals."""
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return {"creationflags": flags}
    return {"start_new_session": True}


def _count_start(path: Path) -> None:
    """Record a start; raises `EngineError` if the engine crashes too often."""
    now, starts = time.time(), []
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        starts = [one for one in found if isinstance(one, float) and 0 <= now - one < FORGET_S]
    if len(starts) > FREE_STARTS:
        back_off_s = min(2.0 ** (len(starts) - FREE_STARTS), MAX_BACK_OFF_S)
        left_s = starts[-1] + back_off_s - now
        if left_s > 0:
            raise EngineError(
                f"the engine ended {len(starts)} times in {FORGET_S:g} s; "
                f"it is started again in {left_s:.0f} s",
                ReasonCode.CRASHING,
            )
    with contextlib.suppress(OSError):
        path.write_text(json.dumps([*starts, now]), encoding="utf-8")


async def _started(
    spec: EngineSpec, directory: Path, deadline: float, contact: Contact
) -> Address:
    """Start the engine and wait until it answers.

    While another holds the lock, that one is coming up, going down, or it hangs.
    """
    lock = directory / f"{spec.name}.lock"
    loop = asyncio.get_running_loop()
    process: subprocess.Popen[bytes] | None = None
    address = local_address(directory, spec.name)
    while loop.time() < deadline:
        address = local_address(directory, spec.name)
        if address is not None and (address.socket is None or address.socket.exists()):
            with contextlib.suppress(UnreachableError):
                await probe(address)
                return address
        if process is None:
            # One that comes up makes its socket at once, and one that has lost it soon.
            contact.wait()
            if not is_held(lock):
                contact.over()
                process = _start(spec, directory)
        if process is not None and process.poll() is not None:
            said = _last_line(_complaints(directory, spec.name))
            raise EngineError(
                said or f"the engine ended at once, status {process.returncode}",
                ReasonCode.CANNOT_START,
            )
        await asyncio.sleep(POLL_S)
    pid = holder(lock) if process is None else process.pid
    if address is not None and address.socket is not None and not address.socket.exists():
        raise EngineError(
            f"the engine, process {pid}, has lost its socket {address.socket}; "
            "`dg-lsp engine stop` ends it, and the next request starts another",
            ReasonCode.ENGINE_SILENT,
        )
    raise EngineError(
        f"the engine, process {pid}, does not answer; `dg-lsp engine stop` ends it",
        ReasonCode.ENGINE_SILENT,
    )


async def _until_free(lock: Path, patience_s: float) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while is_held(lock):
        if loop.time() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


def _complaints(directory: Path, name: str) -> Path:
    """The stderr of an engine that was started in the background."""
    return directory / f"{name}.stderr"


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip() and "listening at" not in line]
    return said[-1].removeprefix("dg-lsp: ")[:300] if said else ""
