"""Who may take a language server's session over TCP."""

from __future__ import annotations

import asyncio

import pytest

from dg_lsp.server.rpc import first_message
from dg_lsp.server.rpc.first_message import read_first_piece

HERE = ("127.0.0.1", 4711)
MESSAGE = b"Content-Length: 2\r\n\r\n{}"


async def first(pieces: list[bytes], peer: object = HERE, *, ends: bool = False):
    reader = asyncio.StreamReader()
    reading = asyncio.create_task(read_first_piece(reader, peer))
    for piece in pieces:
        reader.feed_data(piece)
        await asyncio.sleep(0)
    if ends:
        reader.feed_eof()
    return await reading


@pytest.mark.parametrize(
    "pieces",
    [
        [MESSAGE],
        [b"Con", b"tent-", b"Length: 2\r\n\r\n{}"],
        [b"content-length: 2\r\n\r\n{}"],
        [b"Content-Type: x\r\nContent-Length: 2\r\n\r\n{}"],
        [b"\r\n", MESSAGE],
    ],
)
async def test_an_editor_is_let_in_and_nothing_of_its_message_is_lost(pieces):
    found = await first(pieces)

    assert found
    assert b"".join(pieces).startswith(found)


@pytest.mark.parametrize(
    "sent",
    [
        b"POST / HTTP/1.1\r\nHost: localhost:4711\r\nContent-Length: 99\r\n\r\n" + MESSAGE,
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"Content: 3\r\n\r\n",
        b'{"jsonrpc": "2.0"}',
    ],
)
async def test_whoever_speaks_something_else_is_not(sent):
    assert await first([sent]) is None
    # Not even if it comes byte by byte.
    assert await first([bytes([byte]) for byte in sent]) is None


async def test_whoever_says_nothing_or_leaves_is_not(monkeypatch):
    monkeypatch.setattr(first_message, "FIRST_MESSAGE_S", 0.05)

    assert await first([]) is None
    assert await first([b"Content-"]) is None
    assert await first([b"Content-"], ends=True) is None


@pytest.mark.parametrize(
    ("peer", "is_here"),
    [
        (("127.0.0.1", 1), True),
        (("::1", 1, 0, 0), True),
        (("::ffff:127.0.0.1", 1, 0, 0), True),
        (("10.0.0.7", 1), False),
        (("::ffff:10.0.0.7", 1, 0, 0), False),
        (("fe80::1%eth0", 1, 0, 2), False),
        (None, False),
    ],
)
async def test_other_machines_are_not(peer, is_here):
    assert (await first([MESSAGE], peer) is not None) is is_here
