"""Addresses, tokens, and a runtime directory that is the user's alone."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dg_lsp.reason import ReasonCode
from dg_lsp.service import runtime
from dg_lsp.service.address import (
    Address,
    AddressError,
    TokenError,
    client_token,
    engine_name,
    engine_names,
    local_address,
    parse_address,
    parse_listen,
    read_token,
    runtime_directory,
)

posix_only = pytest.mark.skipif(os.name == "nt", reason="modes and sockets are of POSIX")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="systemd's variable counts")


@pytest.fixture
def short():
    """A directory whose path leaves room for a socket's name, wherever pytest keeps its own."""
    directory = Path(tempfile.mkdtemp(prefix="dgl"))
    yield directory
    shutil.rmtree(directory)


@pytest.mark.parametrize(
    ("text", "expect"),
    [
        ("127.0.0.1:80", Address("http://127.0.0.1:80")),
        ("http://box:8012/", Address("http://box:8012")),
        ("https://box", Address("https://box")),
        # What leaves this machine is encrypted, unless the address says otherwise.
        ("box:8012", Address("https://box:8012")),
        ("192.0.2.1:8012", Address("https://192.0.2.1:8012")),
        ("[2001:db8::1]:80", Address("https://[2001:db8::1]:80")),
        ("localhost:80", Address("http://localhost:80")),
        ("[::1]:80", Address("http://[::1]:80")),
        ("unix:/run/x.sock", Address("http://dg-lsp", Path("/run/x.sock"))),
        (
            "unix:/run/my runtime/x?.sock",
            Address("http://dg-lsp", Path("/run/my runtime/x?.sock")),
        ),
        ("unix:///run/x.sock", Address("http://dg-lsp", Path("/run/x.sock"))),
    ],
)
def test_reads_addresses(text, expect):
    assert parse_address(text) == expect


@pytest.mark.parametrize(
    "text",
    [
        "",
        "box",
        "ftp://box:1",
        "http://",
        "box:port",
        "box:99999",
        "http://[::1",
        "http://me:secret@box",
        f"http://{'x' * 70}.org",
        "box:1\n",
        "box:1\r\nX-Other: 2",
        "\tbox:1",
        "box :1",
        "http://box:1/\n",
        "box:1?",
        "box:1?token=secret",
        "http://box:1/v1?x=1",
        "box:1#",
        "http://box/#part",
        "unix:/run/x.sock\n",
        "unix:/run/\0",
        "box:" + "1" * 5000,
    ],
)
def test_refuses_what_is_no_address(text):
    with pytest.raises(AddressError) as refused:
        parse_address(text)

    assert refused.value.code is ReasonCode.BAD_ADDRESS
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("token", ["geheimnis-ü-0123456789", "line\r\nX-Other: secret"])
def test_refuses_a_token_that_no_header_can_hold(token):
    with pytest.raises(AddressError) as refused:
        parse_address("box:1", token)

    assert refused.value.code is ReasonCode.BAD_TOKEN
    assert token[:5] not in str(refused.value)


def test_a_token_is_not_shown():
    assert "secret" not in repr(parse_address("box:1", "secret-token"))


@pytest.mark.parametrize(
    ("text", "expect"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:9", ("::1", 9)), ("box:65535", ("box", 65535))],
)
def test_reads_where_to_listen(text, expect):
    assert parse_listen(text) == expect


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9",
        ":9",
        "box:",
        "box:x",
        "box:65536",
        "box:-1",
        "b:²",
        "b:1\n",
        "b\n:1",
        "b:\n1",
        "a b:1",
        "b:" + "1" * 5000,
    ],
)
def test_refuses_where_not_to_listen(text):
    with pytest.raises(AddressError) as refused:
        parse_listen(text)

    assert refused.value.code is ReasonCode.BAD_ADDRESS


@pytest.mark.parametrize("content", [b"short", b"two words of a token", b"", b"\xff" * 20])
def test_refuses_weak_tokens(tmp_path, content):
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(AddressError) as refused:
        read_token(path)

    assert refused.value.code is ReasonCode.BAD_TOKEN
    assert str(path) in str(refused.value)


