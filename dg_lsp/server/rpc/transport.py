"""Runs a session over stdio or TCP until the client disconnects or its process is gone.

The other end may stop reading or writing at any time, and the event loop never waits for it: a
pipe is read when something is there, and what it does not take at once is written on a thread.
A second TCP client is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, BinaryIO

from dg_lsp.server.rpc.first_message import read_first_piece
from dg_lsp.server.rpc.frames import FrameError, FrameReader
from dg_lsp.server.rpc.pipe_writer import PipeWriter
from dg_lsp.server.rpc.protocol import Protocol

if TYPE_CHECKING:
    import psutil

log = logging.getLogger(__name__)

PARENT_POLL_S = 2.0
"""Interval of checks whether the editor is running; it usually closes the pipe as well."""
FIRST_POLL_S = 0.2
"""The same interval until the editor has been seen for the first time."""
CLOSE_PATIENCE_S = 3.0
"""How long the end of a session may take; after that, the process exits anyway."""
FLUSH_S = 1.0
"""How long the client may take to read the last messages."""
MAX_UNREAD_BYTES = 64 * 1024 * 1024
"""A client with so much to read has stopped reading, and the session ends."""

Piece = bytes | None
Closing = Callable[[], Awaitable[None]]


async def serve_stdio(
    protocol: Protocol, closing: Closing, stdin: BinaryIO, stdout: BinaryIO
) -> int:
    """Serve the client at the other end of two pipes; returns the exit status."""
    pieces: asyncio.Queue[Piece] = asyncio.Queue()
    stop_reading = _read_pipe(stdin.fileno(), pieces.put_nowait)
    writer = PipeWriter(stdout.fileno(), MAX_UNREAD_BYTES, lambda: _give_up(protocol))
    protocol.set_writer(writer)
    try:
        return await _serve(protocol, closing, pieces.get, watches_parent=True)
    finally:
        stop_reading()
        await asyncio.to_thread(writer.flush, FLUSH_S)


def _read_pipe(descriptor: int, take: Callable[[Piece], None]) -> Callable[[], None]:
    """Read a pipe until its end, on the event loop where that can watch it; what is returned
    ends that.

    A thread costs each message a hand-over to the loop. Files and Windows' pipes need one.
    """
    loop = asyncio.get_running_loop()

    def read() -> Piece:
        # Not through the buffered file: its lock, held by a waiting reader, would abort the
        # interpreter's end.
        try:
            return os.read(descriptor, 1 << 16) or None
        except OSError:
            return None

    def read_what_is_there() -> None:
        piece = read()
        if piece is None:
            loop.remove_reader(descriptor)
        take(piece)

    def keep_reading() -> None:
        piece: Piece = b""
        while piece is not None:
            piece = read()
            try:
                loop.call_soon_threadsafe(take, piece)
            except RuntimeError:
                return

    try:
        loop.add_reader(descriptor, read_what_is_there)
    except (NotImplementedError, OSError):
        threading.Thread(target=keep_reading, name="dg-lsp stdin", daemon=True).start()
        return lambda: None

    def stop() -> None:
        loop.remove_reader(descriptor)

    return stop


async def serve_tcp(
    protocol: Protocol,
    closing: Closing,
    host: str,
    port: int,
    on_listening: Callable[[str, int], None],
) -> int:
    """Serve the first editor that connects from this machine; returns the exit status.

    Raises `OSError` if it cannot listen.
    """
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    taken = False

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        peer = writer.get_extra_info("peername")
        first = None if taken else await read_first_piece(reader, peer)
        if taken or first is None:
            kind = "a second client" if taken else "a client that is no editor of this machine"
            log.warning("%s was refused: one session serves one client", kind)
            writer.close()
            return
        taken = True
        pieces = [first]
        protocol.set_writer(_SocketWriter(writer, lambda: _give_up(protocol)))

        async def next_piece() -> Piece:
            if pieces:
                return pieces.pop()
            try:
                return await reader.read(1 << 16) or None
            except OSError:
                return None

        # The process that the client names may be on another machine.
        status = await _serve(protocol, closing, next_piece, watches_parent=False)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        if not ended.done():
            ended.set_result(status)

    listening = await asyncio.start_server(connected, host, port)
    address = listening.sockets[0].getsockname()
    on_listening(address[0], address[1])
    try:
        return await ended
    finally:
        listening.close()


async def _serve(
    protocol: Protocol,
    closing: Closing,
    next_piece: Callable[[], Awaitable[Piece]],
    *,
    watches_parent: bool,
) -> int:
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(status: int) -> None:
        if not ended.done():
            ended.set_result(status)

    protocol.on_exit = end
    tasks = [asyncio.create_task(_feed(protocol, next_piece, end))]
    if watches_parent:
        tasks.append(asyncio.create_task(_watch_parent(protocol, end)))
    try:
        return await ended
    finally:
        for task in tasks:
            task.cancel()
        protocol.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closing(), CLOSE_PATIENCE_S)


async def _feed(
    protocol: Protocol,
    next_piece: Callable[[], Awaitable[Piece]],
    end: Callable[[int], None],
) -> None:
    frames = FrameReader()
    try:
        while (piece := await next_piece()) is not None:
            for body in frames.feed(piece):
                protocol.receive(body)
                # Handlers begin in the order of their messages: a request sees the edits
                # before it and none after it.
                await asyncio.sleep(0)
    except FrameError as error:
        log.error("The session ends because the client's messages are malformed: %s", error)
        protocol.say_garbled(str(error))
        end(1)
    finally:
        end(protocol.exit_status)


async def _watch_parent(protocol: Protocol, end: Callable[[int], None]) -> None:
    """End the session when the process named in `initialize` is gone.

    Only a process that has been seen can be missed: the id of an editor outside our container
    means nothing here.
    """
    while (process_id := protocol.client_process_id) is None:
        await asyncio.sleep(FIRST_POLL_S)
    editor = _process(process_id)
    if editor is None:
        log.info("the editor (process %d) cannot be seen from here", process_id)
        return
    while _is_alive(editor):
        await asyncio.sleep(PARENT_POLL_S)
    log.warning("the editor (process %d) is gone", process_id)
    end(protocol.exit_status)


def _process(process_id: int) -> psutil.Process | None:
    # The server has answered by now, so this import does not slow down its start.
    import psutil

    try:
        return psutil.Process(process_id)
    except (psutil.Error, ValueError, OverflowError):
        # The id may be from another namespace.
        return None


def _is_alive(process: psutil.Process) -> bool:
    """Also false if another process has its id by now, or if only its exit status is left."""
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _give_up(protocol: Protocol) -> None:
    log.error("the session ends because the client does not read what is sent to it")
    protocol.on_exit(protocol.exit_status)


class _SocketWriter:
    def __init__(self, writer: asyncio.StreamWriter, on_overflow: Callable[[], None]) -> None:
        self._writer, self._on_overflow = writer, on_overflow

    def write(self, data: bytes) -> None:
        if self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self._writer.transport.abort()
            self._on_overflow()
        else:
            self._writer.write(data)

    def close(self) -> None:
        self._writer.close()
