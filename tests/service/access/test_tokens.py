"""Named tokens: shown once, stored as hashes, and refused as soon as they are revoked."""

from __future__ import annotations

import json
import os
import stat
import threading

import pytest

from dg_lsp.reason import ReasonCode
from dg_lsp.service.access import tokens
from dg_lsp.service.access.tokens import (
    Client,
    SingleToken,
    TokenBook,
    new_token,
    read_tokens,
    revoke_token,
)
from dg_lsp.service.address import TokenError

posix_only = pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "access" / "tokens.json"


def test_a_token_tells_its_client(path):
    ada, ops = new_token(path, "ada"), new_token(path, "ops", is_admin=True)
    book = TokenBook(path)

    assert book.find(ada) == Client("ada")
    assert book.find(ops) == Client("ops", is_admin=True)
    for wrong in ("", "ada", ada[:-1], ada + "x", ada.upper(), "dgl_ü", "x" * 10_000):
        assert book.find(wrong) is None


def test_only_salted_hashes_are_stored(path):
    made = [new_token(path, name) for name in ("ada", "bob")]
    text = path.read_text()

    assert all(token not in text and token.removeprefix("dgl_") not in text for token in made)
    stored = json.loads(text)["tokens"]
    assert [one["name"] for one in stored] == ["ada", "bob"]
    assert len({one["salt"] for one in stored}) == 2
    assert all(len(token) > 40 for token in made)
    assert len(set(made)) == 2


@posix_only
def test_only_the_user_can_read_the_file_whatever_the_umask_is(path):
    before = os.umask(0)
    try:
        new_token(path, "ada")
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_revoked_token_is_refused_at_once_and_a_new_one_accepted(path):
    ada, bob = new_token(path, "ada"), new_token(path, "bob")
    book = TokenBook(path)
    assert book.find(ada)
    revoke_token(path, "ada")
    assert book.find(ada) is None
    assert book.find(bob) == Client("bob")
    again = new_token(path, "ada")

    assert book.find(again) == Client("ada")
    assert book.find(ada) is None


def test_every_entry_is_compared(path, monkeypatch):
    made = [new_token(path, name) for name in ("ada", "bob", "eve")]
    book, compared = TokenBook(path), []
    right = tokens.hmac.compare_digest
    monkeypatch.setattr(
        tokens.hmac, "compare_digest", lambda a, b: compared.append(1) or right(a, b)
    )
    for token in (*made, "wrong"):
        compared.clear()
        book.find(token)
        assert len(compared) == 3


def entry(**changed):
    made = {"name": "ada", "salt": "0" * 32, "sha256": "0" * 64, "created": "2026-01-01"}
    return json.dumps({"tokens": [{**made, **changed}]})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"tokens": [{}]}',
        '{"tokens": 1}',
        "\xff",
        pytest.param("[" * 200_000, id="deep"),
        entry(salt="zz"),
        entry(salt=5),
        entry(sha256="ü" * 64),
        entry(sha256=None),
        entry(name="ada\x1b[31m\n"),
        entry(name=["ada"]),
        entry(created=1),
        entry(is_admin="false"),
    ],
)
def test_a_damaged_file_lets_nobody_in(path, content):
    token = new_token(path, "ada")
    book = TokenBook(path)
    assert book.find(token)
    path.write_text(content)

    # Also when the file has not changed since it was found damaged.
    assert [book.find(token) for _ in range(2)] == [None, None]
    with pytest.raises(TokenError):
        read_tokens(path)


def test_a_file_that_is_gone_lets_nobody_in(path):
    token = new_token(path, "ada")
    book = TokenBook(path)
    assert book.find(token)
    path.unlink()

    assert book.find(token) is None


@posix_only
def test_a_file_that_others_can_access_lets_nobody_in(path):
    token = new_token(path, "ada")
    path.chmod(0o640)

    assert TokenBook(path).find(token) is None
    with pytest.raises(TokenError, match="chmod 600"):
        read_tokens(path)


@posix_only
def test_what_is_no_file_is_neither_waited_for_nor_read(path):
    token = new_token(path, "ada")
    path.unlink()
    os.mkfifo(path, 0o600)

    assert TokenBook(path).find(token) is None
    with pytest.raises(TokenError, match="not a file"):
        read_tokens(path)


@posix_only
def test_a_file_of_another_user_lets_nobody_in(path, monkeypatch):
    token = new_token(path, "ada")
    found = path.stat()
    theirs = os.stat_result((*found[:4], found.st_uid + 1, *found[5:]))
    monkeypatch.setattr(type(path), "stat", lambda self: theirs)

    assert TokenBook(path).find(token) is None
    with pytest.raises(TokenError, match="another user"):
        read_tokens(path)


@pytest.mark.parametrize("name", ["", "two words", "-x", "a/b", "ü", "x" * 65, "a\n"])
def test_a_name_is_one_word(path, name):
    with pytest.raises(TokenError) as raised:
        new_token(path, name)
    assert raised.value.code is ReasonCode.INVALID_ARGUMENT
    assert not path.exists()


def test_a_name_is_given_once(path):
    new_token(path, "ada")
    with pytest.raises(TokenError) as raised:
        new_token(path, "ada")
    assert raised.value.code is ReasonCode.NAME_TAKEN
    with pytest.raises(TokenError, match="bob"):
        revoke_token(path, "bob")


def test_commands_at_once_lose_nothing(path):
    names = [f"n{number}" for number in range(8)]
    threads = [threading.Thread(target=new_token, args=(path, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(one.name for one in read_tokens(path)) == names


def test_a_single_token():
    assert SingleToken("0123456789abcdef").find("0123456789abcdef").is_admin
    assert SingleToken("0123456789abcdef").find("0123456789abcdeü") is None
