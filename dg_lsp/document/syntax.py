"""Decides whether inserting a text makes code invalid that could be valid.

Python's own parser judges Python, because it is the stricter one: tree-sitter takes a wrong
indentation or an `else` of nothing for valid. Only the statements around the position are
parsed, from the one before it to the end of its own, so that the check is fast in a long
document and unaffected by errors elsewhere. Where they are too long, and in other languages,
syntax trees decide.
"""

from __future__ import annotations

import ast
import functools
import re
import warnings
from collections.abc import Iterator, Sequence

from dg_lsp.document import wholeness
from dg_lsp.document.nesting import CLOSERS, brackets_around, nesting, open_text
from dg_lsp.document.position import LINE_END, NEAR_CHARS, indent_of, lines_of

MOST_CHARS = 8_000
"""Maximum length of the statements around a position; parsing a longer class is too slow."""

# Begins a statement at the left margin; no closing bracket, comment or later part of one does.
_STATEMENT = re.compile(r"^(?!(?:else|elif|except|finally)\b)[^\s#)\]}]", re.MULTILINE)


def breaks_syntax(text: str, prefix: str, suffix: str, language: str) -> bool | None:
    """Whether the text makes code invalid that something simple would make valid.

    None if that cannot be decided: for a language without a grammar, or code that is broken
    anyway.
    """
    if language != "python":
        return wholeness.breaks(text, prefix, suffix, language)
    after = statements_after(suffix)
    if after is None or not statements_before(prefix):
        return wholeness.breaks(text, prefix, suffix, language)
    for before in statements_before(prefix):
        endings = ("", *_endings(before, text))
        if any(parses(before + text + ending + after) for ending in endings):
            return False
        if _could_be_valid(before, after):
            return True
    return None


def statements_before(prefix: str) -> list[str]:
    """The text from the last statement but one, and from the last one, which may be but a
    part of it: the `el` of an `else`."""
    near = prefix[-MOST_CHARS:]
    starts = [match.start() for match in _STATEMENT.finditer(near)]
    if len(near) == len(prefix):
        starts = [0, *starts]
    elif starts and starts[0] == 0:
        del starts[0]  # In the middle of a line, for all that is known.
    return [near[start:] for start in starts[-2:]]


def statements_after(suffix: str) -> str | None:
    """The rest of the line and what follows to the next statement at the left margin."""
    line_end = LINE_END.search(suffix)
    if line_end is None:
        return suffix if len(suffix) <= MOST_CHARS else None
    following = _STATEMENT.search(suffix, line_end.end(), MOST_CHARS)
    if following is not None:
        return suffix[: following.start()]
    return suffix if len(suffix) <= MOST_CHARS else None


def _endings(before: str, text: str) -> Iterator[str]:
    """Continuations of a text that begins something and is therefore not wrong yet."""
    # Above a body that is there already.
    yield ":"
    lines = lines_of(before + text)
    if lines[-1].rstrip().endswith(":"):
        yield " pass"
    if lines[-1].lstrip().startswith("@"):
        yield f"\n{indent_of(lines[-1])}def x(): pass"
    for line in lines[-1 - len(LINE_END.findall(text)) :]:
        if line.strip() == "try:":
            yield f"\n{indent_of(line)}finally: pass"


@functools.lru_cache(maxsize=4)
def _could_be_valid(before: str, after: str) -> bool:
    """Whether something simple makes the code valid; cached, as every candidate asks."""
    return any(parses(before + one + after) for one in _simple(before, after))


def _simple(before: str, after: str) -> Sequence[str]:
    """Simple texts that could be inserted."""
    missing, _ = brackets_around(before, after[:NEAR_CHARS])
    closers = ""
    for token in reversed(nesting(before).opened):
        if missing[token.kind] > 0:
            missing[token.kind] -= 1
            closers += CLOSERS.get(token.kind, "")
    begun = ("", "x", closers, f"x{closers}", *_string_ends(before))
    headers = [f"{one}{body}" for one in begun for body in (":", ": pass")]
    return (*begun, "pass", *headers, "if x:", "except x:", "else:")


def _string_ends(before: str) -> Iterator[str]:
    """What may end the string that the text ends in, and a replacement field in it."""
    quote = open_text(before)
    if quote.strip("\"'") or not quote:
        return
    for inner in ("", "}", ")}"):
        for closers in ("", ")"):
            yield f"x{inner}{quote}{closers}"


def parses(text: str) -> bool:
    """Whether a text is valid Python."""
    return isinstance(parse(text), ast.Module)


def parse(text: str) -> ast.Module | SyntaxError | None:
    """The parsed Python text, or its error, if the parser can say."""
    try:
        with warnings.catch_warnings():
            # Warnings about escape sequences in the user's code.
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError):
        return None
