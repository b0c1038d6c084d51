"""Named tokens for the clients of a shared engine.

The file holds a salted hash of each token, never the token itself, which is shown once. A token
is 256 random bits, so a fast hash is enough: nobody can try them all. An engine reads the file
again whenever it has changed, so a revoked token is refused at the next request.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import platformdirs

from dg_lsp.files import read_regular, write_private
from dg_lsp.reason import ReasonCode
from dg_lsp.service.address import IS_WINDOWS, TokenError
from dg_lsp.service.process.lock import try_lock

log = logging.getLogger(__name__)

PREFIX = "dgl_"
"""Makes tokens recognizable, for people and for scanners of secrets."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_SALT, _SHA256 = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{64}")
LOCK_S = 5.0

MAX_FILE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Client:
    """Who sends a request, as its token says."""

    name: str
    """Empty where no token is required."""
    is_admin: bool = False
    """Whether it may unload the model and stop the engine, which affects all clients."""


@dataclass(frozen=True, slots=True)
class NamedToken:
    """One entry of the file."""

    name: str
    salt: str
    """16 random bytes, in hexadecimal."""
    sha256: str
    """Of the salt and the token, in hexadecimal."""
    created: str
    """The day on which it was made."""
    is_admin: bool = False

    def __post_init__(self) -> None:
        for pattern, text in ((NAME, self.name), (_SALT, self.salt), (_SHA256, self.sha256)):
            if pattern.fullmatch(text) is None:
                raise ValueError("not what dg-lsp token writes")
        if not isinstance(self.created, str) or not isinstance(self.is_admin, bool):
            raise TypeError("not what dg-lsp token writes")

    def matches(self, token: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(_hashed(self.salt, token), self.sha256)


def access_directory() -> Path:
    """Where tokens and the engine's own certificate are; `DG_LSP_ACCESS_DIR` moves it."""
    moved = os.environ.get("DG_LSP_ACCESS_DIR")
    if moved:
        return Path(moved)
    return Path(platformdirs.user_config_dir("dg-lsp", appauthor=False))


def tokens_file() -> Path:
    return access_directory() / "tokens.json"


def new_token(path: Path, name: str, *, is_admin: bool = False) -> str:
    """Add a token to the file and return it; it cannot be had again. `TokenError` if taken."""
    if NAME.fullmatch(name) is None:
        raise TokenError(
            f"the name {name!r} must be one word of letters, digits and . _ @ -, at most 64",
            ReasonCode.INVALID_ARGUMENT,
        )
    token = PREFIX + secrets.token_urlsafe(32)
    salt = secrets.token_hex(16)
    made = NamedToken(
        name, salt, _hashed(salt, token), time.strftime("%Y-%m-%d", time.gmtime()), is_admin
    )
    with _locked(path):
        known = read_tokens(path)
        if any(one.name == name for one in known):
            raise TokenError(
                f"there is a token named {name}; `dg-lsp token revoke {name}` removes it",
                ReasonCode.NAME_TAKEN,
            )
        _write(path, (*known, made))
    return token


def revoke_token(path: Path, name: str) -> None:
    """Remove a token from the file; `TokenError` if there is none of that name."""
    with _locked(path):
        known = read_tokens(path)
        left = tuple(one for one in known if one.name != name)
        if len(left) == len(known):
            raise TokenError(f"there is no token named {name} in {path}")
        _write(path, left)


def read_tokens(path: Path) -> tuple[NamedToken, ...]:
    """The tokens of the file, which need not exist; `TokenError` if it cannot be trusted."""
    try:
        _check_file(path)
        raw = json.loads(read_regular(path, MAX_FILE_BYTES))
        return tuple(NamedToken(**one) for one in raw["tokens"])
    except FileNotFoundError:
        return ()
    except TokenError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise TokenError(
            f"the file of tokens {path} cannot be read: {type(error).__name__}"
        ) from error


def _check_file(path: Path) -> None:
    """Raise `TokenError` unless it is a file that only its owner, who is ours, can access."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise TokenError(f"{path} is not a file; `dg-lsp token new NAME` makes one")
    if IS_WINDOWS:
        return
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise TokenError(f"others can access {path}; chmod 600 it")
    if found.st_uid not in (os.getuid(), 0):
        raise TokenError(f"{path} belongs to another user")


class Tokens(Protocol):
    """Tells clients by their tokens."""

    def find(self, token: str) -> Client | None:
        """Whose token it is; `None` if nobody's."""
        ...


class TokenBook:
    """The tokens of a file, as they are now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: object = None
        self._tokens: tuple[NamedToken, ...] = ()

    def find(self, token: str) -> Client | None:
        self._refresh()
        # All entries are compared, so that the time tells nothing.
        found = [one for one in self._tokens if one.matches(token)]
        return Client(found[0].name, found[0].is_admin) if found else None

    def _refresh(self) -> None:
        try:
            now = self._path.stat()
            seen: object = (now.st_mtime_ns, now.st_size, now.st_ino, now.st_mode, now.st_uid)
        except OSError as error:
            seen = error.errno
        if seen == self._seen:
            return
        # Nobody is let in by what cannot be read.
        self._seen, self._tokens = seen, ()
        try:
            self._tokens = read_tokens(self._path)
        except TokenError as error:
            log.error("all tokens are refused: %s", error)


class SingleToken:
    """One token from a file of its own; whoever has it may do everything."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def find(self, token: str) -> Client | None:
        # Compared as bytes, because non-ASCII strings cannot be compared in constant time.
        right = hmac.compare_digest(token.encode(), self._token)
        return Client("token-file", is_admin=True) if right else None


def _hashed(salt: str, token: str) -> str:
    return hashlib.sha256(bytes.fromhex(salt) + token.encode()).hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two commands at once must not lose one another's token."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = try_lock(path.with_name(f"{path.name}.lock"), LOCK_S)
    except OSError as error:
        raise TokenError(f"{path.parent} cannot be written: {error.strerror}") from error
    if lock is None:
        raise TokenError(f"another command has been changing {path} for {LOCK_S:g} s")
    try:
        yield
    finally:
        lock.release()


def _write(path: Path, tokens: tuple[NamedToken, ...]) -> None:
    """Replace the file as a whole, readable only for the user."""
    text = json.dumps({"tokens": [asdict(one) for one in tokens]}, indent=2) + "\n"
    try:
        write_private(path, text.encode())
    except OSError as error:
        raise TokenError(f"{path} cannot be written: {error.strerror}") from error
