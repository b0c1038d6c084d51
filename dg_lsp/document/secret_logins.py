"""Finds passwords that have no name but a place: the options of programs, pairs of a user and
a password.

Only values that look like a password are taken, as the same options mean ports and files
elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dg_lsp.document.secret_shapes import Secret, every
from dg_lsp.document.secret_values import is_password, is_strong_password

MAX_LINE_CHARS = 400
"""How far behind a program its options are looked at."""

_ARGUMENT = r"(?P<quote>\\?[\"'])?(?P<value>[^\s\"'\\]{4,128})(?=[\s|;&\"'\\]|$)"
# Each program with the option that takes a password, by its manual.
_OPTIONS = [
    (program, re.compile(rf"(?:^|[ \t]){option}{_ARGUMENT}"))
    for program, option in (
        # No blank: with one the client asks, and the next argument is the database.
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
        ("openssl ", r"-pass(?:in|out)?[ \t]+pass:"),
        ("net user ", r"net user \S{1,60}[ \t]+"),
        ("ConvertTo-SecureString", r"ConvertTo-SecureString[ \t]+(?:-String[ \t]+)?"),
        # A user before it, and a colon.
        ("curl", r"(?:-u|--user|--proxy-user)[ =]?\\?[\"']?[^\s:\"']{0,64}:"),
        ("smbclient ", r"-U[ \t]?[\"']?[^\s%\"']{1,64}%"),
    )
]
# `auth=("me", "...")`, `HTTPBasicAuth('me', '...')`, `NetworkCredential("me", "...")`
_PAIR = re.compile(
    r"(?:uth|redentials?|ogin)[ \t]{0,4}(?:=[ \t]{0,4})?\([ \t]{0,4}"
    r"[\"'][^\"'\r\n]{1,64}[\"'],[ \t]{0,4}(?P<quote>[\"'])(?P<value>[^\"'\s]{4,128})(?P=quote)"
)


def logins(text: str) -> Iterator[Secret]:
    """Passwords on command lines and beside their users."""
    for program, option in _OPTIONS:
        for at in every(text, program):
            # A command ends where its line does; one in a string may have others before it.
            end = text.find("\n", at, at + MAX_LINE_CHARS)
            end = end if end >= 0 else min(len(text), at + MAX_LINE_CHARS)
            found = option.search(text, at, end)
            if found and _is_typed(found["value"]):
                yield Secret(*found.span("value"), "a password")
    for part in ("uth", "redential", "ogin"):
        for at in every(text, part):
            pair = _PAIR.match(text, at)
            if pair and is_strong_password(pair["value"]):
                yield Secret(*pair.span("value"), "a password")


def _is_typed(value: str) -> bool:
    return is_password(value) and bool(re.search(r"\d", value)) and not value.isdigit()