def test_refuses_a_token_file_that_is_not_there(tmp_path):
    path = tmp_path / "absent"
    with pytest.raises(AddressError) as refused:
        read_token(path)

    assert refused.value.code is ReasonCode.BAD_TOKEN
    assert str(path) in str(refused.value)
    assert os.strerror(errno.ENOENT) in str(refused.value)


@posix_only
def test_a_token_file_that_is_none_is_refused_at_once(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    endless = Path("/dev/zero")
    for path in (pipe, tmp_path, endless):
        with pytest.raises(AddressError) as refused:
            read_token(path)
        assert refused.value.code is ReasonCode.BAD_TOKEN
        assert str(path) in str(refused.value)


def test_reads_a_token(tmp_path):
    path = tmp_path / "token"
    path.write_text("0123456789abcdef\n")

    assert read_token(path) == "0123456789abcdef"


def test_engines_are_named_by_model_and_device():
    names = [engine_name(*of) for of in ((None, None), ("m", None), (None, "m"), ("n", None))]

    assert names[0] == "engine"
    assert len({*names}) == 4
    assert all(len(name) <= len("engine-12345678") for name in names)


@posix_only
def test_the_directory_is_made_for_the_user_alone(short, monkeypatch):
    monkeypatch.setenv("DG_LSP_RUNTIME_DIR", str(short / "d"))
    directory = runtime_directory()

    assert directory == short / "d"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert runtime_directory() == directory
    (directory / "engine.lock").touch()
    (directory / "engine-12345678.lock").touch()
    assert engine_names(directory) == ["engine", "engine-12345678"]


@posix_only
@pytest.mark.parametrize("obstacle", ["open", "file", "link", "parent", "owner"])
def test_a_directory_of_others_is_refused(short, monkeypatch, obstacle):
    directory = short / "d"
    monkeypatch.setenv("DG_LSP_RUNTIME_DIR", str(directory))
    if obstacle == "file":
        directory.touch()
    elif obstacle == "link":
        (short / "other").mkdir(mode=0o700)
        directory.symlink_to(short / "other")
    else:
        directory.mkdir(mode=0o700)
    if obstacle == "open":
        directory.chmod(0o750)
    if obstacle == "parent":
        short.chmod(0o777)
    if obstacle == "owner":
        mine = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: mine + 1)

    with pytest.raises(AddressError) as refused:
        runtime_directory()

    assert refused.value.code is ReasonCode.BAD_DIRECTORY
    assert str(short) in str(refused.value)


@posix_only
def test_a_long_path_has_a_short_stand_in(tmp_path, monkeypatch):
    monkeypatch.setenv("DG_LSP_RUNTIME_DIR", str(tmp_path / ("x" * 90)))
    directory = runtime_directory()
    address = local_address(directory, "engine-12345678")

    assert address is not None
    assert len(os.fsencode(address.socket)) <= runtime.MAX_SOCKET_PATH_BYTES
    assert runtime_directory() == directory
    directory.rmdir()


ASK_TWICE = """
import sys
from pathlib import Path
from dg_lsp.service import address, runtime
runtime.SESSIONS, runtime.SHORT_PARENT = f"{sys.argv[1]}/sessions", sys.argv[1]
for _ in range(3):
    try:
        print(address.runtime_directory())
    except address.AddressError as error:
        print(error)
"""


