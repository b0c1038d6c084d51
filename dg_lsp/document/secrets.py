"""Masks what looks like a secret in a text, so that it stays out of a prompt.

Three ways to tell one: the shape that its issuer gave it (secret_shapes.py), the name or the
place that it is given (secret_names.py, secret_logins.py), and randomness in a quoted literal.
What is masked turns into asterisks, one for each character, and line ends stay: offsets into
the masked text are offsets into the document. Mask the whole document, or whole lines of it,
before cutting a window out of it, as half a secret has no shape.

Left alone on purpose, unless a name says that they are secret: hexadecimal digests and UUIDs
(lock files and tests are full of them, and they are public), literals after a word such as
`sha256` or `integrity`, long base64 (data, not a token), public keys and certificates, and
placeholders. Outside of quotes a password of letters alone is not told from a word, and not
found. Nobody is asked whether a secret is valid. `dg-lsp eval secrets` prints how much is
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
"""Fewer characters are never masked; a run of so many asterisks is taken for a mask."""
MAX_LOOKS = 8
"""A mask can uncover what it stood beside; nearly always the second look finds nothing."""


def mask_secrets(text: str) -> str:
    """The text with every secret replaced by asterisks; of the same length, line by line."""
    return _masked(text, find_secrets(text))


def mask_key_blocks(text: str) -> str:
    """The text with the private keys replaced that go over many lines."""
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
