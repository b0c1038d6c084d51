"""Registers dynamically what the settings switch on and off, for clients that support it.

For a client with dynamic registration, `initialize` does not announce inline completion, so
that
switching the server off in the settings also stops the requests.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from lsprotocol import types

from dg_lsp.server.session import Session

log = logging.getLogger(__name__)

DID_CHANGE_CONFIGURATION = types.WORKSPACE_DID_CHANGE_CONFIGURATION


@dataclass(slots=True)
class Registrar:
    """What is currently registered with the client: from the method to the registration id."""

    session: Session
    _ids: dict[str, str] = field(default_factory=dict)
    _num_registered: int = 0

    async def start(self) -> None:
        """After `initialized`, register what depends on settings, then the rest."""
        await self.update()
        if self.session.client.registers_configuration:
            await self._register(DID_CHANGE_CONFIGURATION, {"section": "dgLsp"})

    async def update(self) -> None:
        """Register and unregister according to the settings."""
        client, settings = self.session.client, self.session.settings
        if client.registers_inline_completion:
            options: dict[str, Any] = {"documentSelector": None, "workDoneProgress": True}
            await self._set(types.TEXT_DOCUMENT_INLINE_COMPLETION, settings.enable, options)
        if client.registers_completion:
            is_wanted = settings.enable and settings.completion_fallback
            await self._set(
                types.TEXT_DOCUMENT_COMPLETION, is_wanted, {"documentSelector": None}
            )

    async def _set(self, method: str, is_wanted: bool, options: dict[str, Any]) -> None:
        if is_wanted and method not in self._ids:
            await self._register(method, options)
        elif not is_wanted and method in self._ids:
            await self._unregister(method)

    async def _register(self, method: str, options: dict[str, Any]) -> None:
        self._num_registered += 1
        self._ids[method] = registered = f"dg-lsp-{self._num_registered}"
        params = types.RegistrationParams([types.Registration(registered, method, options)])
        try:
            await self.session.server.client_register_capability_async(params)
        except Exception as error:
            self._ids.pop(method, None)
            log.warning("the client does not register %s: %s", method, type(error).__name__)

    async def _unregister(self, method: str) -> None:
        gone = types.Unregistration(self._ids.pop(method), method)
        try:
            await self.session.server.client_unregister_capability_async(
                types.UnregistrationParams([gone])
            )
        except Exception as error:
            log.warning("the client does not unregister %s: %s", method, type(error).__name__)
