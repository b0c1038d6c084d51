"""Masks what looks like a secret in a text, so that it stays out of a prompt.

Three ways to tell one: the shape that its issuer gave it (a GitHub token, a private key block),
the name that it is assigned to (`password = "..."`, a URL's `user:...@host`), and randomness in
a quoted literal. What is masked turns into asterisks, one for each character, and line ends
stay: offsets into the masked text are offsets into the document. Mask the whole document before
cutting a window out of it, as half a secret has no shape.

Left alone on purpose, unless a name says that they are secret: hexadecimal digests and UUIDs
(lock files and tests are full of them, and they are public), literals after a word such as
`sha256` or `integrity`, long base64 (data, not a token), public keys and certificates, and
placeholders. Outside of quotes a password of letters alone is not told from a word, and not
found. Knows nothing of programming languages but their quotes, and asks nobody whether a secret
is valid.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

MASK = "*"
MIN_MASKED_CHARS = 4
"""Fewer characters are never masked; a run of so many asterisks is taken for a mask."""
MAX_KEY_BLOCK_CHARS = 16_384
"""How far the end of a private key block is looked for; one of 8192 bits has about 6,400."""
MAX_NAME_CHARS = 80
"""How far before `password:` its line may start, where the value has no quotes."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret stands, and what gave it away."""

    start: int
    end: int
    what: str


def mask_secrets(text: str) -> str:
    """The text with every secret replaced by asterisks; of the same length, line by line."""
    return _masked(text, find_secrets(text))


def find_secrets(text: str) -> tuple[Secret, ...]:
    """What `mask_secrets` masks, in order; nothing overlaps."""
    found: list[Secret] = []
    # A mask can uncover what it stood beside; nearly always the second look finds nothing.
    while new := _found_once(text):
        found += new
        text = _masked(text, new)
    return tuple(sorted(found, key=lambda secret: secret.start))


def _found_once(text: str) -> list[Secret]:
    ways = (_key_blocks, _tokens, _url_passwords, _assigned, _random_literals)
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

