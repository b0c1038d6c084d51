"""Certificates: the engine's own, given ones, and what TLS cannot use."""

from __future__ import annotations

import datetime
import hashlib
import os
import ssl
import stat
from pathlib import Path

import pytest

from dg_lsp.reason import ReasonCode
from dg_lsp.service.access.certificate import (
    CertificateError,
    given_certificate,
    own_certificate,
)
from tests.service.certificates import write_certificate

LOCALHOST = Path(__file__).parent.parent / "localhost.pem"


def test_the_engine_makes_its_own_and_keeps_it(tmp_path):
    first = own_certificate(tmp_path / "access")
    again = own_certificate(tmp_path / "access")
    other = own_certificate(tmp_path / "elsewhere")

    assert first == again
    assert first.fingerprint != other.fingerprint
    pem = first.certificate.read_text()
    der = ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERTIFICATE") :])
    assert first.fingerprint == hashlib.sha256(der).hexdigest()


@pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX")
def test_only_the_user_can_read_the_key(tmp_path):
    before = os.umask(0)
    try:
        made = own_certificate(tmp_path / "access")
    finally:
        os.umask(before)

    assert stat.S_IMODE(made.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.key.parent.stat().st_mode) == 0o700
    assert [path.name for path in made.key.parent.iterdir()] == ["engine.pem"]


@pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX")
def test_its_own_is_not_used_while_others_can_read_the_key(tmp_path):
    made = own_certificate(tmp_path)
    made.key.chmod(0o640)
    with pytest.raises(CertificateError, match="chmod 600"):
        own_certificate(tmp_path)
    made.key.chmod(0o600)

    assert own_certificate(tmp_path) == made


def test_a_given_certificate_with_its_key_in_one_file_or_two(tmp_path):
    pem = LOCALHOST.read_text()
    at = pem.index("-----BEGIN CERTIFICATE")
    rest = pem[at:].partition("-----END CERTIFICATE-----\n")
    (tmp_path / "cert.pem").write_text(rest[0] + rest[1])
    (tmp_path / "key.pem").write_text(pem[:at] + rest[2])

    one = given_certificate(LOCALHOST, LOCALHOST)
    two = given_certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert one.fingerprint == two.fingerprint


def test_what_tls_cannot_use_is_said(tmp_path):
    now = datetime.datetime.now(datetime.UTC)
    expired = write_certificate(tmp_path / "old.pem", until=now - datetime.timedelta(days=1))
    other = write_certificate(tmp_path / "other.pem")
    (tmp_path / "text.pem").write_text("hello")
    for certificate, key in (
        (expired, expired),
        (LOCALHOST, other),
        (tmp_path / "text.pem", tmp_path / "text.pem"),
        (tmp_path / "absent.pem", LOCALHOST),
    ):
        with pytest.raises(CertificateError) as raised:
            given_certificate(certificate, key)
        assert raised.value.code is ReasonCode.BAD_CERTIFICATE
        assert str(certificate) in str(raised.value)
    with pytest.raises(CertificateError, match="expired on"):
        given_certificate(expired, expired)


def test_an_unusable_file_of_its_own_is_not_replaced(tmp_path):
    (tmp_path / "engine.pem").write_text("mine")
    (tmp_path / "engine.pem").chmod(0o600)
    with pytest.raises(CertificateError, match="delete it"):
        own_certificate(tmp_path)
    assert (tmp_path / "engine.pem").read_text() == "mine"
