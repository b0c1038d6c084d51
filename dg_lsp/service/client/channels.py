"""The job channel to one engine: opened by the first job that needs it, kept for all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dg_lsp.service.address import Address
from dg_lsp.service.client.channel import JobChannel, OnFailure, open_channel
from dg_lsp.service.client.refusals import UnreachableError
from dg_lsp.service.client.shared import Shared


class Channels:
    """Opens job channels to an engine, one at a time, if it is on this machine."""

    def __init__(
        self,
        address: Address,
        headers: Mapping[str, str],
        silence_s: float,
        check_version: Callable[[str], None],
        on_failure: OnFailure,
    ) -> None:
        """`check_version` raises `UnreachableError` if the engine's version is not ours;
        `on_failure` is told of each job that ends without a result."""
        self._address, self._headers, self._silence_s = address, headers, silence_s
        self._check_version, self._on_failure = check_version, on_failure
        self._channel: JobChannel | None = None
        self._opening = Shared(self._open)
        self._is_closed = False
        self.allow()

    @property
    def open(self) -> JobChannel | None:
        """The channel, while there is one."""
        return self._channel if self._channel is not None and self._channel.is_open else None

    @property
    def silent_s(self) -> float:
        """How long nothing has come although there are open jobs."""
        return self._channel.silent_s if self._channel else 0.0

    def allow(self) -> None:
        """Ask for a channel again: another engine may have the address now."""
        self._may_open = self._address.socket is not None and self._address.token is None

    async def connect(self) -> JobChannel | None:
        """The channel, opened if need be; `None` if jobs are sent as requests.

        Raises `UnreachableError`, `NobodyAnswersError`, `SilenceError` and `BrokenOffError`.
        """
        if self._channel is not None and self._channel.is_refused:
            self._channel, self._may_open = None, False
        if self._may_open and self.open is None:
            await self._opening.wait()
        return self.open

    async def cancel(self) -> None:
        """Stop opening a channel."""
        await self._opening.cancel()

    def close(self) -> None:
        """Close the channel, once no job on it is open, also one that is still to be opened."""
        self._is_closed = True
        if self._channel is not None:
            self._channel.retire()

    async def _open(self) -> None:
        channel = await open_channel(
            self._address, self._headers, self._silence_s, self._on_failure
        )
        if channel is None:
            self._may_open = False
            return
        try:
            self._check_version(channel.version)
        except UnreachableError:
            channel.close()
            raise
        self._channel = channel
        if self._is_closed:
            channel.retire()
