"""Makes sure that who connects to the language server's port is an editor of this machine.

The port has no token. A web page can make the user's browser connect to it and send an HTTP
request, and a session serves only one client, so whoever takes it is looked at first.
"""

from __future__ import annotations

import asyncio
import ipaddress

FIRST_MESSAGE_S = 10.0
"""How long the first bytes may take; editors send `initialize` at once."""
_BEGINNINGS = (b"content-length:", b"content-type:")


async def read_first_piece(reader: asyncio.StreamReader, peer: object) -> bytes | None:
    """The first bytes from a client with the address `peer`, which begin a message of LSP.

    `None` for anyone else: a browser's request, another machine, or nothing in time.
    """
    if not _is_this_machine(peer):
        return None
    found = b""
    try:
        async with asyncio.timeout(FIRST_MESSAGE_S):
            while (begins := _begins_message(found)) is None:
                piece = await reader.read(1 << 16)
                if not piece:
                    return None
                found += piece
    except (TimeoutError, OSError):
        return None
    return found if begins else None


def _begins_message(found: bytes) -> bool | None:
    """Whether it is the beginning of a message; `None` if that is still open."""
    # Some clients end a message with an extra line end, so they may begin with one too.
    name = found.lstrip(b"\r\n").lower()
    if any(name.startswith(one) for one in _BEGINNINGS):
        return True
    return None if any(one.startswith(name) for one in _BEGINNINGS) else False


def _is_this_machine(peer: object) -> bool:
    if not isinstance(peer, tuple):
        return False
    try:
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
