"""Settings from the client: initializationOptions, workspace/configuration and changes.

A message to the user names invalid values; those settings do not change.
"""

from __future__ import annotations

import logging
from typing import Any

from lsprotocol import types

from dg_lsp.server.session import Session
from dg_lsp.server.settings import SECTION, parse

log = logging.getLogger(__name__)


def read_options(session: Session, options: Any) -> list[str]:
    """Read the initializationOptions; returns messages to show once the client is ready."""
    settings, messages = parse(options, session.base_settings)
    session.base_settings = settings
    session.configure(settings)
    return messages


async def configuration_changed(session: Session, pushed: Any) -> None:
    """Read the client's current settings: ask for them if it answers, else use what it sent."""
    raw = pushed.get(SECTION) if isinstance(pushed, dict) else None
    if session.client.has_configuration:
        item = types.ConfigurationItem(section=SECTION)
        try:
            answers = await session.server.workspace_configuration_async(
                types.ConfigurationParams([item])
            )
        except Exception as error:
            log.warning("the client gave no configuration: %s", type(error).__name__)
            return
        raw = answers[0] if answers else None
    settings, messages = parse(raw, session.base_settings)
    if settings != session.settings:
        session.configure(settings)
    complain(session, messages)


def complain(session: Session, messages: list[str]) -> None:
    """Show the rejected values, in one message."""
    if not messages:
        return
    shown = types.ShowMessageParams(types.MessageType.Warning, "dg-lsp: " + "; ".join(messages))
    session.server.window_show_message(shown)
