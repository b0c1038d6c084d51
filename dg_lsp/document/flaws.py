"""Finds what a rewrite would break: valid code, or a block that had a body.

Python and JSON are parsed, and so are the languages with a grammar that is loaded; others are
judged by the shape of their brackets and strings, and all by the shape of their blocks. A
rewrite is only compared with the text that it replaces: faults that were already there do not
count.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

from dg_lsp.document.nesting import nesting, open_text
from dg_lsp.document.position import LINE_END, NEAR_CHARS, last_line, lines_of
from dg_lsp.document.syntax import parse, statements_after, statements_before
from dg_lsp.document.wholeness import adds_faults

INVALID = "the rewritten code is not valid"
NO_BODY = "the rewrite leaves a block without its body"

MOST_PARSED_CHARS = 100_000
"""A longer document is not parsed completely."""

_UNJUDGED = ("diff", "latex", "markdown", "plaintext", "restructuredtext", "shellscript")

_BRACED = re.compile(
    r"(?:\)|=>|\b(?:else|try|do|finally|loop|unsafe)"
    r"|\b(?:class|struct|interface|impl|enum|trait|namespace)\b[^(){};\r\n]*)"
    r"\s*\{(?P<empty>\s*\})?"
)
_WORDED = re.compile(
    r"^[ \t]*(?:local +|private +)?"
    r"(?:def|do|function|if|unless|for|while|until|class|module|begin)\b[^\r\n]*"
    r"(?P<empty>\s+end\b)?",
    re.MULTILINE,
)
_WORDED_LANGUAGES = ("crystal", "elixir", "julia", "lua", "ruby")


def flaw_of(text: str, replaced: str, prefix: str, suffix: str, language: str) -> str | None:
    """What is wrong with `text` in place of `replaced`, as one clause; None if nothing is."""
    if language == "python":
        for before, after in _python_around(prefix, suffix):
            was = parse(before + replaced + after)
            if isinstance(was, ast.Module):
                return _python_flaw(was, parse(before + text + after))
        return None
    if language == "json":
        if _is_json(prefix + replaced + suffix):
            return None if _is_json(prefix + text + suffix) else INVALID
        return None
    is_invalid = adds_faults(text, replaced, prefix, suffix, language)
    if is_invalid is None and language not in _UNJUDGED:
        is_invalid = _loose_ends(text, prefix, suffix) > _loose_ends(replaced, prefix, suffix)
    if is_invalid:
        return INVALID
    if language in _UNJUDGED:
        return None
    blocks = _WORDED if language in _WORDED_LANGUAGES else _BRACED
    full, empty = _bodies(blocks, replaced)
    now_full, now_empty = _bodies(blocks, text)
    return NO_BODY if now_full < full and now_empty > empty else None


def _python_around(prefix: str, suffix: str) -> Iterator[tuple[str, str]]:
    """The context to parse the code in: the statements around it, then the whole document."""
    after = statements_after(suffix)
    if after is not None:
        for before in statements_before(prefix):
            yield before, after
    if len(prefix) + len(suffix) <= MOST_PARSED_CHARS:
        yield prefix, suffix


def _python_flaw(was: ast.Module, now: ast.Module | SyntaxError | None) -> str | None:
    if not isinstance(now, ast.Module):
        lacks_body = now is not None and "expected an indented block" in str(now.msg)
        return NO_BODY if lacks_body else INVALID
    full, empty = _python_bodies(was)
    now_full, now_empty = _python_bodies(now)
    return NO_BODY if now_full < full and now_empty > empty else None


def _python_bodies(module: ast.Module) -> tuple[int, int]:
    """Number of blocks with code, and of blocks with only `pass` or a docstring."""
    bodies = [
        body
        for node in ast.walk(module)
        for name in ("body", "orelse", "finalbody")
        if isinstance(body := getattr(node, name, None), list) and body and node is not module
    ]
    empty = sum(all(map(_does_nothing, body)) for body in bodies)
    return len(bodies) - empty, empty


def _does_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _loose_ends(text: str, prefix: str, suffix: str) -> int:
    """Number of unmatched brackets, and of lines that end within a string."""
    found = nesting(prefix[-NEAR_CHARS:] + text + suffix[:NEAR_CHARS])
    rest, *_ = LINE_END.split(suffix[:NEAR_CHARS], maxsplit=1)
    lines = lines_of(last_line(prefix) + text + rest)
    torn = sum(open_text(line) in ("'", '"') for line in lines)
    return len(found.opened) + len(found.closed) + torn


def _bodies(blocks: re.Pattern[str], text: str) -> tuple[int, int]:
    """Number of blocks with a body, and of those without."""
    found = [match["empty"] is not None for match in blocks.finditer(text)]
    return found.count(False), found.count(True)
