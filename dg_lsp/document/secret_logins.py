"""Finds passwords that are identified by their position instead of a name: options of programs,
and pairs of a user and a password.

Only values that look like a password count, because other programs use the same options for
ports and files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dg_lsp.document.secret_parts import Parts
from dg_lsp.document.secret_shapes import Secret, every
from dg_lsp.document.secret_values import is_key, is_password, is_strong_password

MAX_LINE_CHARS = 400
"""How far after a program's name its options are searched for."""

_ARGUMENT = r"\\?[\"']?(?P<value>[^\s\"'\\]{4,128})(?=[\s|;&\"'\\]|$)"
# Each program with its option for a password, according to its manual.
_OPTIONS = [
    (program, re.compile(rf"(?:^|[ \t]){option}{_ARGUMENT}"))
    for program, option in (
        # Without a blank: a bare `-p` makes the client ask, and the database follows it.
        ("mysql", r"-p"),
        ("mariadb", r"-p"),
        ("sshpass ", r"-p[ \t]?"),
        ("docker login", r"-p[ \t]+"),
        ("podman login", r"-p[ \t]+"),
        ("registry login", r"-p[ \t]+"),
        ("az login", r"-p[ \t]+"),
        ("mongo", r"-p[ \t]+"),
        ("redis-cli", r"-a[ \t]+"),
        ("ldap", r"-w[ \t]+"),
        ("sqlcmd", r"-P[ \t]+"),
        ("unzip ", r"-P[ \t]+"),
        ("zip ", r"-P[ \t]+"),
        ("plink ", r"-pw[ \t]+"),
        ("pscp ", r"-pw[ \t]+"),
        ("openssl enc", r"-k[ \t]+"),
        ("ssh-keygen ", r"-N[ \t]+"),
        ("twine ", r"-p[ \t]+"),
        ("cargo login ", r"cargo login[ \t]+"),
        ("composer config", r"http-basic\.\S{1,80}[ \t]+\S{1,60}[ \t]+"),
        ("openssl ", r"-pass(?:in|out)?[ \t]+pass:"),
        ("net user ", r"net user \S{1,60}[ \t]+"),
        ("ConvertTo-SecureString", r"ConvertTo-SecureString[ \t]+(?:-String[ \t]+)?"),
        ("htpasswd ", r"-\w{0,6}b\w{0,6}[ \t]+\S{1,200}[ \t]+\S{1,60}[ \t]+"),
        # Options that take a user and a password.
        ("http ", r"(?:-a|--auth)[ =]?\\?[\"']?[^\s:\"']{0,64}:"),
        ("curl", r"(?:-u|--user|--proxy-user)[ =]?\\?[\"']?[^\s:\"']{0,64}:"),
        ("smbclient ", r"-U[ \t]?[\"']?[^\s%\"']{1,64}%"),
    )
]
# Text piped to a program that reads a password.
_PIPED = re.compile(
    r"echo[ \t]+(?:-n[ \t]+)?[\"']?(?:\w{1,32}:)?(?P<value>[^\s\"'|]{4,128})[\"']?[ \t]*\|"
    r"[ \t]*(?:sudo[ \t]+(?:-\w+[ \t]+)*-S|(?:sudo[ \t]+)?chpasswd"
    r"|[\w ./:@$-]{1,120}--password-stdin)"
)
# Code that encodes a user and a password in base64.
_ENCODED = re.compile(
    r"(?:btoa|b64encode|uffer\.from|ncodeToString)\(b?[\"'`][\w.@-]{1,64}:"
    r"(?P<value>[^\s\"'`]{4,128})[\"'`]"
)
# `auth=("me", "...")`, `HTTPBasicAuth('me', '...')`, `new PDO($dsn, "me", "...")`
_PAIR = re.compile(
    r"(?:uth|redentials?|ogin|onnect(?:ion)?|egin|PDO|mysqli)"
    r"[ \t]{0,4}(?:=[ \t]{0,4})?\([ \t]{0,4}(?:[$\w.\"']{1,60},[ \t]{0,4})?"
    r"[\"'][^\"'\r\n]{1,64}[\"'],[ \t]{0,4}(?P<quote>[\"'])(?P<value>[^\"'\s]{4,128})(?P=quote)"
)

# A command that takes a token: `wandb login ...`, `snyk auth ...`; options of that name; a user
# without a password, as several services have it: `curl -u ...:`.
_TOKEN_ARGUMENT = re.compile(
    r"(?:(?:login|auth|authenticate|--key|-k)[ =]+|(?:-u|--user)[ =]?)[\"']?"
    r"(?P<value>[\w.+/-]{20,255}={0,2})(?::?[\"']?)(?=[\s;|)\]`]|$)"
)

_TOKEN_WORDS = ("login ", "auth ", "authenticate ", "--key ", "--key=", "-k ", "-u ", "--user ")

_PLACES = [
    (_PAIR, ("uth", "redential", "ogin", "onnect", "egin", "PDO", "mysqli")),
    (_PIPED, ("echo ",)),
    (_ENCODED, ("btoa", "b64encode", "uffer.from", "ncodeToString")),
]


_PARTS = Parts(
    [
        *(program for program, _ in _OPTIONS),
        *(part for _, parts in _PLACES for part in parts),
        *_TOKEN_WORDS,
    ]
)


def logins(text: str) -> Iterator[Secret]:
    """Passwords on command lines and next to user names."""
    present = _PARTS.present_in(text)
    if not present:
        return

    def each(parts: tuple[str, ...]) -> Iterator[int]:
        for part in parts:
            if part in present:
                yield from every(text, part)

    for program, option in _OPTIONS:
        for at in each((program,)):
            # A command ends with its line; other commands may come before it.
            end = text.find("\n", at, at + MAX_LINE_CHARS)
            end = end if end >= 0 else min(len(text), at + MAX_LINE_CHARS)
            found = option.search(text, at, end)
            if found and _is_typed(found["value"]):
                yield Secret(*found.span("value"), "a password")
    for expression, parts in _PLACES:
        for at in each(parts):
            found = expression.match(text, at)
            if found and is_strong_password(found["value"]):
                yield Secret(*found.span("value"), "a password")
    for at in each(_TOKEN_WORDS):
        found = _TOKEN_ARGUMENT.match(text, at)
        if found and is_key(found["value"]):
            yield Secret(*found.span("value"), "a token")


def _is_typed(value: str) -> bool:
    return is_password(value) and bool(re.search(r"\d", value)) and not value.isdigit()
