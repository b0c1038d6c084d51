"""Where an engine is found: the runtime directory, the socket in it, addresses and tokens.

Only the user may access the directory (0700), so the socket in it needs no password. On
Windows, an engine listens on the loopback interface instead, and a file in the directory holds
its address and token; this has not been tested.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dg_lsp.files import read_regular
from dg_lsp.reason import CodedError, ReasonCode
from dg_lsp.service import runtime

IS_WINDOWS = sys.platform == "win32"
MAX_TOKEN_FILE_BYTES = 65536


class AddressError(CodedError, ValueError):
    """An address, a token or the runtime directory cannot be used; the message says why."""

    code = ReasonCode.BAD_ADDRESS


class TokenError(AddressError):
    """A token, or the file that holds it."""

    code = ReasonCode.BAD_TOKEN


class DirectoryError(AddressError):
    """The runtime directory."""

    code = ReasonCode.BAD_DIRECTORY


@dataclass(frozen=True, slots=True)
class Address:
    """Where one engine answers."""

    url: str
    """Base URL; for a socket only its path part counts."""
    socket: Path | None = None
    """Unix socket, where that is the way."""
    token: str | None = field(default=None, repr=False)
    fingerprint: str = ""
    """SHA-256 of the only certificate to trust, as 64 hexadecimal digits; empty means those
    that the system trusts."""

    def __str__(self) -> str:
        return str(self.socket) if self.socket is not None else self.url


def parse_address(text: str, token: str | None = None, fingerprint: str = "") -> Address:
    """`unix:/path`, `HOST:PORT` or `http(s)://HOST:PORT`, as a setting holds it.

    Text that leaves this machine is encrypted unless the address says `http://`.
    """
    _check_characters(text)
    if text.startswith("unix:"):
        return Address("http://dg-lsp", Path(text.removeprefix("unix:").removeprefix("//")))
    url = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError as error:
        raise AddressError(f"{text} is no address: {error}") from error
    # Also an empty one, which the parts do not tell from none.
    if "?" in text or "#" in text:
        raise AddressError("an address must not have a query or a fragment; give HOST:PORT")
    if "@" in parts.netloc:
        raise AddressError("an address must not hold a password; an engine asks for a token")
    if token is not None and not (token.isascii() and token.isprintable()):
        raise TokenError("the token must be of printable ASCII characters")
    if parts.scheme not in ("http", "https") or not host:
        raise AddressError(f"{text} is no address; give HOST:PORT or unix:/path")
    if port is None and "://" not in text:
        raise AddressError(f"{text} has no port; give HOST:PORT")
    if "://" not in text and is_loopback(host) and not fingerprint:
        url = f"http://{text}"
    if fingerprint and parts.scheme != "https":
        raise AddressError(f"{text} is not encrypted, so its fingerprint cannot be checked")
    return Address(url.rstrip("/"), None, token, _parse_fingerprint(fingerprint))


def _parse_fingerprint(text: str) -> str:
    """64 hexadecimal digits; also with colons, or with `sha256:` in front."""
    digits = text.lower().removeprefix("sha256:").replace(":", "")
    if text and (len(digits) != 64 or not set(digits) <= set("0123456789abcdef")):
        raise AddressError(
            f"{text} is not a fingerprint; it must be sha256: and 64 hexadecimal digits"
        )
    return digits


def client_token(token: str, token_file: str) -> str | None:
    """The token to send: the one given, that of a file, or that of `DG_LSP_TOKEN`."""
    if token:
        return token
    if token_file:
        return read_token(Path(token_file).expanduser())
    return os.environ.get("DG_LSP_TOKEN") or None


def parse_listen(text: str) -> tuple[str, int]:
    """`HOST:PORT`; port 0 takes a free one."""
    _check_characters(text)
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit():
        raise AddressError(f"{text} is not HOST:PORT")
    if len(port) > 5 or int(port) > 65535:
        raise AddressError(f"{text} has a port above 65535")
    return host, int(port)


def _check_characters(text: str) -> None:
    """Refuse line ends and the like, which `urlsplit` leaves out without a word."""
    if not text.isprintable() or (" " in text and not text.startswith("unix:")):
        raise AddressError(f"{text!r} is no address: it holds a line end or a blank")


def is_loopback(host: str) -> bool:
    """Whether a host name or number can only mean this machine."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(path: Path) -> str:
    """The token in a file: its first line."""
    try:
        text = read_regular(path, MAX_TOKEN_FILE_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenError(f"the token file {path} cannot be read: {error}") from error
    token = text.strip()
    if len(token) < 16 or not token.isascii() or len(token.split()) != 1:
        raise TokenError(f"the token in {path} must be one word of at least 16 characters")
    return token


def engine_name(model: str | None, device: str | None) -> str:
    """One engine per model and device; the default one has the plain name."""
    if model is None and device is None:
        return "engine"
    asked = f"{model or ''}\0{device or ''}".encode(errors="surrogateescape")
    return f"engine-{hashlib.sha256(asked).hexdigest()[:8]}"


def runtime_directory(given: Path | None = None) -> Path:
    """The user's own directory for sockets and locks, made where it is missing and checked.

    Every process of the user must come to the same one, so it depends on the environment alone:
    `DG_LSP_RUNTIME_DIR` moves it (or `given`, on the command line). `AddressError` says what is
    wrong with it; no other one is taken instead, where a second engine could be started.
    """
    named = None if given is None else str(given)
    try:
        if IS_WINDOWS:
            directory = Path(runtime.chosen(named))
            directory.mkdir(parents=True, exist_ok=True)
            return directory
        found = runtime.socket_directory(named)
        runtime.make(found)
    except runtime.UnusableError as error:
        raise DirectoryError(str(error)) from error
    return Path(found)


def local_address(directory: Path, name: str) -> Address | None:
    """Where the engine of that name answers, should it run."""
    if not IS_WINDOWS:
        return Address("http://dg-lsp", directory / f"{name}.sock")
    try:
        known = json.loads((directory / f"{name}.json").read_text(encoding="utf-8"))
        return Address(known["url"], None, known["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def engine_names(directory: Path) -> list[str]:
    """Names of the engines that run here or have run here."""
    return sorted(path.stem for path in directory.glob("engine*.lock"))
