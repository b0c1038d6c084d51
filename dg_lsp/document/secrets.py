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
from dg_lsp.document.secret_values import is_key, is_placeholder, is_random

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
    ways = (
        *(key_blocks, tokens, url_passwords, named_secrets, logins),
        *(_random_literals, _prefixed_values),
    )
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
# A header or a pair may stand before the value in the same quotes: `"X-Team: ..."`.
_LITERAL = re.compile(
    r"([\"'`])(?:(?P<name>[A-Za-z][\w.-]{1,40})(?:=|:[ ]))?"
    r"(?P<value>[A-Za-z0-9+/_-]{20,100}={0,2})\\{0,3}\1"
)
MIN_LITERAL_CHARS = 24
"""Shorter random values are masked only with a name before them in the same quotes."""
_PUBLIC = re.compile(
    r"(?i)sha\d|md5|hash|digest|checksum|integrity|fingerprint|etag|signature|public|commit|cert"
    r"|nonce|uuid|guid|revision|base64|b64|alphabet|chars|site-?key|pk_"
)


def _random_literals(text: str) -> Iterator[Secret]:
    for match in _LITERAL.finditer(text):
        start, end = match.span("value")
        if (
            (match["name"] or len(match["value"]) >= MIN_LITERAL_CHARS)
            and is_random(match["value"])
            and not is_placeholder(match["value"])
            and not _PUBLIC.search(text, max(0, start - 60), start + 6)
        ):
            yield Secret(start, end, "a random literal")


# Issuers put a short name before a token, to find it again: `fm2_...`, `acme_live_...`.
_PREFIXED = re.compile(r"_(?P<value>[\w+/-]{24,4096}={0,2})", re.ASCII)
_PREFIX = re.compile(r"(?<![\w*./-])[a-z][a-z0-9]{1,15}\Z")
_OF_KEYS = re.compile(
    r"_(?:live|test|prod|key|apikey|token|pat|secret)_(?P<value>[A-Za-z0-9]{24,})\Z"
)
MAX_PREFIX_CHARS = 18
MIN_PREFIXED_CHARS = 32
"""A random text after a prefix that does not say what it is."""


def _prefixed_values(text: str) -> Iterator[Secret]:
    for match in _PREFIXED.finditer(text):
        near = max(0, match.start() - MAX_PREFIX_CHARS)
        prefix = _PREFIX.search(text, near, match.start())
        if prefix is None or _PUBLIC.search(text, max(0, near - 40), match.start() + 4):
            continue
        value = match["value"]
        named = _OF_KEYS.search(f"_{prefix[0]}_{value}")
        if (named and is_key(named["value"])) or (
            len(value) >= MIN_PREFIXED_CHARS and is_random(value[:100])
        ):
            yield Secret(prefix.start(), match.end(), "a token with a prefix")
