"""TLS: whom a client trusts, and that nothing is sent before the check."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dg_lsp.job import JobState
from dg_lsp.reason import ReasonCode
from dg_lsp.service.access.certificate import given_certificate, own_certificate
from dg_lsp.service.access.limits import Accounts, ClientLimits
from dg_lsp.service.access.tokens import SingleToken, TokenBook, new_token
from dg_lsp.service.address import parse_address
from dg_lsp.service.client import connection
from dg_lsp.service.client.infiller import HttpInfiller
from dg_lsp.service.client.refusals import EngineError
from dg_lsp.service.http.request import Access
from dg_lsp.service.schema import decode_job
from tests.service.certificates import write_certificate

TOKEN = "a-token-of-the-right-length"
JOB = {"prefix": "name = ", "suffix": ".name\n", "path": "a.py"}
WRONG_PIN = "sha256:" + "0" * 64


class Listener:
    """Records every byte that arrives, decrypted, and answers nothing."""

    def __init__(self) -> None:
        self.received = b""
        self.port = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                self.received += piece
        writer.close()


@contextlib.asynccontextmanager
async def listening(certificate: Path | None) -> AsyncIterator[Listener]:
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    found = Listener()
    server = await asyncio.start_server(found.take, "127.0.0.1", 0, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(20):
        yield found
    server.close()


async def refusal(address: str, fingerprint: str = "") -> ReasonCode:
    """The code with which a job and the status fail; they agree."""
    client = HttpInfiller(parse_address(address, TOKEN, fingerprint))
    try:
        result = await client.submit(decode_job(JOB)).result()
        assert result.state is JobState.FAILED
        assert TOKEN not in result.infill.reason.message
        with pytest.raises(EngineError) as raised:
            await client.status()
        assert raised.value.code is result.infill.reason.code
        return raised.value.code
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("make", "fingerprint", "host", "expect"),
    [
        ("own", WRONG_PIN, "127.0.0.1", ReasonCode.WRONG_FINGERPRINT),
        ("own", "", "127.0.0.1", ReasonCode.BAD_CERTIFICATE),
        ("trusted", WRONG_PIN, "localhost", ReasonCode.WRONG_FINGERPRINT),
        ("expired", "", "localhost", ReasonCode.BAD_CERTIFICATE),
        ("other name", "", "localhost", ReasonCode.BAD_CERTIFICATE),
    ],
)
async def test_a_stranger_gets_neither_token_nor_text(
    tmp_path, monkeypatch, make, fingerprint, host, expect
):
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    name = "elsewhere.example" if make == "other name" else "localhost"
    until = past if make == "expired" else None
    path = write_certificate(tmp_path / "cert.pem", name, until)
    if make == "own":
        path = own_certificate(tmp_path).certificate
    else:
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    async with listening(path) as stranger:
        found = await refusal(f"https://{host}:{stranger.port}", fingerprint)

    assert found is expect
    assert stranger.received == b""


async def test_an_engine_without_tls_gets_neither_token_nor_text(monkeypatch):
    monkeypatch.setattr(connection, "CONNECT_S", 0.3)
    async with listening(None) as plain:
        # It waits for the rest of a request line, so the handshake times out.
        found = await refusal(f"https://127.0.0.1:{plain.port}")
    assert found is ReasonCode.UNREACHABLE
    assert TOKEN.encode() not in plain.received
    assert b"name = " not in plain.received


async def test_who_answers_tls_with_something_else(monkeypatch):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await refusal(f"https://127.0.0.1:{port}", WRONG_PIN) is ReasonCode.BAD_ANSWER
    server.close()


async def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert await refusal(f"https://127.0.0.1:{port}") is ReasonCode.NO_ENGINE
    assert await refusal(f"http://127.0.0.1:{port}") is ReasonCode.NO_ENGINE
    assert await refusal("https://engine.invalid:443") is ReasonCode.UNREACHABLE


@pytest.fixture
def serve_tls(host, serve_host, tmp_path):
    """The scripted engine behind TLS, with its own certificate."""

    @contextlib.asynccontextmanager
    async def serving(access: Access) -> AsyncIterator[tuple[str, str]]:
        certificate = own_certificate(tmp_path / "access")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            address = parse_address(url)
            async with serve_host(host, listener, address, access, certificate=certificate):
                yield url, f"sha256:{certificate.fingerprint}"

    return serving


@pytest.fixture
def handshakes(monkeypatch) -> list[int]:
    """One entry for each connection that a client makes."""
    made: list[int] = []
    right = connection.asyncio.open_connection

    async def open_connection(*place, **options):
        made.append(1)
        return await right(*place, **options)

    monkeypatch.setattr(connection.asyncio, "open_connection", open_connection)
    return made


async def test_who_asks_an_engine_with_tls_in_the_clear_is_told_how_to_ask(serve_tls):
    async with serve_tls(Access(SingleToken(TOKEN))) as (url, _):
        client = HttpInfiller(parse_address(url.replace("https:", "http:"), TOKEN))
        with pytest.raises(EngineError, match="https://") as raised:
            await client.status()
        await client.close()
    assert raised.value.code is ReasonCode.ENGINE_LOST


async def test_a_pinned_engine_is_used_and_its_token_checked(serve_tls):
    async with serve_tls(Access(SingleToken(TOKEN))) as (url, fingerprint):
        for written in (fingerprint, fingerprint.removeprefix("sha256:").upper()):
            client = HttpInfiller(parse_address(url, TOKEN, written))
            assert (await client.submit(decode_job(JOB)).result()).infill.candidates
            await client.close()
        wrong = HttpInfiller(parse_address(url, "wrong", fingerprint))
        result = await wrong.submit(decode_job(JOB)).result()
        assert result.infill.reason.code is ReasonCode.TOKEN_REFUSED
        await wrong.close()


async def test_a_given_certificate_that_the_system_trusts(
    host, serve_host, tmp_path, monkeypatch
):
    path = write_certificate(tmp_path / "cert.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://localhost:{listener.getsockname()[1]}"
        async with serve_host(
            host,
            listener,
            parse_address(url),
            Access(),
            certificate=given_certificate(path, path),
        ):
            client = HttpInfiller(parse_address(url))
            assert (await client.submit(decode_job(JOB)).result()).infill.candidates
            await client.close()


async def test_keystrokes_do_not_pay_for_handshakes(serve_tls, handshakes, host, until):
    async with serve_tls(Access(SingleToken(TOKEN))) as (url, fingerprint):
        client = HttpInfiller(parse_address(url, TOKEN, fingerprint))
        last = None
        for key in range(60):
            # Replaced by the next one, cancelled by the editor at any point, or awaited.
            handle = client.submit(decode_job({**JOB, "seed": key}))
            for _ in range(key % 7):
                await asyncio.sleep(0.001 * (key % 3))
            if key % 3 == 0:
                handle.cancel()
            elif key % 3 == 1:
                await handle.result()
            last = handle
        assert (await last.result()).state is JobState.DONE
        await until(lambda: sum(host.count_jobs()) == 0)
        await client.close()

    # About 19 if no connection of a cancelled request were kept; up to 12 on a busy machine.
    assert len(handshakes) <= 15


async def test_a_cancelled_job_ends_at_once_though_its_connection_stays(
    serve_tls, handshakes, host, denoiser, until
):
    async with serve_tls(Access(SingleToken(TOKEN))) as (url, fingerprint):
        client = HttpInfiller(parse_address(url, TOKEN, fingerprint))
        for number in range(12):
            denoiser.gate.clear()
            handle = client.submit(decode_job({**JOB, "path": f"{number}.py"}))
            await until(lambda: host.count_jobs() == (0, 1))
            handle.cancel()
            await until(lambda: host.count_jobs() == (0, 0))
            denoiser.gate.set()
            assert (await client.submit(decode_job(JOB)).result()).state is JobState.DONE
        await client.close()

    # About 19 if no connection of a cancelled request were kept; more than 6 on a busy machine.
    assert len(handshakes) <= 12


async def test_typing_during_the_first_handshake_does_not_begin_it_anew(
    serve_tls, monkeypatch, until
):
    connect, begun, goes_on = asyncio.open_connection, [], asyncio.Event()

    async def open_slowly(*place, **options):
        begun.append(1)
        await goes_on.wait()
        return await connect(*place, **options)

    monkeypatch.setattr(connection.asyncio, "open_connection", open_slowly)
    async with serve_tls(Access(SingleToken(TOKEN))) as (url, fingerprint):
        client = HttpInfiller(parse_address(url, TOKEN, fingerprint))
        for _ in range(20):
            handle = client.submit(decode_job(JOB))
            await until(lambda: begun)
            handle.cancel()
            await asyncio.sleep(0.001)
        goes_on.set()
        assert (await client.submit(decode_job(JOB)).result()).infill.candidates
        await client.close()

    assert len(begun) == 1


async def test_the_rest_of_an_answer_is_not_awaited_for_long(monkeypatch):
    monkeypatch.setattr(connection, "FINISH_S", 0.1)
    left = asyncio.Event()

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/v1/cancel" in head:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            while not reader.at_eof():
                writer.write(b"2\r\n:\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await reader.read(10)
        left.set()
        writer.close()

    server = await asyncio.start_server(stream, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = HttpInfiller(parse_address(f"http://127.0.0.1:{port}"))
    handle = client.submit(decode_job(JOB))
    await asyncio.sleep(0.05)
    handle.cancel()
    async with asyncio.timeout(10):
        await left.wait()
    await client.close()
    server.close()


async def test_a_client_over_its_limit_waits_as_long_as_it_is_told(serve_tls, tmp_path, host):
    file = tmp_path / "tokens.json"
    token = new_token(file, "ada")
    limits = ClientLimits(requests_per_s=0.5, bytes_per_s=0, context_chars=0, open_jobs=0)
    async with serve_tls(Access(TokenBook(file), Accounts(limits))) as (url, fingerprint):
        client = HttpInfiller(parse_address(url, token, fingerprint))
        results = [await client.submit(decode_job(JOB)).result() for _ in range(30)]
        codes = [one.infill.reason and one.infill.reason.code for one in results]
        assert codes[:5] == [None] * 5
        assert set(codes[7:]) == {ReasonCode.RATE_LIMITED}
        await client.close()
        # What was not sent was not counted: another window of the same client is told to wait
        # no longer than if this one had sent nothing in the meantime.
        other = HttpInfiller(parse_address(url, token, fingerprint))
        reason = (await other.submit(decode_job(JOB)).result()).infill.reason
        assert reason.code is ReasonCode.RATE_LIMITED
        await other.close()
