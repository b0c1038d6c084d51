"""Which token and which certificate an engine requires, by where it listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from dg_lsp.reason import CodedError, ReasonCode
from dg_lsp.service.access.entrance import EntranceOptions, entrance_for
from dg_lsp.service.access.limits import DEFAULT_LIMITS, NO_LIMITS
from dg_lsp.service.access.tokens import SingleToken, TokenBook, new_token, tokens_file

LOCALHOST = Path(__file__).parent.parent / "localhost.pem"
NETWORK = ("0.0.0.0", "::", "192.0.2.1", "box", "box.example.org")
LOOPBACK = ("127.0.0.1", "localhost", "::1", "127.5.5.5")


@pytest.fixture(autouse=True)
def access_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("DG_LSP_ACCESS_DIR", str(tmp_path / "access"))
    return tmp_path / "access"


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text("0123456789abcdef\n")
    return path


def refused(host: str, **options) -> CodedError:
    with pytest.raises(CodedError) as raised:
        entrance_for(host, EntranceOptions(**options))
    return raised.value


@pytest.mark.parametrize("host", NETWORK)
def test_from_other_machines_there_is_always_a_token_and_tls_unless_insecure(host):
    for options in ({}, {"insecure": True}):
        error = refused(host, **options)
        assert (error.code, host in str(error)) == (ReasonCode.INVALID_ARGUMENT, True)
    new_token(tokens_file(), "ada")

    found = entrance_for(host, EntranceOptions())
    assert isinstance(found.tokens, TokenBook)
    assert found.certificate is not None
    assert found.limits == DEFAULT_LIMITS
    plain = entrance_for(host, EntranceOptions(insecure=True))
    assert isinstance(plain.tokens, TokenBook)
    assert plain.certificate is None


@pytest.mark.parametrize("host", LOOPBACK)
def test_on_this_machine_there_is_no_tls_and_insecure_needs_no_token(host, token_file):
    assert refused(host).code is ReasonCode.INVALID_ARGUMENT
    open_to_all = entrance_for(host, EntranceOptions(insecure=True))
    assert (open_to_all.tokens, open_to_all.certificate) == (None, None)
    assert open_to_all.limits == NO_LIMITS

    found = entrance_for(host, EntranceOptions(token_file=token_file))
    assert isinstance(found.tokens, SingleToken)
    assert (found.certificate, found.limits) == (None, NO_LIMITS)


def test_a_given_certificate_is_used_anywhere(token_file):
    for host in ("127.0.0.1", "0.0.0.0"):
        options = EntranceOptions(token_file=token_file, tls_cert=LOCALHOST)
        assert entrance_for(host, options).certificate.certificate == LOCALHOST


def test_what_does_not_go_together(token_file, access_directory):
    new_token(tokens_file(), "ada")
    for options in (
        {"tls_cert": LOCALHOST, "insecure": True},
        {"tls_key": LOCALHOST},
        {"token_file": token_file, "tokens": tokens_file()},
    ):
        assert refused("0.0.0.0", **options).code is ReasonCode.INVALID_ARGUMENT
    assert not (access_directory / "engine.pem").exists()
