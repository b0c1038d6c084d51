"""Masks everything in a text that looks like a secret, to keep it out of prompts.

A secret is recognized by the format of its issuer (secret_shapes.py), by its name or position
(secret_names.py, secret_logins.py), or by randomness in a quoted literal. It is replaced by
asterisks, one for each character, and line ends stay, so that offsets into the masked text are
offsets into the document. Mask the whole document, or whole lines of it, before cutting a
window out of it, because half a secret cannot be recognized.

These are deliberately not masked, unless a name says that they are secret: hexadecimal digests
and UUIDs (lock files and tests are full of them, and they are public), literals after a word
such as `sha256` or `integrity`, long base64 (data, not a token), public keys and certificates,
and placeholders. An unquoted password that consists of letters cannot be distinguished from a
word. No service is asked whether a secret is valid. `dg-lsp eval secrets` measures how many are
found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dg_lsp.document.secret_logins import logins
from dg_lsp.document.secret_names import named_secrets
from dg_lsp.document.secret_shapes import Secret, key_blocks, tokens, url_passwords
from dg_lsp.document.secret_values import is_placeholder, is_random

MASK = "*"
MIN_MASKED_CHARS = 4
"""Shorter values are never masked; a run of this many asterisks counts as a mask."""
MAX_LOOKS = 8
"""A mask may make another secret beside it recognizable; a second pass rarely finds more."""


def mask_secrets(text: str) -> str:
    """The text with every secret replaced by asterisks; each line keeps its length."""
    return _masked(text, find_secrets(text))


def mask_key_blocks(text: str) -> str:
    """The text with private keys of several lines replaced."""
    return _masked(text, list(key_blocks(text)))


def find_secrets(text: str) -> tuple[Secret, ...]:
    """What `mask_secrets` masks, in order; nothing overlaps."""
    found: list[Secret] = []
    for _ in range(MAX_LOOKS):
        new = _found_once(text)
        if not new:
            break
        found += new
        text = _masked(text, new)
    return tuple(sorted(found, key=lambda secret: secret.start))


def _found_once(text: str) -> list[Secret]:
    ways = (key_blocks, tokens, url_passwords, named_secrets, logins, _random_literals)
    every = [secret for way in ways for secret in way(text)]
    found: list[Secret] = []
    for secret in sorted(every, key=lambda secret: (secret.start, -secret.end)):
        if not found or secret.start >= found[-1].end:
            found.append(secret)
    return found


def _masked(text: str, secrets: list[Secret] | tuple[Secret, ...]) -> str:
    parts = []
    end = 0
    for secret in secrets:
        parts.append(text[end : secret.start])
        parts.append(_NOT_LINE_END.sub(MASK, text[secret.start : secret.end]))
        end = secret.end
    return "".join([*parts, text[end:]])


_NOT_LINE_END = re.compile(r"[^\r\n]")
_LITERAL = re.compile(r"([\"'`])([A-Za-z0-9+/_-]{24,100}={0,2})\\{0,3}\1")
_PUBLIC = re.compile(
    r"(?i)sha\d|md5|hash|digest|checksum|integrity|fingerprint|etag|signature|public|commit|cert"
    r"|nonce|uuid|guid|revision|base64|b64|alphabet|chars|site-?key|pk_"
)


def _random_literals(text: str) -> Iterator[Secret]:
    for match in _LITERAL.finditer(text):
        start, end = match.span(2)
        if (
            is_random(match[2])
            and not is_placeholder(match[2])
            and not _PUBLIC.search(text, max(0, start - 60), start + 6)
        ):
            yield Secret(start, end, "a random literal")
