"""Decides which token and which certificate an engine on TCP requires.

Whoever can connect from another machine needs a token, always, and the connection is encrypted
unless the user says `--insecure`. On the loopback interface nothing leaves the machine, so
there is no TLS by default, and with `--insecure` no token either.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dg_lsp.reason import ReasonCode
from dg_lsp.service.access.certificate import (
    Certificate,
    given_certificate,
    own_certificate,
)
from dg_lsp.service.access.limits import DEFAULT_LIMITS, NO_LIMITS, ClientLimits
from dg_lsp.service.access.tokens import (
    SingleToken,
    TokenBook,
    Tokens,
    access_directory,
    read_tokens,
    tokens_file,
)
from dg_lsp.service.address import AddressError, is_loopback, read_token


@dataclass(frozen=True, slots=True)
class Entrance:
    """What a client on TCP needs, and how much it may ask for."""

    tokens: Tokens | None = None
    """`None` lets in everybody who can connect."""
    certificate: Certificate | None = None
    """`None` means plain HTTP."""
    limits: ClientLimits = NO_LIMITS


OPEN = Entrance()


@dataclass(frozen=True, slots=True)
class EntranceOptions:
    """What the command line says about it."""

    insecure: bool = False
    token_file: Path | None = None
    """A file with a single token, in place of the file of named tokens."""
    tokens: Path | None = None
    """The file of named tokens; by default the user's own."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    """If only the certificate is given, its file contains the key as well."""
    limits: ClientLimits = DEFAULT_LIMITS


def entrance_for(host: str, options: EntranceOptions) -> Entrance:
    """The entrance of an engine that listens on a host.

    Raises a `CodedError` if a token or a certificate is missing or cannot be used, or if an
    option does not apply.
    """
    tokens = _tokens(host, options)
    # A single token may be shared by many, so it does not tell who is a client.
    limits = options.limits if isinstance(tokens, TokenBook) else NO_LIMITS
    return Entrance(tokens, _certificate(host, options), limits)


def _tokens(host: str, options: EntranceOptions) -> Tokens | None:
    if options.token_file is not None:
        if options.tokens is not None:
            raise _refused("--token-file and --tokens cannot be combined")
        return SingleToken(read_token(options.token_file))
    if options.insecure and is_loopback(host) and options.tokens is None:
        return None
    path = options.tokens or tokens_file()
    if not read_tokens(path):
        way_out = "" if not is_loopback(host) else ", or use --insecure"
        raise _refused(
            f"--listen {host} needs a token, and there is none in {path}; make one with "
            f"`dg-lsp token new NAME`{way_out}"
        )
    return TokenBook(path)


def _certificate(host: str, options: EntranceOptions) -> Certificate | None:
    if options.tls_cert is not None:
        if options.insecure:
            raise _refused("--insecure means no TLS, so it cannot be combined with --tls-cert")
        return given_certificate(options.tls_cert, options.tls_key or options.tls_cert)
    if options.tls_key is not None:
        raise _refused("--tls-key needs --tls-cert")
    if options.insecure or is_loopback(host):
        return None
    return own_certificate(access_directory())


def _refused(message: str) -> AddressError:
    return AddressError(message, ReasonCode.INVALID_ARGUMENT)
