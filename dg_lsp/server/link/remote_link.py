"""An `EngineLink` to an engine in another process.

Caches the engine's last status, so that nobody has to wait for it, and polls it from time to
time: the engine unloads its model when idle, and other windows load the model or stop the
engine. A function that knows the settings makes the connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from dg_lsp.document.request import CHARS_PER_TOKEN
from dg_lsp.job import Infiller, InfillJob, JobHandle, ModelInfo
from dg_lsp.reason import Reason, ReasonCode, reason_of
from dg_lsp.server.link.engine_link import (
    EnginePhase,
    EngineState,
    EngineUnavailableError,
    failed,
)
from dg_lsp.server.settings import EngineAccess, Settings

log = logging.getLogger(__name__)

FOLLOW_S = 10.0
"""How old the cached status of an idle engine may be; polling takes a millisecond."""
SILENT_S = 2.0
"""An engine that works sends a sign of life every second."""
GONE = (
    ReasonCode.NO_ENGINE,
    ReasonCode.UNREACHABLE,
    ReasonCode.ENGINE_SILENT,
    ReasonCode.ENGINE_LOST,
    ReasonCode.ENGINE_CLOSED,
)
"""Failures after which the engine may not be there any more."""

LOAD_FAILED = Reason(ReasonCode.LOAD_FAILED, "the model cannot be loaded")


class RemoteStatus(Protocol):
    """An engine's status (`service.schema.EngineStatus`)."""

    @property
    def state(self) -> str:
        """unloaded, loading, ready or failed"""
        ...

    @property
    def error(self) -> Reason | None: ...
    @property
    def loading_percent(self) -> int | None: ...
    @property
    def model(self) -> ModelInfo | None: ...


class RemoteEngine(Protocol):
    """An engine elsewhere: a `SharedEngine` of `service.process`, or an `HttpInfiller`.

    Every failure is a `ValueError` with a one-line message.
    """

    @property
    def silent_s(self) -> float:
        """How long nothing has come from it although it was asked."""
        ...

    @property
    def unanswered_s(self) -> float:
        """How long it has not answered whether it is there; 0 once it has."""
        ...

    def submit(self, job: InfillJob) -> JobHandle: ...

    async def close(self) -> None: ...

    async def wait_ready(self, tell: Callable[[RemoteStatus], None]) -> RemoteStatus:
        """Start the engine if it is ours to start, and wait for its model."""
        ...

    async def status(self) -> RemoteStatus:
        """The engine's current status; does not start one."""
        ...

    async def unload(self) -> None: ...


