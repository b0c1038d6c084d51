"""The engine that the settings name, and the one on this machine while that one is gone.

Only if the user allows it (`engine.localFallback`). While the local one stands in, no job waits
for the one elsewhere: whether that is back is asked with the status, from time to time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from dg_lsp.job import InfillJob, JobHandle, ModelInfo
from dg_lsp.reason import Reason, ReasonCode, reason_of
from dg_lsp.server.link.remote_link import GONE, RemoteEngine, RemoteStatus

BACK = ("ready", "unloaded")
"""States of an engine elsewhere that is used again; one that still loads its model is not."""


class FallbackEngine:
    """A `RemoteEngine` made of two."""

    def __init__(self, remote: RemoteEngine, local: RemoteEngine) -> None:
        self._remote, self._local = remote, local
        self._note: Reason | None = None
        """Why the local engine is used; none while it is not."""

    @property
    def silent_s(self) -> float:
        return self._current.silent_s

    @property
    def unanswered_s(self) -> float:
        return self._current.unanswered_s

    @property
    def restart(self) -> Callable[[], Awaitable[object]] | None:
        """Restarts the local engine while that one is used."""
        return getattr(self._current, "restart", None)

    def submit(self, job: InfillJob) -> JobHandle:
        return self._current.submit(job)

    async def wait_ready(self, tell: Callable[[RemoteStatus], None]) -> RemoteStatus:
        try:
            said = await self._remote.wait_ready(tell)
        except ValueError as error:
            reason = reason_of(error)
            if reason.code not in GONE:
                raise
        else:
            self._note = None
            return said
        self._note = Reason(
            ReasonCode.LOCAL_ENGINE, f"the engine on this machine is used, because {reason}"
        )
        return self._noted(await self._local.wait_ready(lambda now: tell(self._noted(now))))

    async def status(self) -> RemoteStatus:
        try:
            said = await self._remote.status()
        except ValueError:
            if self._note is None:
                raise
        else:
            # The local one may have stood in since it was asked.
            if self._note is None or said.state in BACK:
                self._note = None
                return said
        return self._noted(await self._local.status())

    async def unload(self) -> None:
        await self._current.unload()

    async def close(self) -> None:
        await self._remote.close()
        await self._local.close()

    @property
    def _current(self) -> RemoteEngine:
        return self._remote if self._note is None else self._local

    def _noted(self, said: RemoteStatus) -> RemoteStatus:
        if self._note is None or said.model is None:
            return said
        model = replace(said.model, notes=(self._note, *said.model.notes))
        return _Noted(said.state, said.error, said.loading_percent, model)


@dataclass(frozen=True, slots=True)
class _Noted:
    """The local engine's status, and why it is used."""

    state: str
    error: Reason | None
    loading_percent: int | None
    model: ModelInfo | None
