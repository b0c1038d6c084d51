"""An editor whose engine is elsewhere: what is sent over the wire, and what is not."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

from dg_lsp.service.access.certificate import own_certificate

SECRET = "ghp_0123456789abcdefghij0123456789abcdef"
ENGINE = """
from dg_lsp.cli import compose, main
from dg_lsp.fed_job import FedJob
from dg_lsp.job import Candidate, Infill, ModelInfo, OpenedModel

class Scripted:
    def submit(self, job):
        handle = FedJob(job)
        handle.finish(Infill((Candidate("area", 0.9, -0.1, (0.9,) * 4),), 1))
        return handle
    async def close(self): pass

info = ModelInfo("m", "cpu", 400, 99)
compose.open_infiller = lambda *asked: OpenedModel(Scripted(), info, len)
main()
"""


class Tap:
    """Terminates TLS in front of an engine and records what clients send, decrypted."""

    def __init__(self, certificate: str, engine_port: int) -> None:
        self.sent = b""
        self.connections = 0
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate)
        self._engine_port = engine_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                raw, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._pass_on, args=(raw,), daemon=True).start()

    def _pass_on(self, raw: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            self._tls.wrap_socket(raw, server_side=True) as client,
            socket.create_connection(("127.0.0.1", self._engine_port)) as engine,
        ):
            # TLS objects are not for two threads at once, so the two sides take turns.
            client.settimeout(0.02)
            engine.settimeout(0.02)
            while True:
                for source, target in ((client, engine), (engine, client)):
                    with contextlib.suppress(TimeoutError):
                        piece = source.recv(65536)
                        if not piece:
                            return
                        if source is client:
                            self.sent += piece
                        target.sendall(piece)


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("remote")
    (root / "run").mkdir(mode=0o700)
    return {
        "DG_LSP_RUNTIME_DIR": str(root / "run"),
        "DG_LSP_LOG_DIR": str(root / "log"),
        "DG_LSP_ACCESS_DIR": str(root / "access"),
        "DG_LSP_STATE_DIR": str(root / "state"),
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="module")
def token(places) -> str:
    made = subprocess.run(
        [sys.executable, "-m", "dg_lsp", "token", "new", "ada"],
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return made.stdout.strip()


@pytest.fixture(scope="module")
def tap(places, token, tmp_path_factory) -> Iterator[tuple[Tap, str]]:
    """An engine with named tokens behind a tap, and the fingerprint of the tap."""
    own = own_certificate(tmp_path_factory.mktemp("tap"))
    command = [sys.executable, "-c", ENGINE, "engine", "run", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        command, env={**os.environ, **places}, stderr=subprocess.PIPE, text=True
    ) as engine:
        url = engine.stderr.readline().rpartition(" ")[2].strip()
        made = Tap(str(own.certificate), urlsplit(url).port)
        yield made, own.fingerprint
        made.close()
        engine.terminate()
        engine.wait(20)


def start(start_server, places, engine: dict[str, str]):
    server = start_server("-m", "dg_lsp", "serve", environment=places)
    server.ask(
        "initialize",
        {
            "processId": None,
            "rootUri": None,
            "capabilities": {"experimental": {"dgLsp": {"status": True}}},
            "initializationOptions": {"engine": engine},
        },
    )
    server.notify("initialized", {})
    return server


def test_the_wire_carries_masked_text_and_the_token_to_the_pinned_engine(
    start_server, places, tap, token
):
    made, fingerprint = tap
    address = f"https://127.0.0.1:{made.port}"
    server = start(
        start_server, places, {"address": address, "token": token, "fingerprint": fingerprint}
    )
    server.open(f"key = '{SECRET}'\npassword = 'hunter2hunter2'\nx = ")
    before = made.connections
    for number in range(20):
        found = server.inline(2, 4, kind=1)
        assert found[0]["insertText"] == "area", number
    server.finish()
    server.to_the_end()

    assert f"authorization: Bearer {token}".encode() in made.sent
    assert b"key = '****" in made.sent
    assert SECRET.encode() not in made.sent
    assert b"hunter2hunter2" not in made.sent
    # Twenty requests and the status, without a handshake for each.
    assert made.connections - before <= 4
    shown = [one["message"] for one in server.told("window/showMessage")]
    assert not any(token in one for one in shown)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"fingerprint": "00" * 32}, "wrong-fingerprint"),
        ({"fingerprint": ""}, "bad-certificate"),
        ({"token": "dgl_wrong"}, "token-refused"),
        ({"address": "https://127.0.0.1:9"}, "no-engine"),
        ({"address": "https://engine.invalid:1"}, "unreachable"),
    ],
)
def test_the_status_says_what_is_wrong_and_nothing_else_is_sent(
    start_server, places, tap, token, change, code
):
    made, fingerprint = tap
    engine = {
        "address": f"https://127.0.0.1:{made.port}",
        "token": token,
        "fingerprint": fingerprint,
        **change,
    }
    made.sent = b""
    server = start(start_server, places, engine)
    server.open("x = ")
    assert server.inline(0, 4, kind=1) == []
    server.until(lambda: any(one.get("code") == code for one in server.told("dgLsp/status")))
    server.finish()
    server.to_the_end()

    assert b"x = " not in made.sent
    if "token" not in change:
        assert made.sent == b""


def test_a_client_over_its_limit_is_told(start_server, places, token):
    command = [sys.executable, "-c", ENGINE, "engine", "run", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, "--limit", "bytes=1"],
        env={**os.environ, **places},
        stderr=subprocess.PIPE,
        text=True,
    ) as engine:
        url = engine.stderr.readline().rpartition(" ")[2].strip()
        server = start(start_server, places, {"address": url, "token": token})
        server.open("x = ")
        assert server.inline(0, 4, kind=1)[0]["insertText"] == "area"
        # That job has overdrawn the client's account.
        server.insert(0, 0, "y")
        assert server.inline(0, 5, kind=1) == []
        server.until(lambda: server.told("dgLsp/status")[-1].get("code") == "rate-limited")
        server.finish()
        server.to_the_end()
        engine.terminate()
        engine.wait(20)


class LlamaHandler(BaseHTTPRequestHandler):
    """Answers as llama.cpp's server does."""

    asked: ClassVar[list[bytes]] = []

    def do_GET(self) -> None:
        self._answer(b'{"object": "list", "data": [{"id": "qwen-coder"}]}')

    def do_POST(self) -> None:
        self.asked.append(self.rfile.read(int(self.headers["content-length"])))
        end = b'data: {"content": "", "stop": true, "stop_type": "eos"}\n\n'
        self._answer(b'data: {"content": "area", "stop": false}\n\n' + end)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def test_another_server_as_the_backend_and_the_status_says_so(start_server, places):
    with ThreadingHTTPServer(("127.0.0.1", 0), LlamaHandler) as llama:
        threading.Thread(target=llama.serve_forever, daemon=True).start()
        address = f"llama+http://127.0.0.1:{llama.server_port}"
        server = start(start_server, places, {"address": address})
        server.open(f"key = '{SECRET}'\nx = ")
        assert server.inline(1, 4, kind=1)[0]["insertText"] == "area"
        server.until(lambda: server.told("dgLsp/status")[-1].get("code") == "other-server")
        status = server.told("dgLsp/status")[-1]
        assert (status["model"], "127.0.0.1" in status["message"]) == ("qwen-coder", True)
        server.finish()
        server.to_the_end()
        llama.shutdown()

    assert LlamaHandler.asked
    assert all(SECRET.encode() not in body for body in LlamaHandler.asked)
    assert b"key = '****" in LlamaHandler.asked[0]


def test_a_token_from_the_environment(start_server, places, tap, token):
    made, fingerprint = tap
    address = f"https://127.0.0.1:{made.port}"
    server = start(
        start_server,
        {**places, "DG_LSP_TOKEN": token},
        {"address": address, "fingerprint": fingerprint},
    )
    server.open("x = ")
    assert server.inline(0, 4, kind=1)[0]["insertText"] == "area"
    server.finish()
    server.to_the_end()
