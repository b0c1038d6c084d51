"""The language server's interface to an engine, which may still be loading.

`EngineLink` is the interface; `InProcessLink` implements it for a model in this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dg_lsp.job import Infiller, ModelInfo, OpenedModel
from dg_lsp.reason import CodedError, Reason, ReasonCode

log = logging.getLogger(__name__)


class EnginePhase(enum.Enum):
    """The phases of an engine."""

    IDLE = "idle"
    """Not started, or the model is unloaded; the next job starts it."""
    STARTING = "starting"
    """The process is starting, or the model is being loaded or downloaded."""
    READY = "ready"
    FAILED = "failed"
    """It cannot be had; `failure` says why."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """The state of the engine, as far as this process knows it."""

    phase: EnginePhase
    message: str = ""
    """What it is doing, for the user."""
    model: ModelInfo | None = None
    """Known once the model has been loaded; kept while it is unloaded."""
    percent: int | None = None
    """Progress of loading, if known."""
    failure: Reason | None = None
    """Why it cannot be had, in the phase `FAILED`."""


def failed(reason: Reason) -> EngineState:
    """The state of an engine that cannot be had."""
    return EngineState(EnginePhase.FAILED, failure=reason)


class EngineUnavailableError(CodedError):
    """There is no engine now; the one-line message says why."""

    code = ReasonCode.NO_ENGINE


class EngineLink(Protocol):
    """The connection to an engine. All methods are called on the event loop's thread."""

    @property
    def state(self) -> EngineState: ...

    def watch(self, listener: Callable[[EngineState], None]) -> None:
        """Call the listener, on the loop, whenever the state changes."""
        ...

    async def infiller(self) -> Infiller:
        """Wait for an engine that accepts jobs, and start one if there is none.

        `state.model` is set when it returns. Raises `EngineUnavailableError`.
        """
        ...

    def silence(self) -> Reason | None:
        """Why no answer may come for now: the engine is running but has said nothing for a
        while. None if it has not been asked anything."""
        ...

    def job_failed(self, reason: Reason) -> None:
        """A job failed; the engine may be gone."""
        ...

    def measure(self, text: str) -> int:
        """Approximate number of tokens of a text; must not wait for anything."""
        ...

    async def restart(self) -> None:
        """Restart the engine; raises `EngineUnavailableError`."""
        ...

    async def unload(self) -> None:
        """Unload the model; the next job loads it again."""
        ...

    async def close(self) -> None:
        """Close the link; a shared engine keeps running."""
        ...


class InProcessLink:
    """An `EngineLink` to a model in this process, opened on a thread when first needed."""

    def __init__(self, open_model: Callable[[], OpenedModel]) -> None:
        """`open_model` blocks; a `CodedError` of it says what the user can do."""
        self._open_model = open_model
        self._state = EngineState(EnginePhase.IDLE)
        self._listeners: list[Callable[[EngineState], None]] = []
        self._opening: asyncio.Future[OpenedModel] | None = None
        self._opened: OpenedModel | None = None

    @property
    def state(self) -> EngineState:
        return self._state

    def watch(self, listener: Callable[[EngineState], None]) -> None:
        self._listeners.append(listener)

    async def infiller(self) -> Infiller:
        if self._opened is not None:
            return self._opened.infiller
        if self._opening is None:
            self._opening = self._open()
        return (await asyncio.shield(self._opening)).infiller

    def silence(self) -> Reason | None:
        return None

    def job_failed(self, reason: Reason) -> None:
        pass

    def measure(self, text: str) -> int:
        return self._opened.measure(text) if self._opened else len(text) // 3

    async def restart(self) -> None:
        await self.unload()
        await self.infiller()

    async def unload(self) -> None:
        if self._opening is not None:
            with contextlib.suppress(EngineUnavailableError):
                await asyncio.shield(self._opening)
        opened, self._opened, self._opening = self._opened, None, None
        if opened is not None:
            await opened.infiller.close()
        self._become(EngineState(EnginePhase.IDLE, model=self._state.model))

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.infiller.close()

    def _open(self) -> asyncio.Future[OpenedModel]:
        self._become(EngineState(EnginePhase.STARTING, "loading the model", self._state.model))
        loop = asyncio.get_running_loop()
        opening: asyncio.Future[OpenedModel] = loop.create_future()

        def settle(opened: OpenedModel | None, error: EngineUnavailableError | None) -> None:
            if opening is not self._opening:
                return
            if opened is None:
                self._opening = None
                assert error is not None
                self._become(failed(error.reason))
                opening.set_exception(error)
                # The requests may be gone; the state has the reason.
                opening.exception()
                return
            self._opened = opened
            self._become(EngineState(EnginePhase.READY, model=opened.info))
            opening.set_result(opened)

        def run() -> None:
            opened: OpenedModel | None = None
            error: EngineUnavailableError | None = None
            try:
                opened = self._open_model()
            except CodedError as caught:
                error = EngineUnavailableError(str(caught), caught.code)
            except Exception as caught:
                log.exception("the model cannot be opened")
                error = EngineUnavailableError(
                    f"the model cannot be opened: {type(caught).__name__}",
                    ReasonCode.LOAD_FAILED,
                )
            # At exit the loop may be gone; then nobody waits for the model.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, opened, error)

        # A daemon, so that loading does not keep the process alive.
        threading.Thread(target=run, name="dg-lsp opening", daemon=True).start()
        return opening

    def _become(self, state: EngineState) -> None:
        self._state = state
        for listener in self._listeners:
            listener(state)
