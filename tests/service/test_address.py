"""Addresses, tokens, and a runtime directory that is the user's alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dg_lsp.service.address import (
    MAX_SOCKET_PATH_BYTES,
    Address,
    AddressError,
    engine_name,
    engine_names,
    local_address,
    parse_address,
    parse_listen,
    read_token,
    runtime_directory,
)

posix_only = pytest.mark.skipif(os.name == "nt", reason="modes and sockets are of POSIX")


@pytest.mark.parametrize(
    ("text", "expect"),
    [
        ("127.0.0.1:80", Address("http://127.0.0.1:80")),
        ("http://box:8012/", Address("http://box:8012")),
        ("https://box", Address("https://box")),
        ("[::1]:80", Address("http://[::1]:80")),
        ("unix:/run/x.sock", Address("http://dg-lsp", Path("/run/x.sock"))),
        ("unix:///run/x.sock", Address("http://dg-lsp", Path("/run/x.sock"))),
    ],
)
def test_reads_addresses(text, expect):
    assert parse_address(text) == expect


@pytest.mark.parametrize(
    "text", ["", "box", "ftp://box:1", "http://", "box:port", "box:99999", "http://[::1"]
)
def test_refuses_what_is_no_address(text):
    with pytest.raises(AddressError) as refused:
        parse_address(text)

    assert "\n" not in str(refused.value)


def test_a_token_is_not_shown():
    assert "secret" not in repr(parse_address("box:1", "secret-token"))


@pytest.mark.parametrize(
    ("text", "expect"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:9", ("::1", 9)), ("box:65535", ("box", 65535))],
)
def test_reads_where_to_listen(text, expect):
    assert parse_listen(text) == expect


@pytest.mark.parametrize("text", ["", "9", ":9", "box:", "box:x", "box:65536", "box:-1", "b:²"])
def test_refuses_where_not_to_listen(text):
    with pytest.raises(AddressError):
        parse_listen(text)


@pytest.mark.parametrize("content", [b"short", b"two words of a token", b"", b"\xff" * 20])
def test_refuses_weak_tokens(tmp_path, content):
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(AddressError, match="token"):
        read_token(path)
    with pytest.raises(AddressError, match="cannot be read"):
        read_token(tmp_path / "absent")


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
def test_the_directory_is_made_for_the_user_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("DG_LSP_RUNTIME_DIR", str(tmp_path / "d"))
    directory = runtime_directory()

    assert directory == tmp_path / "d"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert runtime_directory() == directory
    (directory / "engine.lock").touch()
    (directory / "engine-12345678.lock").touch()
    assert engine_names(directory) == ["engine", "engine-12345678"]


@posix_only
@pytest.mark.parametrize("obstacle", ["open", "file", "link", "parent", "owner"])
def test_a_directory_of_others_is_refused(tmp_path, monkeypatch, obstacle):
    directory = tmp_path / "d"
    monkeypatch.setenv("DG_LSP_RUNTIME_DIR", str(directory))
    if obstacle == "file":
        directory.touch()
    elif obstacle == "link":
        (tmp_path / "other").mkdir(mode=0o700)
        directory.symlink_to(tmp_path / "other")
    else:
        directory.mkdir(mode=0o700)
    if obstacle == "open":
        directory.chmod(0o750)
    if obstacle == "parent":
        tmp_path.chmod(0o777)
    if obstacle == "owner":
        mine = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: mine + 1)

    with pytest.raises(AddressError) as refused:
        runtime_directory()

    assert str(tmp_path) in str(refused.value)


@posix_only
def test_a_long_path_has_a_short_stand_in(tmp_path, monkeypatch):
    monkeypatch.setenv("DG_LSP_RUNTIME_DIR", str(tmp_path / ("x" * 90)))
    directory = runtime_directory()
    address = local_address(directory, "engine-12345678")

    assert address is not None
    assert len(os.fsencode(address.socket)) <= MAX_SOCKET_PATH_BYTES
    assert runtime_directory() == directory
    directory.rmdir()


@posix_only
def test_without_a_runtime_directory_of_the_system_there_is_one_in_tmp(tmp_path, monkeypatch):
    monkeypatch.delenv("DG_LSP_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    assert runtime_directory().parent == tmp_path
