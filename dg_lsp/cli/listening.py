"""The options of `dg-lsp engine run --listen`: who gets in, and what a client may ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dg_lsp.cli import ArgumentError

if TYPE_CHECKING:
    from dg_lsp.service.access.entrance import Entrance

ListenOption = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Listen on TCP instead of the user's socket."),
]
InsecureOption = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="With --listen: no TLS and, on the loopback interface, no token either.",
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file", metavar="FILE", help="File with a single token, for clients on TCP."
    ),
]
FingerprintOption = Annotated[
    str,
    typer.Option(
        metavar="SHA256", help="The fingerprint of the engine's own certificate, with https."
    ),
]
TokensOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File of the tokens of `dg-lsp token`; default: yours."),
]
TlsCertOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Certificate (PEM); by default, the engine makes its own."
    ),
]
TlsKeyOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The certificate's key, if it is not in its file."),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Fill the jobs from another server, such as vLLM (docs/remote.md has the forms), "
        "with the token in DG_LSP_TOKEN; --model is its model's name.",
    ),
]
LimitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="WHAT=N",
        help="What one named token may ask for: requests=40 and bytes=2000000 a second, "
        "chars=200000 of context in a job, jobs=16 open. 0 is no limit; may be repeated.",
    ),
]
_LIMITS = {
    "requests": "requests_per_s",
    "bytes": "bytes_per_s",
    "chars": "context_chars",
    "jobs": "open_jobs",
}


def open_entrance(
    host: str | None,
    *,
    insecure: bool,
    token_file: Path | None,
    tokens: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    limits: list[str] | None,
) -> Entrance:
    """The entrance that the options describe; `host` is `None` without --listen."""
    from dg_lsp.service.access.entrance import OPEN, EntranceOptions, entrance_for
    from dg_lsp.service.access.limits import ClientLimits

    given = {
        "--insecure": insecure,
        "--tokens": tokens,
        "--tls-cert": tls_cert,
        "--tls-key": tls_key,
        "--limit": limits,
    }
    if host is None:
        for option, value in given.items():
            if value:
                raise ArgumentError(
                    f"{option} is for --listen; a socket is for one user and needs none"
                )
        return OPEN
    allowed = ClientLimits(**dict(map(_limit, limits or ())))  # type: ignore[arg-type]
    options = EntranceOptions(insecure, token_file, tokens, tls_cert, tls_key, allowed)
    return entrance_for(host, options)


def _limit(text: str) -> tuple[str, float]:
    what, _, number = text.partition("=")
    if what not in _LIMITS or not (number.isascii() and number.isdigit()) or len(number) > 15:
        raise ArgumentError(
            f"--limit {text} must be one of {', '.join(_LIMITS)}, then = and a number"
        )
    return _LIMITS[what], int(number)
