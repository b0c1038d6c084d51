"""Turns a model's raw infill into the text that is suggested.

`finish` composes the steps; each is a pure function that changes nothing it cannot judge. The
steps work best with the whole document around the infill, because brackets count as missing
if the suffix does not close them. No language is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from dg_lsp.document.indentation import fit_first_line, match_indentation
from dg_lsp.document.position import (
    LINE_END,
    NEAR_CHARS,
    common_end,
    common_length,
    last_line,
    may_cut,
)
from dg_lsp.document.repetition import (
    CLOSERS_ONLY,
    stop_at_next_lines,
    stop_at_quote,
    trim_what_is_closed,
)
from dg_lsp.document.scope import drop_stray_closers, limit_to_scope

_MOST_PASSES = 4

_TRAILING = re.compile(r"(?<![ \t])[ \t]+(?=[\r\n])")
_HARD_BREAK = re.compile(r"(?<![ \t])  +(?=(?:\r\n|\r|\n)[ \t]*\S)")

_MASK = re.compile(r"([\"'`])\*{3,}\1|(?<![*/])\*{4,}(?![*/\w])")
_BANNER = re.compile(r"\s*(?:/\*|//|#|--|;|%|\*)|[^\w\"'`=:]*\Z")
_PROSE = ("latex", "markdown", "plaintext", "restructuredtext")


@dataclass(frozen=True, slots=True)
class Replacement:
    """`[start, end)` of a text becomes `new_text`."""

    start: int
    end: int
    new_text: str


def finish(
    infill: str,
    prefix: str,
    suffix: str,
    newline: str,
    language: str,
    *,
    replaced: str = "",
    indent_unit: str = "",
) -> str:
    """The text to insert between prefix and suffix, or an empty one.

    1. The document's line ends.
    2. Nothing from the mask of a secret onwards.
    3. No indentation that the cursor's line already has, and the document's indentation.
    4. Nothing that the suffix already has, unless a bracket would stay open without it.
    5. Nothing beyond the scope of the cursor; then step 4 again for the new end.
    6. No closers without an opener, no trailing blanks, and no text of blanks only.

    `replaced` is the text of a rewrite, without blanks at its ends. `indent_unit` is one level
    of indentation, for a document that shows none. If anything changed, all steps run again,
    because a cut at one end may enable another step.
    """
    for _ in range(_MOST_PASSES):
        before = infill
        infill = _pass(infill, prefix, suffix, newline, language, replaced, indent_unit)
        if infill == before:
            break
    return infill


def _pass(
    infill: str,
    prefix: str,
    suffix: str,
    newline: str,
    language: str,
    replaced: str,
    indent_unit: str,
) -> str:
    infill = match_newlines(infill, newline)
    # Far longer than the infill, so that no overlap reaches the end of the excerpt.
    suffix = match_newlines(suffix[: NEAR_CHARS + 2 * len(infill)], newline)
    infill = stop_at_mask(infill, prefix, replaced + suffix, language)
    infill = infill.strip(" \t\r\n") if replaced else fit_first_line(infill, prefix)
    steps: tuple[Callable[[str], str], ...] = (
        lambda text: match_indentation(
            text, prefix, suffix, replaced, language=language, unit=indent_unit
        ),
        lambda text: _new_part(text, prefix, suffix),
        lambda text: _within(text, prefix, suffix, language, replaced),
        lambda text: drop_stray_closers(text, prefix, suffix, language),
    )
    for step in steps:
        # What a step would change in the selection itself is the document's own.
        if not replaced or step(replaced) == replaced:
            infill = step(infill)
    return trim_blanks(infill, suffix, newline, language)


def _new_part(infill: str, prefix: str, suffix: str) -> str:
    return trim_what_is_closed(stop_at_next_lines(infill, prefix, suffix), prefix, suffix)


def _within(infill: str, prefix: str, suffix: str, language: str, replaced: str) -> str:
    limited = stop_at_quote(infill, prefix, suffix)
    limited = limit_to_scope(limited, prefix, suffix, language, replaced)
    return infill if limited == infill else trim_what_is_closed(limited, prefix, suffix)


def match_newlines(text: str, newline: str) -> str:
    """The text with every line end as `newline`."""
    return LINE_END.sub(newline, text)


def stop_at_mask(infill: str, prefix: str, below: str, language: str) -> str:
    """Stop before the first line with asterisks that look like the mask of a secret.

    Models see masks in place of secrets, and repeat them. Asterisks of the document itself,
    banners in comments and emphasis in prose are not masks.
    """
    near = prefix[-NEAR_CHARS:] + below[:NEAR_CHARS]
    for mask in _MASK.finditer(infill):
        line = last_line(prefix[-NEAR_CHARS:] + infill[: mask.start()])
        is_value = re.search(r"[=:>\"'`]\s*\Z", line + mask[0][:1].strip("*"))
        if mask[0] in near or (not is_value if language in _PROSE else _BANNER.match(line)):
            continue
        start = len(infill[: mask.start()]) - len(last_line(infill[: mask.start()]))
        return infill[:start].rstrip()
    return infill


def trim_blanks(infill: str, suffix: str, newline: str, language: str) -> str:
    """Without blanks at the ends of lines; empty if nothing else is left.

    In Markdown, two spaces before another line are a line break, and stay.
    """
    if language == "markdown":
        marked = _HARD_BREAK.sub("\0", infill.replace("\0", ""))
        infill = _TRAILING.sub("", marked).replace("\0", "  ")
    else:
        infill = _TRAILING.sub("", infill)
    filled = infill.rstrip(" \t\r\n")
    if not filled:
        return ""
    if not suffix:
        return filled + newline if newline in infill[len(filled) :] else filled
    return infill.rstrip(" \t") if suffix[0].isspace() else infill


def minimal_replacement(old: str, new: str) -> Replacement:
    """The smallest replacement that turns `old` into `new` without splitting a character."""
    most = min(len(old), len(new))
    start = common_length(old, new, most)
    while not (may_cut(old, start) and may_cut(new, start)):
        start -= 1
    kept = common_end(old, new, most - start)
    while not (may_cut(old, len(old) - kept) and may_cut(new, len(new) - kept)):
        kept -= 1
    return Replacement(start, len(old) - kept, new[start : len(new) - kept])


def is_only_closers(infill: str) -> bool:
    """Whether the infill is empty or consists only of closing brackets, quotes and tags."""
    return not infill.strip() or CLOSERS_ONLY.fullmatch(infill) is not None
