"""The certificate with which an engine speaks TLS: a given one, or its own.

Clients trust an engine's own certificate by its fingerprint, which they have in their settings,
so neither its name nor its issuer counts.
"""

from __future__ import annotations

import datetime
import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from dg_lsp.files import write_private
from dg_lsp.reason import CodedError, ReasonCode
from dg_lsp.service.address import IS_WINDOWS

OWN_DAYS = 3650
"""Clients would have to be told of a new fingerprint, so it lasts as long as a server may."""
NAME = "dg-lsp engine"


class CertificateError(CodedError, ValueError):
    """A certificate or its key cannot be used; the message says why."""

    code = ReasonCode.BAD_CERTIFICATE


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate whose key is at hand."""

    certificate: Path
    """A PEM file, with the certificates between it and a known issuer, if there are any."""
    key: Path
    fingerprint: str
    """SHA-256 of the certificate, as 64 hexadecimal digits."""


def given_certificate(certificate: Path, key: Path) -> Certificate:
    """The user's certificate; raises `CertificateError` if TLS could not use it now."""
    return _checked(certificate, key, f"{certificate} and {key}")


def own_certificate(directory: Path) -> Certificate:
    """The engine's own certificate, made when there is none yet."""
    path = directory / "engine.pem"
    if not path.exists():
        _make(path)
    elif not IS_WINDOWS and path.stat().st_mode & 0o077:
        raise CertificateError(
            f"others can access the key in {path}; chmod 600 it, or delete it for a new one"
        )
    return _checked(path, path, f"{path}; delete it for a new one")


def fingerprint_of(der: bytes) -> str:
    """SHA-256 of a certificate in DER, as 64 hexadecimal digits."""
    return hashlib.sha256(der).hexdigest()


def _checked(certificate: Path, key: Path, where: str) -> Certificate:
    from cryptography import x509

    try:
        # Also says whether the two belong together. It must not ask for a password.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password=lambda: "")
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        said = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise CertificateError(f"TLS cannot use {where}: {said}") from error
    if found.not_valid_after_utc < datetime.datetime.now(datetime.UTC):
        raise CertificateError(
            f"the certificate expired on {found.not_valid_after_utc:%Y-%m-%d}: {where}"
        )
    from cryptography.hazmat.primitives.serialization import Encoding

    return Certificate(certificate, key, fingerprint_of(found.public_bytes(Encoding.DER)))


def _make(path: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A client's clock may be behind.
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=OWN_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + made.public_bytes(serialization.Encoding.PEM)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Of two engines that start at once, both use the first one's.
        write_private(path, pem, replaces=False)
    except OSError as error:
        raise CertificateError(f"{path} cannot be written: {error.strerror}") from error