class RemoteLink:
    """The connection to the engine that the settings name."""

    def __init__(
        self, connect: Callable[[EngineAccess], RemoteEngine], follow_s: float = FOLLOW_S
    ) -> None:
        """`connect` neither starts nor waits for anything; its `ValueError` says what is
        wrong."""
        self._connect, self._follow_s = connect, follow_s
        self._settings = EngineAccess()
        self._engine: RemoteEngine | None = None
        self._state = EngineState(EnginePhase.IDLE)
        self._silence: Reason | None = None
        """What was wrong when it was asked last, if it did not answer."""
        self._listeners: list[Callable[[EngineState], None]] = []
        self._readying: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> EngineState:
        return self._state

    def watch(self, listener: Callable[[EngineState], None]) -> None:
        self._listeners.append(listener)

    def configure(self, settings: Settings) -> None:
        """Use another engine from the next job on, if the settings name another one."""
        if settings.engine == self._settings:
            return
        self._settings = settings.engine
        self._silence = None
        self._forget()
        self._become(EngineState(EnginePhase.IDLE))

    async def infiller(self) -> Infiller:
        if self._engine is not None and self._state.phase is EnginePhase.READY:
            return self._engine
        if self._readying is None:
            self._readying = asyncio.create_task(self._make_ready())
            self._readying.add_done_callback(self._is_ready)
        readying = self._readying
        try:
            await asyncio.shield(readying)
        except asyncio.CancelledError:
            # Either the caller gives up, or the settings changed in the meantime.
            if not readying.cancelled():
                raise
        if readying.cancelled() or self._engine is None:
            raise EngineUnavailableError(
                "the settings name another engine now", ReasonCode.SETTINGS_CHANGED
            )
        return self._engine

    def silence(self) -> Reason | None:
        if self._engine is None:
            return self._silence
        # While it starts and imports torch, it may be busy for longer, once it is there.
        is_ready = self._state.phase is EnginePhase.READY
        silent_s = self._engine.silent_s if is_ready else self._engine.unanswered_s
        if silent_s < SILENT_S:
            return self._silence
        said = f"the engine has not answered for {silent_s:.0f} s"
        if not self._settings.address:
            said += "; `dg-lsp engine stop` ends it"
        return Reason(ReasonCode.ENGINE_SILENT, said)

    def job_failed(self, reason: Reason) -> None:
        """The next job looks first whether there is an engine."""
        if reason.code is ReasonCode.ENGINE_SILENT:
            self._fail(reason)
        elif reason.code in GONE and self._state.phase is EnginePhase.READY:
            self._become(EngineState(EnginePhase.IDLE, model=self._state.model))

    def measure(self, text: str) -> int:
        return len(text) // CHARS_PER_TOKEN

    async def restart(self) -> None:
        restart: Any = getattr(self._engine_now(), "restart", None)
        if restart is None:
            raise EngineUnavailableError(
                "an engine on another machine cannot be restarted from here",
                ReasonCode.REMOTE_ENGINE,
            )
        self._become(EngineState(EnginePhase.STARTING, "restarting the engine"))
        try:
            await restart()
        except (ValueError, OSError) as error:
            unavailable = _unavailable(error)
            self._fail(unavailable.reason)
            raise unavailable from error
        await self.infiller()

    async def unload(self) -> None:
        try:
            await self._engine_now().unload()
        except (ValueError, OSError) as error:
            raise _unavailable(error) from error
        self._become(EngineState(EnginePhase.IDLE, model=self._state.model))

    async def close(self) -> None:
        self._forget()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def _engine_now(self) -> RemoteEngine:
        if self._engine is None:
            try:
                self._engine = self._connect(self._settings)
            except (ValueError, OSError) as error:
                raise _unavailable(error) from error
        return self._engine

    async def _make_ready(self) -> None:
        doing = "connecting to" if self._settings.address else "starting"
        self._become(self._starting(f"{doing} the engine"))
        try:
            engine = self._engine_now()
            if self._following is None:
                self._following = asyncio.create_task(self._follow(engine))
            self._take(await engine.wait_ready(self._take))
        except (ValueError, OSError, EngineUnavailableError) as error:
            unavailable = _unavailable(error)
            self._fail(unavailable.reason)
            raise unavailable from error

    async def _follow(self, engine: RemoteEngine) -> None:
        while True:
            await asyncio.sleep(self._follow_s)
            try:
                said = await engine.status()
            except (ValueError, OSError) as error:
                log.info("the engine does not answer: %s", error)
                reason = _unavailable(error).reason
                if self._readying is not None or self._state.phase is not EnginePhase.READY:
                    continue
                if reason.code is ReasonCode.ENGINE_SILENT:
                    self._fail(reason)
                else:
                    # It has exited, as idle engines do; the next job starts one.
                    self._become(EngineState(EnginePhase.IDLE, model=self._state.model))
                continue
            if self._readying is None:
                self._take(said)

    def _take(self, said: RemoteStatus) -> None:
        """Update the state from the engine's status."""
        self._silence = None
        if said.state == "ready":
            self._become(EngineState(EnginePhase.READY, model=said.model))
        elif said.state == "loading":
            self._become(self._starting("loading the model", said.loading_percent))
        elif said.state == "failed":
            self._become(failed(said.error or LOAD_FAILED))
        elif self._readying is None:
            self._become(EngineState(EnginePhase.IDLE, model=self._state.model))

    def _starting(self, message: str, percent: int | None = None) -> EngineState:
        return EngineState(EnginePhase.STARTING, message, self._state.model, percent)

    def _is_ready(self, task: asyncio.Task[None]) -> None:
        if self._readying is task:
            self._readying = None
        if not task.cancelled():
            # The requests may be gone; the state has the reason.
            task.exception()

    def _forget(self) -> None:
        """Disconnect from the engine in the background."""
        for task in (self._readying, self._following):
            if task is not None:
                task.cancel()
        self._following = None
        engine, self._engine = self._engine, None
        if engine is not None:
            task = asyncio.create_task(engine.close())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _fail(self, reason: Reason) -> None:
        self._silence = reason if reason.code is ReasonCode.ENGINE_SILENT else None
        self._become(failed(reason))

    def _become(self, state: EngineState) -> None:
        if state == self._state:
            return
        self._state = state
        for listener in self._listeners:
            listener(state)


def _unavailable(error: Exception) -> EngineUnavailableError:
    """What a service says is wrong, in our terms."""
    reason = reason_of(error, ReasonCode.NO_ENGINE)
    return EngineUnavailableError(reason.message, reason.code)