def directories(root: Path, **environment: str) -> set[str]:
    """What two processes with this environment say, each asked three times."""
    kept = {name: value for name, value in os.environ.items() if "RUNTIME_DIR" not in name}
    said = [
        subprocess.run(
            [sys.executable, "-c", ASK_TWICE, str(root)],
            env={**kept, **environment},
            umask=umask,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.splitlines()
        for umask in (0o000, 0o077)
    ]
    assert [len(lines) for lines in said] == [3, 3]
    return {line for lines in said for line in lines}


@posix_only
@linux_only
def test_every_process_comes_to_the_same_directory(short, tmp_path):
    tmp_path.chmod(0o700)
    uid = os.getuid()

    # Neither the variable nor systemd's directory, whatever TMPDIR is.
    assert directories(short) == {str(short / f"dg-lsp-{uid}")}
    assert directories(short, XDG_RUNTIME_DIR="") == {str(short / f"dg-lsp-{uid}")}
    assert directories(short, XDG_RUNTIME_DIR="rel") == {str(short / f"dg-lsp-{uid}")}
    assert directories(short, TMPDIR=str(tmp_path)) == {str(short / f"dg-lsp-{uid}")}
    # A variable whose directory is missing, and one that is as systemd makes it.
    assert directories(short, XDG_RUNTIME_DIR=str(short / "a/b")) == {str(short / "a/b/dg-lsp")}
    assert (short / "a").stat().st_mode & 0o777 == 0o700
    session = short / "sessions" / str(uid)
    session.mkdir(parents=True, mode=0o700)
    assert directories(short, XDG_RUNTIME_DIR=str(session)) == {str(session / "dg-lsp")}
    # A process that was not given the variable finds that one too.
    assert directories(short) == {str(session / "dg-lsp")}
    # One that cannot be made, as after a logout that removed the session's directory.
    (short / "gone").touch()
    gone = str(short / "gone" / "1000")
    assert directories(short, XDG_RUNTIME_DIR=gone) == {str(session / "dg-lsp")}
    shutil.rmtree(session)
    assert directories(short, XDG_RUNTIME_DIR=gone) == {str(short / f"dg-lsp-{uid}")}
    # A long one has a short stand-in.
    [found] = directories(short, XDG_RUNTIME_DIR=str(short / ("x" * 120)))
    assert Path(found).parent == short
    assert Path(found).stat().st_mode & 0o777 == 0o700


@posix_only
@linux_only
def test_a_session_directory_of_another_user_is_refused_and_left_as_it_is(short, monkeypatch):
    theirs = short / "theirs"
    theirs.mkdir(mode=0o755)
    mine = os.getuid()
    if mine == 0:
        os.chown(theirs, 12345, 12345)
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    monkeypatch.delenv("DG_LSP_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(theirs))

    with pytest.raises(AddressError) as refused:
        runtime_directory()
    assert refused.value.code is ReasonCode.BAD_DIRECTORY
    for name in (str(theirs), "another user", "DG_LSP_RUNTIME_DIR"):
        assert name in str(refused.value)
    assert [*theirs.iterdir()] == []


@posix_only
def test_a_directory_that_depends_on_where_one_is_is_refused(monkeypatch):
    monkeypatch.setenv("DG_LSP_RUNTIME_DIR", "here")

    with pytest.raises(AddressError, match=r"\bDG_LSP_RUNTIME_DIR\b.*'here'") as refused:
        runtime_directory()
    assert refused.value.code is ReasonCode.BAD_DIRECTORY


@pytest.mark.parametrize(
    "written", ["sha256:" + "ab" * 32, "AB" * 32, ":".join(["Ab"] * 32), "SHA256:" + "ab" * 32]
)
def test_a_fingerprint_means_tls_and_one_certificate(written):
    for text in ("box:80", "127.0.0.1:80", "https://box:80"):
        address = parse_address(text, None, written)
        assert address.url == f"https://{text.removeprefix('https://')}"
        assert address.fingerprint == "ab" * 32
    assert parse_address("HTTPS://box:80", None, written).fingerprint == "ab" * 32


@pytest.mark.parametrize(
    "written", ["sha256:", "ab" * 31, "ab" * 33, "zz" * 32, "sha1:" + "ab" * 32]
)
def test_what_is_no_fingerprint(written):
    with pytest.raises(AddressError) as raised:
        parse_address("box:80", None, written)
    assert raised.value.code is ReasonCode.BAD_ADDRESS


def test_a_fingerprint_without_tls_is_refused():
    with pytest.raises(AddressError, match="not encrypted"):
        parse_address("http://box:80", None, "ab" * 32)


def test_the_token_is_given_or_in_a_file_or_in_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text("of-the-token-file\n")
    monkeypatch.delenv("DG_LSP_TOKEN", raising=False)
    assert client_token("", "") is None
    monkeypatch.setenv("DG_LSP_TOKEN", "of-the-environment")
    assert client_token("", "") == "of-the-environment"
    assert client_token("", str(file)) == "of-the-token-file"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert client_token("", "~/token") == "of-the-token-file"
    assert client_token("given", str(file)) == "given"
    with pytest.raises(TokenError):
        client_token("", str(tmp_path / "absent"))


def test_a_token_is_not_shown_with_its_address():
    assert "s3cret" not in repr(parse_address("box:80", "s3cret")) + str(
        parse_address("box:80", "s3cret")
    )
