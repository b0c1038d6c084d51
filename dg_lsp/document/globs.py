"""Matches a path against one glob of an ignore file, without exponential time.

The meaning is git's (gitignore(5), wildmatch.c): `*` and `?` stop at a slash, `**/`, `/**` and
`/**/` match any number of directories, and brackets support POSIX classes.

The usual translation turns every `*` into `[^/]*`; `*a*a*a*b` then tries every way to divide a
name among its asterisks (as pathspec's expressions do, which is why it is not used here). One
attempt is enough: the leftmost match of the text between two asterisks leaves the most for the
rest. Every asterisk except the last of a name is therefore in an atomic group with the text
that follows it, and so is every `**/` with the names that follow it. The time is at most the
length of the glob times the length of the path.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

MAX_GLOB_CHARS = 1024
"""A longer glob matches nothing; file names have at most 255 characters."""

_SPECIAL = re.compile(r"[*?\[\\]")
_TAIL = re.compile(r"[^*?\[\]\\/]*\Z")
_TOKEN = re.compile(r"(?s)\*+|\\.|.")
_GLUED = re.compile(r"\*\*+(?=\\?/|\Z)")
_CLASS = re.compile(r"\[:([^\]]*):\]")
_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "\\x21-\\x7e",
    "lower": "a-z",
    "print": "\\x20-\\x7e",
    "punct": "!-/:-@\\[-`{-~",
    "space": " \\t\\n\\r\\f\\v",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
_ONE = "[^/]"
_DIRECTORIES = "(?:[^/]+/)*"

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Glob:
    """One glob, compiled when it is first compared with a path that it may match."""

    text: str
    """The glob without "!" at its start and without a slash at its end."""

    @functools.cached_property
    def is_floating(self) -> bool:
        """Whether it matches a name at any depth; otherwise, a path relative to its file."""
        return "/" not in self.text

    def matches(self, path: str) -> bool:
        """Whether it matches the path itself (with "/"), not only a directory above it."""
        if self.is_floating:
            path = path.rpartition("/")[2]
        path = _bytes(path)
        head, tail, is_literal = self._ends
        if not path.startswith(head) or not path.endswith(tail):
            return False
        if is_literal:
            return path == head
        expression = self._expression
        return expression is not None and expression.fullmatch(path) is not None

    @functools.cached_property
    def _ends(self) -> tuple[str, str, bool]:
        """The literal start and end of every match, and whether these are the whole glob.

        These rule out most globs for most paths, so that of 100,000 only a few are compiled.
        """
        text = _bytes(self.text.removeprefix("/"))
        special = _SPECIAL.search(text)
        tail = _TAIL.search(text)
        head = text[: special.start()] if special else text
        return head, tail[0] if tail else "", special is None

    @functools.cached_property
    def _expression(self) -> re.Pattern[str] | None:
        text = _bytes(self.text.removeprefix("/"))
        head = "" if self.is_floating else self._ends[0]
        glued = _GLUED.match(text, len(head))
        if glued is None or head.endswith("/"):
            head = ""
        tokens = _tokens(text[len(head) :]) if len(self.text) <= MAX_GLOB_CHARS else None
        if not tokens:
            return None
        if self.is_floating:
            return re.compile(_name(tokens), re.DOTALL)
        expression = _path(_split(tokens, "/"))
        if head:
            # git takes the literal start away, and then the asterisks seem to stand alone.
            rest = ".*" if tokens == ["**"] else f"(?:[^/]*/)?{expression}"
            expression = re.escape(head) + rest
        return re.compile(expression, re.DOTALL)


def _bytes(text: str) -> str:
    """A text with a character for each of its bytes, which are what git compares."""
    if text.isascii():
        return text
    return text.encode("utf-8", errors="surrogateescape").decode("latin-1")


def _tokens(glob: str) -> list[str] | None:
    """The parts of a glob: slashes, "*" and "**", and an expression for any other character.

    None if the glob is malformed.
    """
    tokens = []
    at = 0
    while at < len(glob):
        if glob[at] == "[":
            bracket, at = _bracket(glob, at + 1)
            if bracket is None:
                return None
            tokens.append(bracket)
            continue
        found = _TOKEN.match(glob, at)
        token = found[0] if found else ""
        at += len(token)
        if token == "\\":
            # A lone backslash at the end.
            return None
        if token == "?":
            tokens.append(_ONE)
        elif token[0] == "*":
            tokens.append(token[:2])
        elif token[-1] == "/":
            if token != "/" and tokens[-1:] == ["**"] and tokens[-2:-1] in ([], ["/"]):
                # Before an escaped slash, "**" is one directory at least.
                tokens[-1:] = ["*", "/", "**"]
            tokens.append("/")
        else:
            tokens.append(re.escape(token[-1]))
    return tokens


def _bracket(glob: str, at: int) -> tuple[str | None, int]:
    """The expression of a bracket opened before `at`, and where the glob continues."""
    is_negated = glob[at : at + 1] in ("!", "^")
    at += is_negated
    first = at
    parts: list[str] = []
    low = ""
    while at < len(glob) and (glob[at] != "]" or at == first):
        named = _CLASS.match(glob, at)
        if named:
            if named[1] not in _CLASSES:
                return None, at
            parts.append(_CLASSES[named[1]])
            at, low = named.end(), ""
        elif glob[at] == "-" and low and glob[at + 1 : at + 2] not in ("", "]"):
            high, at = _member(glob, at + 1)
            # A reversed range is empty; its start is already included.
            if low <= high:
                parts.append(f"{re.escape(low)}-{re.escape(high)}")
            low = ""
        else:
            low, at = _member(glob, at)
            parts.append(re.escape(low))
    if at >= len(glob):
        return None, at
    return f"(?!/)[{'^' if is_negated else ''}{''.join(parts)}]", at + 1


def _member(glob: str, at: int) -> tuple[str, int]:
    at += glob[at] == "\\" and at + 1 < len(glob)
    return glob[at], at + 1


def _path(names: list[list[str]]) -> str:
    """The expression of a path; a name "**" matches any number of directories."""
    *before, last = _split(names, ["**"])
    expression = ""
    for index, group in enumerate(before):
        text = "".join(f"{_name(name)}/" for name in group)
        expression += f"(?>{_DIRECTORIES}?{text})" if index else text
    if before:
        expression += _DIRECTORIES
    return expression + ("/".join(map(_name, last)) if last else ".+")


def _name(tokens: list[str]) -> str:
    """The expression of one name, in which "**" means the same as "*"."""
    first, *others = _split(["*" if token == "**" else token for token in tokens], "*")
    expression = "".join(first)
    for text in others[:-1]:
        expression += f"(?>[^/]*?{''.join(text)})"
    if others:
        expression += "[^/]*" + "".join(others[-1])
    return expression


def _split(items: Sequence[_Item], at: _Item) -> list[list[_Item]]:
    """Like `str.split`, for a list."""
    parts: list[list[_Item]] = [[]]
    for item in items:
        if item == at:
            parts.append([])
        else:
            parts[-1].append(item)
    return parts
