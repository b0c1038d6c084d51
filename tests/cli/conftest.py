"""How a command failed; and a hub on this machine, as `huggingface_hub` asks the real one."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dg_lsp.cli import EXIT_REFUSED, run
from dg_lsp.reason import Reason, ReasonCode

REVISION = "0123456789abcdef0123456789abcdef01234567"

Failure = Callable[..., Reason]


@pytest.fixture
def failure(capsys: pytest.CaptureFixture[str]) -> Failure:
    """Runs a command with --json that fails: one line for people, a code for programs."""

    def run_failing(*arguments: str, status: int = EXIT_REFUSED) -> Reason:
        assert run([*arguments, "--json"]) == status
        captured = capsys.readouterr()
        error = json.loads(captured.out.splitlines()[-1])["error"]
        assert sorted(error) == ["code", "message"]
        assert captured.err.splitlines()[-1].startswith("dg-lsp: ")
        return Reason(ReasonCode(error["code"]), error["message"])

    return run_failing


class FakeHub:
    """Serves a directory as the repository `someone/gemma`, and can fail as networks do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.licence = "apache-2.0"
        self.breaks: dict[str, int] = {}
        """By file: after so many bytes the connection breaks, every time."""
        self.damaged: set[str] = set()
        """Files that arrive with another content than was announced."""
        self.gated = False
        self.sent: dict[str, int] = {}
        """Bytes sent by file."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer(with_body=False)

            def do_GET(self) -> None:
                self.answer(with_body=True)

            def answer(self, with_body: bool) -> None:
                path = self.path.partition("?")[0]
                if hub.gated:
                    self.reply(403, b"{}", {"X-Error-Code": "GatedRepo"})
                elif path.startswith("/api/models/someone/gemma"):
                    self.reply(200, json.dumps(hub.info()).encode())
                elif path.startswith(f"/someone/gemma/resolve/{REVISION}/"):
                    self.send_file(hub.directory / path.rpartition("/")[2], with_body)
                else:
                    self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})

            def reply(
                self, status: int, body: bytes, headers: dict[str, str] | None = None
            ) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def send_file(self, file: Path, with_body: bool) -> None:
                content = file.read_bytes()
                if file.name in hub.damaged:
                    content = content[:-1] + bytes([content[-1] ^ 1])
                start = 0
                if ranged := self.headers.get("Range"):
                    first, _, last = ranged.removeprefix("bytes=").partition("-")
                    start = int(first)
                    if last:
                        self.send_part(content[start : int(last) + 1], start, len(content))
                        return
                self.send_response(206 if ranged else 200)
                self.send_header("ETag", f'"{hub.digest(file)}"')
                self.send_header("X-Repo-Commit", REVISION)
                self.send_header("Content-Length", str(len(content) - start))
                if ranged:
                    span = f"bytes {start}-{len(content) - 1}/{len(content)}"
                    self.send_header("Content-Range", span)
                self.end_headers()
                if not with_body:
                    return
                end = hub.breaks.get(file.name, len(content))
                self.wfile.write(content[start:end])
                hub.sent[file.name] = hub.sent.get(file.name, 0) + len(content[start:end])
                if end < len(content):
                    self.close_connection = True

            def send_part(self, part: bytes, start: int, total: int) -> None:
                """The headers of a weight file, which are read before any weights."""
                self.send_response(206)
                self.send_header("Content-Length", str(len(part)))
                self.send_header(
                    "Content-Range", f"bytes {start}-{start + len(part) - 1}/{total}"
                )
                self.end_headers()
                self.wfile.write(part)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def digest(self, file: Path) -> str:
        return hashlib.sha256(file.read_bytes()).hexdigest()

    def info(self) -> dict[str, object]:
        return {
            "id": "someone/gemma",
            "sha": REVISION,
            "cardData": {"license": self.licence},
            "siblings": [
                {
                    "rfilename": file.name,
                    "size": file.stat().st_size,
                    "blobId": "0",
                    **(
                        {"lfs": {"sha256": self.digest(file), "size": file.stat().st_size,
                                 "pointerSize": 1}}
                        if file.suffix == ".safetensors"
                        else {}
                    ),
                }
                for file in sorted(self.directory.iterdir())
            ],
        }  # fmt: skip


@pytest.fixture
def hub(tiny_checkpoint, tmp_path, monkeypatch) -> Iterator[FakeHub]:
    hub = FakeHub(Path(shutil.copytree(tiny_checkpoint, tmp_path / "remote")))
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    # Breaks in the network are tried again after pauses, which the tests need not wait for.
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    yield hub
    hub.close()
