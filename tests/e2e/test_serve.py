"""The server as a process, over stdio and TCP, with the capabilities of real editors."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dg_lsp.server.rpc.transport import FIRST_POLL_S

URI = "file:///work/a.py"
VS_CODE = {
    "general": {"positionEncodings": ["utf-16"]},
    "workspace": {
        "applyEdit": True,
        "configuration": True,
        "didChangeConfiguration": {"dynamicRegistration": True},
        "workspaceEdit": {"documentChanges": True, "changeAnnotationSupport": {}},
    },
    "window": {"workDoneProgress": True},
    "textDocument": {
        "inlineCompletion": {"dynamicRegistration": True},
        "completion": {"dynamicRegistration": True},
    },
}
NEOVIM = {
    "general": {"positionEncodings": ["utf-8", "utf-16", "utf-32"]},
    "workspace": {"applyEdit": True, "configuration": True},
    "window": {"workDoneProgress": True},
    "textDocument": {"inlineCompletion": {"dynamicRegistration": False}},
}
LSP_MODE = {"general": {"positionEncodings": ["utf-32", "utf-16"]}}
PROFILES = pytest.mark.parametrize(
    ("capabilities", "emoji_width"),
    [(VS_CODE, 2), (NEOVIM, 4), (LSP_MODE, 1)],
    ids=["vs-code", "neovim", "lsp-mode"],
)
ADD = "def add(a, b):\n    return \n"


def has_settled(server) -> bool:
    return server.told("client/registerCapability") != []


@PROFILES
def test_a_session_from_start_to_end(start_server, capabilities, emoji_width):
    server = start_server(answers={"🙂 = ": ["42"]})
    result = server.begin(capabilities)["capabilities"]
    static = result.get("inlineCompletionProvider") is not None
    server.open("🙂 = \n")
    character = emoji_width + 3
    [item] = server.inline(0, character)

    at = {"line": 0, "character": character}
    assert item == {"insertText": "42", "range": {"start": at, "end": at}}
    server.insert(0, character, "4")
    [item] = server.inline(0, character + 1)
    assert item["insertText"] == "2"
    server.finish()
    server.to_the_end()
    # Told in one way, and in one way only.
    assert static != has_settled(server) or capabilities is LSP_MODE
    # The script itself makes sure that torch is not loaded.
    assert server.wait() == (0, "")


@PROFILES
def test_exactly_one_answer_per_request(start_server, capabilities, emoji_width):
    server = start_server(step_s=0.002)
    server.begin(capabilities)
    server.open("")
    requests = []
    for version in range(2, 40):
        server.insert(0, version - 2, "q")
        requests.append(server.send_inline(0, version - 1, kind=1 + version % 2))
        if version % 3 == 0:
            server.cancel(requests[-1])
        if version % 5 == 0:
            requests.append(server.send("no/such", {}))
        if version % 7 == 0:
            requests.append(server.send("textDocument/inlineCompletion", {"position": version}))
    last = server.send_inline(0, 38)
    server.answer(last)
    server.finish()

    answered = [one["id"] for one in server.to_the_end() if "method" not in one]
    assert sorted(answered) == sorted({1, *requests, last, len(server.answers)})
    status, stderr = server.wait()
    assert status == 0
    assert "Traceback" not in stderr


def test_the_newest_wins_though_the_client_never_cancels(start_server):
    """As Neovim does: nine requests while typing, and no `$/cancelRequest`."""
    server = start_server(step_s=0.05)
    server.begin(NEOVIM)
    server.open("")
    requests = []
    for version in range(2, 11):
        server.insert(0, version - 2, "q")
        requests.append(server.send_inline(0, version - 1))

    *older, newest = [server.answer(request)["result"]["items"] for request in requests]
    assert older == [[]] * 8
    assert [item["insertText"] for item in newest] == ["infilled"]
    server.finish()
    assert server.wait() == (0, "")


def test_drafts_in_order_and_none_after_cancel(start_server):
    answers = {"return ": ["a + b", "a - b", "a * b", "a / b", "b - a"]}
    server = start_server(step_s=0.01, num_drafts=200, answers=answers)
    server.begin({**VS_CODE, "experimental": {"dgLsp": {"drafts": True}}})
    server.open(ADD)
    request = server.send_inline(1, 11, draftToken="mine")
    server.until(lambda: server.told("dgLsp/draft"))
    server.cancel(request)
    answer = server.answer(request)
    assert answer["error"]["code"] == -32800
    server.finish()

    drafts = server.told("dgLsp/draft")
    steps = [draft["step"] for draft in drafts]
    assert steps == sorted(set(steps))
    assert {draft["token"] for draft in drafts} == {"mine"}
    messages = server.to_the_end()
    later = messages[messages.index(answer) :]
    assert [one for one in later if one.get("method") == "dgLsp/draft"] == []


def test_what_is_no_message_ends_nothing(start_server):
    server = start_server()
    server.begin()
    server.raw(b"Content-Length: 3\r\n\r\n{]}")
    body = b'{"jsonrpc": "2.0", "id": 77, "method": "no/such"}'
    server.raw(b"content-length: %d\r\n\r\n" % len(body) + body)
    server.until(lambda: any(one.get("id") == 77 for one in server.messages))
    [answer] = [one for one in server.messages if one.get("id") == 77]
    assert answer["error"]["code"] == -32601
    server.open("x = ")
    assert len(server.inline(0, 4)) == 1
    server.finish()
    assert server.wait()[0] == 0


@pytest.mark.parametrize(
    "garbled",
    [
        b'Content-Length: 9\r\n\r\n{"jsonrpc": "2.0", "id": 77, "method": "my secret"}',
        b"Content-Length: -4\r\n\r\n{}",
        b"Content-Length: +5\r\n\r\n{}",
        b"Content-Type: x\r\n\r\n{}",
        b"Content-Length: 99999999999\r\n\r\n{}",
        b'{"jsonrpc": "2.0", "id": 77, "method": "shutdown"}\n',
    ],
)
def test_garbled_frames_end_the_session_with_a_message(start_server, garbled):
    server = start_server()
    server.begin()
    server.open("x = ")
    server.raw(garbled)

    told = [one for one in server.to_the_end() if one.get("error")]
    assert {one["error"]["code"] for one in told} == {-32700}
    assert [one["id"] for one in told] == [None] * len(told)
    status, log = server.wait()
    assert status == 1
    assert "malformed" in log
    assert "secret" not in log


@pytest.mark.parametrize("how", ["exit", "end of file"])
def test_a_client_that_leaves_without_shutdown_is_status_1(start_server, how):
    server = start_server(step_s=0.05)
    server.begin()
    server.open(ADD)
    server.send_inline(1, 11)
    if how == "exit":
        server.notify("exit")
    else:
        server.hang_up()
    server.to_the_end()
    assert server.process.wait(30) == 1


def test_the_server_ends_when_its_editor_is_gone(start_server):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as editor:
        server = start_server()
        server.begin(process_id=editor.pid)
        server.open("x = ")
        server.inline(0, 4)
        # Long enough for the server to have seen it once.
        threading.Event().wait(2 * FIRST_POLL_S)
        editor.kill()
    # Its end of our pipes stays open, as a child of it may hold it.
    server.to_the_end()
    assert server.process.wait(30) == 1


def fill_pipe(send) -> None:
    """Make the server write more than any pipe holds, and read nothing of it."""
    method = "no/such/" + "x" * 200
    for number in range(2, 2000):
        body = json.dumps({"jsonrpc": "2.0", "id": number, "method": method}).encode()
        send(b"Content-Length: %d\r\n\r\n" % len(body) + body)


def initialize(process_id: int | None) -> bytes:
    params = {"processId": process_id, "rootUri": None, "capabilities": {}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    body = json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


SERVE_SCRIPTED = [sys.executable, "tests/e2e/serve_scripted.py"]
SERVE = [sys.executable, "-m", "dg_lsp", "serve", "--log-level", "debug"]


@pytest.mark.parametrize("is_reaped", [True, False])
def test_the_server_ends_though_nobody_reads_what_it_writes(is_reaped):
    """The pipes stay open and full, also that of the log, as a child of the editor may hold
    them."""
    editor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    pipe = subprocess.PIPE
    server = subprocess.Popen(SERVE, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
    with editor, server:
        server.stdin.write(initialize(editor.pid))
        fill_pipe(server.stdin.write)
        # It still looks after its editor, which it has seen by then.
        threading.Event().wait(4 * FIRST_POLL_S)
        assert server.poll() is None
        editor.kill()
        if is_reaped:
            editor.wait()
        assert server.wait(30) == 1


EDITOR = """
import json, subprocess, sys, time
pipe = subprocess.PIPE
server = subprocess.Popen(sys.argv[1:], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
print(server.pid, flush=True)
while piece := sys.stdin.buffer.read(1 << 12):
    server.stdin.write(piece)
    server.stdin.flush()
time.sleep(600)
"""


def test_an_editor_that_never_reads_and_is_killed_leaves_no_server():
    command = [sys.executable, "-c", EDITOR, *SERVE_SCRIPTED]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0) as editor:
        server = psutil.Process(int(editor.stdout.readline()))
        editor.stdin.write(initialize(editor.pid))
        fill_pipe(editor.stdin.write)
        threading.Event().wait(4 * FIRST_POLL_S)
        assert server.is_running()
        editor.kill()
        gone, _ = psutil.wait_procs([server], timeout=30)
    assert gone == [server]


@pytest.mark.parametrize("way", ["pipes", "tcp"])
def test_a_client_with_too_much_to_read_ends_the_session(tmp_path, way):
    """Memory is bounded although the client lives on."""
    script = "from dg_lsp.server.rpc import transport\n"
    script += "transport.MAX_UNREAD_BYTES = 50_000\n"
    script += "import sys, runpy; sys.argv = sys.argv[1:]\n"
    script += "runpy.run_path(sys.argv[0], run_name='__main__')"
    options = [json.dumps({"tcp": True})] if way == "tcp" else []
    command = [sys.executable, "-c", script, *SERVE_SCRIPTED[1:], *options]
    pipe, log = subprocess.PIPE, tmp_path / "log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr, bufsize=0) as server,
        socket.socket() as client,
    ):
        send = server.stdin.write
        if way == "tcp":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", int(server.stdout.readline())))
            send = client.sendall
        send(initialize(None))
        with contextlib.suppress(OSError):
            for _ in range(20):
                fill_pipe(send)
        assert server.wait(60) == 1
    assert "does not read" in log.read_text()


def test_an_editor_in_another_container_is_not_missed(start_server):
    # Its number means nothing here: beyond what Linux gives to processes.
    server = start_server()
    server.begin(process_id=2**30)
    threading.Event().wait(2 * FIRST_POLL_S)
    server.open("x = ")
    assert len(server.inline(0, 4)) == 1
    server.finish()
    assert server.wait()[0] == 0


def test_tcp_serves_one_client_and_refuses_the_second(connect):
    argv = [sys.executable, "tests/e2e/serve_scripted.py", json.dumps({"tcp": True})]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        # What a page in the user's browser can send does not take the session.
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", initialize(None))
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            urllib.request.urlopen(request, timeout=20)
        first = connect(port)
        first.begin(VS_CODE)
        second = connect(port)
        assert second.to_the_end() == []
        first.open("x = ")
        assert len(first.inline(0, 4)) == 1
        first.finish()
        first.to_the_end()
        assert process.wait(30) == 0


def test_starting_loads_no_tensor_library(start_server):
    script = """
import sys
from dg_lsp.cli import run
status = run(["serve", "--stdio"])
print(status, sorted({"torch", "transformers"} & set(sys.modules)), file=sys.stderr)
"""
    server = start_server("-c", script)
    server.begin(VS_CODE)
    server.finish()
    assert server.wait() == (0, "0 []\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tcp", "nowhere"], "is not HOST:PORT"),
        (["--tcp", "127.0.0.1:99999"], "a port above 65535"),
        (["--tcp", "0.0.0.0:4711"], "0.0.0.0"),
        (["--tcp", "127.0.0.1:1", "--stdio"], "cannot be combined"),
        (["--log-level", "loud"], "is not a log level"),
    ],
)
def test_arguments_that_cannot_be_followed(arguments, said):
    ended = subprocess.run(
        [sys.executable, "-m", "dg_lsp", "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    assert said in ended.stderr


def test_the_real_command_with_the_bundled_model(start_server):
    server = start_server("-m", "dg_lsp", "serve", "--device", "cpu", "--in-process")
    server.begin({**NEOVIM, "experimental": {"dgLsp": {"drafts": True, "status": True}}})
    server.open("import os\n\nfor name in os.listdir(path):\n    print(\n")
    # Who takes drafts waits for the end, so this is the answer of the model, loading included.
    items = server.inline(3, 10, kind=1)
    for item in items:
        assert item["range"]["start"] == item["range"]["end"] == {"line": 3, "character": 10}
    status = server.ask("workspace/executeCommand", {"command": "dg-lsp.status"})
    assert (status["model"], status["kind"]) == ("bundled", "Normal")
    server.finish()
    server.to_the_end()
    assert server.told("dgLsp/draft")
    assert server.process.wait(30) == 0


TWO_TESTS = """\
def test_add_user(client):
    response = client.post("/users/add", json={"name": "Ada"})
    assert response.status_code == 200


def test_delete_user(client):
    
"""


def test_the_empty_body_of_a_second_test_is_written_after_the_first(start_server):
    server = start_server("-m", "dg_lsp", "serve", "--device", "cpu", "--in-process")
    server.begin(NEOVIM)
    server.open(TWO_TESTS)
    item, *_ = server.inline(6, 4, kind=1)
    assert item["insertText"] == (
        'response = client.post("/users/delete", json={"name": "Ada"})\n'
        "    assert response.status_code == 200"
    )
    server.finish()
    server.to_the_end()


@pytest.fixture(scope="module")
def shared(start_server):
    """One process for all examples of the property below."""
    server = start_server()
    server.begin(VS_CODE)
    return server


ALPHABET = ["a", "🙂", "é", "\n", "\r", "\r\n", "\u2028", "\x0c"]
PIECES = st.lists(st.sampled_from(ALPHABET), max_size=5).map("".join)
EDITS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 60), st.integers(0, 60), PIECES),
        st.tuples(st.just(-1), PIECES),
    ),
    max_size=8,
)


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=PIECES, batches=st.lists(EDITS, max_size=3))
def test_the_text_stays_that_of_the_client(shared, text, batches):
    """Random edits of a client that counts UTF-16, cutting through pairs now and then."""
    units = text.encode("utf-16-le")
    shared.open(text)
    for batch in batches:
        changes = []
        for edit in batch:
            if len(edit) == 2:
                units = edit[1].encode("utf-16-le")
                changes.append({"text": edit[1]})
                continue
            ends = sorted((position(units, at) for at in edit[:2]), key=lambda one: one[1])
            (start, first), (end, last) = ends
            changes.append({"range": {"start": start, "end": end}, "text": edit[2]})
            units = units[: 2 * first] + edit[2].encode("utf-16-le") + units[2 * last :]
        shared.change(URI, *changes)

    expect = units.decode("utf-16-le", "surrogatepass")
    assert shared.ask("test/text", {"uri": URI}) == expect


def position(units: bytes, at: int) -> tuple[dict[str, int], int]:
    """A position of the client, and its place in code units."""
    at = min(at, len(units) // 2)
    before = units[: 2 * at].decode("utf-16-le", "surrogatepass")
    if before.endswith("\r") and units[2 * at : 2 * at + 2] == b"\n\x00":
        before, at = before[:-1], at - 1
    lines = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    last = len(lines[-1].encode("utf-16-le", "surrogatepass")) // 2
    return {"line": len(lines) - 1, "character": last}, at


def test_what_is_printed_while_serving_goes_to_stderr(start_server):
    script = """
from dg_lsp.cli import compose, run
from dg_lsp.reason import CodedError

def open_infiller(model, device):
    print("a library says hello")
    raise CodedError("no model today")

compose.open_infiller = open_infiller
run(["serve", "--in-process"])
"""
    server = start_server("-c", script)
    server.begin()
    server.open("x = ")
    assert server.inline(0, 4) == []
    status = server.ask("workspace/executeCommand", {"command": "dg-lsp.status"})
    assert (status["kind"], status["message"]) == ("Error", "no model today")
    server.finish()
    assert "a library says hello" in server.wait()[1]