# --- Shapes ---------------------------------------------------------------------------------
# Every shape starts with one of its hints, which are found as plain text: an ordinary text
# costs next to nothing. All repetitions are bounded, so that no line is too long.
_INSIDE_WORD = re.compile(r"[\w*-]")
_SHAPES = [
    (what, hints.split(), re.compile(expression))
    for what, hints, expression in (
        ("an AWS key id", "AKIA ASIA", r"A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9*])"),
        ("a GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh._[A-Za-z0-9]{30,255}"),
        ("a GitHub token", "github_pat_", r"github_pat_\w{22,255}"),
        ("a GitLab token", "glpat- glptt- gldt- glrt- glcbt-", r"gl[a-z]+-[\w-]{20,255}"),
        ("a Slack token", "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs-", r"xox.-[\w-]{10,255}"),
        ("a Slack token", "xapp-", r"xapp-[\w-]{10,255}"),
        ("a Slack webhook", "hooks.slack.com/", r"hooks\.slack\.com/services/([\w/]{20,255})"),
        ("an API key", "sk-", r"sk-[\w-]{20,255}"),
        ("a Stripe key", "sk_live_ rk_live_ sk_test_ rk_test_", r".k_...._[A-Za-z0-9]{16,255}"),
        ("a Stripe key", "whsec_", r"whsec_[A-Za-z0-9+/]{24,255}"),
        ("a Google key", "AIza", r"AIza[\w-]{35}"),
        ("a Google token", "ya29.", r"ya29\.[\w-]{20,255}"),
        ("a Google token", "GOCSPX-", r"GOCSPX-[\w-]{20,255}"),
        ("a Hugging Face token", "hf_", r"hf_[A-Za-z0-9]{30,64}(?!\w)"),
        ("an npm token", "npm_", r"npm_[A-Za-z0-9]{36}(?!\w)"),
        ("a PyPI token", "pypi-AgE", r"pypi-AgE[\w-]{50,255}"),
        ("a SendGrid key", "SG.", r"SG\.[\w-]{16,64}+\.[\w-]{16,64}"),
        ("a DigitalOcean token", "dop_v1_ doo_v1_ dor_v1_", r"do._v1_[a-f0-9]{64}"),
        ("a Databricks token", "dapi", r"dapi[a-f0-9]{32}(?![A-Za-z0-9*])"),
        ("a Shopify token", "shpat_ shpca_ shppa_ shpss_", r"shp.._[a-fA-F0-9]{32}"),
        ("a Vault token", "hvs.", r"hvs\.[\w-]{24,255}"),
        ("an age key", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
        ("an Azure key", "AccountKey=", r"AccountKey=([A-Za-z0-9+/]{43,88}={0,2})"),
        ("a JSON web token", "eyJ", r"eyJ[\w-]{8,999}+\.[\w-]{8,4999}+(?:\.[\w-]{1,1999})?"),
        ("a bearer token", "Bearer bearer", r".earer ([\w.~+/-]{20,1999}={0,2})"),
    )
]
_URL_PASSWORD = re.compile(r"://[^\s/:@\"'<>`]{0,64}:([^\s/@\"'`]{4,128})@")
_KEY_BLOCK_EDGE = re.compile(
    r"-----(BEGIN|END) (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
)
_KEY_WORD = re.compile(r"[A-Za-z0-9+/=]{4,}")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{40,}")


def _key_blocks(text: str) -> Iterator[Secret]:
    edges = list(_KEY_BLOCK_EDGE.finditer(text)) if "PRIVATE KEY" in text else []
    for index, edge in enumerate(edges):
        if edge[1] == "BEGIN":
            follows = edges[index + 1] if index + 1 < len(edges) else None
            start, end = edge.end(), follows.start() if follows else len(text)
            end = min(end, start + MAX_KEY_BLOCK_CHARS)
            complete = follows is not None and follows[1] == "END" and follows.start() == end
        elif index == 0 or edges[index - 1][1] == "END":
            # Only the end of the block is in the text.
            end = edge.start()
            start = max(edges[index - 1].end() if index else 0, end - MAX_KEY_BLOCK_CHARS)
            complete = False
        else:
            continue
        # Code about such blocks has both markers and no key between them.
        if _KEY_LINE.search(text, start, end):
            for word in (_KEY_WORD if complete else _KEY_LINE).finditer(text, start, end):
                yield Secret(word.start(), word.end(), "a private key")


def _tokens(text: str) -> Iterator[Secret]:
    for what, hints, expression in _SHAPES:
        starts = itertools.chain.from_iterable(_word_starts(text, hint) for hint in hints)
        for match in _matches(expression, text, starts):
            value = match[expression.groups]
            loose = what in ("an API key", "a bearer token")
            # Filler such as "ghp_xxxxxxxx" is no token.
            if _is_random(value) if loose else len(set(value)) > 6:
                yield Secret(*match.span(expression.groups), what)


def _url_passwords(text: str) -> Iterator[Secret]:
    for match in _matches(_URL_PASSWORD, text, _every(text, "://")):
        if _is_password(match[1]):
            yield Secret(*match.span(1), "a password in a URL")


def _matches(
    expression: re.Pattern[str], text: str, starts: Iterator[int]
) -> Iterator[re.Match[str]]:
    """What matches at the starts, without overlaps where they ascend."""
    span = (0, 0)
    for start in starts:
        inside = span[0] <= start < span[1]
        match = None if inside else expression.match(text, start)
        if match:
            span = match.span()
            yield match


def _word_starts(text: str, part: str) -> Iterator[int]:
    for at in _every(text, part):
        if not (at and _INSIDE_WORD.match(text, at - 1)):
            yield at


def _every(text: str, part: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + len(part))


# --- Names ----------------------------------------------------------------------------------
_NAME_ENDS = ("pass", "pwd", "secret", "token", "key", "credential")
_KEYS = ("api", "access", "auth", "account", "private", "encryption", "signing", "master")
_ASSIGNED = re.compile(
    # The end of a name, what may close it, perhaps a type, and the sign of an assignment.
    r"(?i:(?P<password>pass(?:word|wd|phrase|code)?|pwd)"
    r"|secret(?:[_-]?key)?(?:_?base)?|token|key|credentials?)"
    r"(?:[\"'`]\]?)?[ \t]{0,16}"
    r"(?::[ \t]?[A-Za-z][\w.\[\]| ]{1,40}=|=>|:=|=|:)(?P<space>[ \t]{0,16})"
    # A quoted value, or one that is all there is to the end of the line.
    r"(?:[A-Za-z@]{0,2}(?:\"(?P<double>[^\"\r\n]{4,200})\"|'(?P<single>[^'\r\n]{4,200})'"
    r"|`(?P<back>[^`\r\n]{4,200})`)"
    r"|(?P<bare>[^\s\"'`()\[\]{}<>,;]{6,200}+)[ \t]{0,16}(?=[\r\n]|$))"
)
_PUBLIC_NAME = re.compile(r"::\w*$|public[_-]?(?:key)?[_-]?$")
_BARE_LINE = re.compile(r"[ \t]*(?:export |ENV |ARG |set |- )?[ \t]*[\w.:/-]{0,60}")


def _assigned(text: str) -> Iterator[Secret]:
    # U+0130 is the one character whose lower case is longer.
    lowered = text.replace("\u0130", "I").lower()
    for end in _NAME_ENDS:
        for match in _matches(_ASSIGNED, text, _every(lowered, end)):
            before = lowered[max(0, match.start() - MAX_NAME_CHARS) : match.start()]
            # `AWS::IAM::AccessKey` is the name of a type.
            if _PUBLIC_NAME.search(before):
                continue
            if end == "key" and not before.rstrip("_-").endswith(_KEYS):
                continue
            # "bypass" and "compass" are no passwords; "userPass" may be one.
            if match["password"] == "pass" and before[-1:].isalpha():
                continue
            group = match.lastgroup or ""
            value = match[group]
            if group == "bare":
                found = _is_bare_secret(text, match, value)
            else:
                found = _is_password(value) if match["password"] else _is_named_secret(value)
            if found:
                what = "a password" if match["password"] else "a named secret"
                yield Secret(match.start(group), match.end(group), what)


def _is_bare_secret(text: str, match: re.Match[str], value: str) -> bool:
    """`NAME=value` and `name: value` on lines of their own, as in YAML and shell scripts."""
    near = max(0, match.start() - MAX_NAME_CHARS)
    line = re.split(r"[\r\n]", text[near : match.start()])
    if (len(line) == 1 and near > 0) or not _BARE_LINE.fullmatch(line[-1]):
        return False
    if match["password"] and not (match["space"] and "=" in match[0].partition(value)[0]):
        odd = re.search(r"[0-9!@#%^&?~+]", value) and re.search(r"[A-Za-z]", value)
        return bool(odd) and not _TYPE_NAME.fullmatch(value) and _is_password(value)
    return _is_named_secret(value)


_TYPE_NAME = re.compile(r"[A-Za-z]+\d{1,3}[?!]?|[\w.]+[?!]|[&*].*")
_PLACEHOLDER = re.compile(
    r"(?i)\*{4}|x{4}|\.\.\.|^[/~]|^\.{1,2}/|^[<$%{(\[]|[{}]|\$\(|%s|%\("
    r"|example|change[_-]?me|placeholder|^your|your[_-]|dummy|redacted|^(?:none|null|nil|true|false|undefined|string|text)$"
)
_ABOUT_PASSWORDS = re.compile(
    r"(?i)pass|pwd|secret|token|key|user|login|cred|auth|field|input|prompt|hidden|required"
    r"|optional|plain|default|basic|bearer|anonymous|empty|invalid|missing|hash|text|string"
)
_DIGIT = re.compile(r"\d")
# Four small letters or more with a vowel among the first four.
_WORD = re.compile(r"(?=[a-z]{0,3}[aeiou])[a-z]{4,}")
_SEPARATOR = re.compile(r"[-_.:/]")


def _is_password(value: str) -> bool:
    """Whether a value that is called a password may be one, and is not a word about one."""
    if any(character.isspace() for character in value) or _PLACEHOLDER.search(value):
        return False
    letters_alone = _SEPARATOR.sub("", value).isalpha()
    return not (letters_alone and _ABOUT_PASSWORDS.search(value))


def _is_named_secret(value: str) -> bool:
    """Whether a value that is called a key, a token or a secret may be one."""
    if len(value) < 12 or any(character.isspace() for character in value):
        return False
    if _PLACEHOLDER.search(value) or "://" in value or not _DIGIT.search(value):
        return False
    return _is_mixed(value, changes=0.2)


# --- Randomness -----------------------------------------------------------------------------
_LITERAL = re.compile(r"([\"'`])([A-Za-z0-9+/_-]{24,100}={0,2})\1")
_PUBLIC = re.compile(
    r"(?i)sha\d|md5|hash|digest|checksum|integrity|fingerprint|etag|signature|public|commit|cert"
    r"|nonce|uuid|guid|revision|base64|b64|alphabet|chars"
)


def _random_literals(text: str) -> Iterator[Secret]:
    for match in _LITERAL.finditer(text):
        start, end = match.span(2)
        if _is_random(match[2]) and not _PUBLIC.search(text, max(0, start - 60), start + 6):
            yield Secret(start, end, "a random literal")


def _is_random(value: str) -> bool:
    """Whether the characters look drawn by lot from letters of both cases and digits."""
    symbols = len(_SEPARATOR.findall(value))
    return (
        any(character.isupper() for character in value)
        and any(character.islower() for character in value)
        and len(_DIGIT.findall(value)) >= 2
        and symbols * 8 <= len(value)
        # A few per cent of a random literal is in such runs, and most of CamelCaseNames2.
        and sum(map(len, _WORD.findall(value))) < 0.25 * len(value)
        and _is_mixed(value, changes=0.35)
        and _entropy_bits(value) >= 3.5
    )


def _is_mixed(value: str, changes: float) -> bool:
    """Whether letters and digits alternate as they do not in words (random: 0.4 to 0.6)."""
    kinds = [(c.isdigit(), c.isupper(), c.islower()) for c in _SEPARATOR.sub("", value)]
    alternations = sum(one != other for one, other in itertools.pairwise(kinds))
    return len(set(kinds)) > 1 and alternations >= changes * (len(kinds) - 1)


def _entropy_bits(value: str) -> float:
    """Shannon entropy in bits per character."""
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts)
