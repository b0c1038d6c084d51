"""From a model's raw infill to the text that is offered.

`finish` composes the steps; each is a pure function that leaves alone what it cannot judge.
It judges best with the whole document around the infill: brackets count as missing when the
suffix does not close them. Knows nothing of models, editors or LSP, and parses no language.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from dg_lsp.document.nesting import (
    Token,
    brackets_around,
    nesting,
    open_text,
    open_text_end,
    pop_opener,
    tokens,
)
from dg_lsp.document.position import (
    LINE_END,
    NEAR_CHARS,
    indent_of,
    indent_width,
    last_line,
    lines_of,
    may_cut,
)

_MIN_PARTIAL_LINE = 4
"""Characters of a line begun but not finished that count as a repetition of it."""

_INDENTED = ("coffeescript", "gdscript", "haskell", "nim", "pug", "python", "sass", "yaml")
_UNJUDGED = ("diff", "latex", "markdown", "plaintext", "restructuredtext", "shellscript")

_CLOSERS_ONLY = re.compile(r"[\s;,]*(?:(?:</[\w.-]+>|\*/|-->|[)\]}\"'`])[\s;,]*)+")
_INDENT = re.compile(r"(?:\A|(?<=[\r\n]))[ \t]*(?=\S)")
_BLANK_START = re.compile(r"[ \t]*(?:\r\n|\r|\n)")
_BLANK_LINES = re.compile(r"\A(?:[ \t]*(\r\n|\r|\n))+")


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
    2. No blank that doubles the one before the cursor.
    3. The document's indentation.
    4. Nothing that the suffix has already, unless a bracket would stay open without it.
    5. Nothing beyond the scope that the cursor is in; then 4 again for the new end.
    """
    infill = match_newlines(infill, newline)
    if replaced:
        infill = infill.strip(" \t\r\n")
    if prefix[-1:] in (" ", "\t") and not last_line(prefix).isspace():
        infill = infill.lstrip(" \t")
    # Far longer than the infill, so that no overlap reaches the end of what is looked at.
    suffix = match_newlines(suffix[: NEAR_CHARS + 2 * len(infill)], newline)
    infill = match_indentation(infill, prefix, suffix, replaced)
    infill = _trim_what_is_closed(infill, prefix, suffix)
    limited = limit_to_scope(infill, prefix, suffix, language)
    if limited != infill:
        infill = _trim_what_is_closed(limited, prefix, suffix)
    filled = infill.rstrip(" \t\r\n")
    return filled + newline if not suffix and newline in infill[len(filled) :] else infill


def trim_to_suffix(infill: str, suffix: str) -> str:
    """Drop from the end of the infill what repeats the beginning of the suffix.

    What counts as a repetition: the whole rest of the current line, with or without lines
    after it, or closing brackets, quotes and tags. A letter or a blank in common does not,
    and what closes something that the infill itself opened stays. Blank lines need not
    agree; those at the end of the infill go where the suffix begins with a line end.
    """
    pairs = nesting(infill).pairs
    # The second form finds a repetition that has left out the blank lines.
    for start in (suffix, _BLANK_LINES.sub(r"\1", suffix)):
        for length in range(min(len(infill), len(start)), 0, -1):
            cut = len(infill) - length
            if (
                infill.endswith(start[:length])
                and not any(left < cut < right for left, right in pairs)
                and may_cut(infill, cut)
                and may_cut(start, length)
                and _is_repetition(start[:length], start[length:])
            ):
                return _drop_blank_end(infill[:cut], suffix)
    return _drop_blank_end(infill, suffix)


def match_newlines(text: str, newline: str) -> str:
    """The text with every line end as `newline`."""
    return LINE_END.sub(newline, text)


def match_indentation(infill: str, prefix: str, suffix: str, replaced: str = "") -> str:
    """Indent the lines of the infill with the document's tabs, or spaces of its width.

    Tabs and spaces are told apart by the lines around the span. Another width is converted
    only where the lines after block openers prove it. The first line follows the cursor, so
    it is left alone unless the cursor is at the start of a line; so is all text in a
    docstring or block comment.
    """
    current = last_line(prefix)
    lines = lines_of(infill)
    indents = [indent_of(line) for line in lines[current != "" :] if line.strip()]
    if not indents:
        return infill
    around = prefix[-NEAR_CHARS:] + (replaced or "x")
    document = lines_of(around) + lines_of(suffix[:NEAR_CHARS])[1:]
    tabbed = sum(line.startswith("\t") for line in document)
    spaced = sum(line.startswith("  ") for line in document)
    if tabbed == spaced or len(open_text(prefix)) > 1:
        return infill
    steps = _steps([current + lines[0], *lines[1:]])
    if tabbed > spaced:
        # An indentation that starts with a tab is the document's own; spaces after it align.
        widths = {indent: len(indent) for indent in indents if not indent.startswith("\t")}
        if not any(width > 1 for width in widths.values()):
            return infill
        # With no step to go by, 4 columns are a tab, or 2 if 4 does not fit.
        unit = _unit(steps) or (4 if all(width % 4 < 2 for width in widths.values()) else 2)
        change = {
            indent: "\t" * (width // unit) + " " * (width % unit)
            for indent, width in widths.items()
        }
    elif any("\t" in indent for indent in indents):
        unit = _unit(_steps(document)) or 4
        change = {indent: indent.replace("\t", " " * unit) for indent in indents}
    else:
        unit, theirs = _unit(_steps(document)), _unit(steps)
        if unit == 0 or theirs in (0, unit) or len(steps) > 1:
            return infill
        base = len(indent_of(current + lines[0]))
        change = {
            indent: " " * (base + (len(indent) - base) // theirs * unit)
            for indent in indents
            if len(indent) > base and (len(indent) - base) % theirs == 0
        }

    typed = len(lines[0]) if current else 0
    return infill[:typed] + _INDENT.sub(
        lambda indent: change.get(indent[0], indent[0]), infill[typed:]
    )


def limit_to_scope(infill: str, prefix: str, suffix: str, language: str) -> str:
    """Stop where the scope that the infill starts in ends.

    At the first closing bracket or tag that the infill did not open and the suffix has
    already; in languages with significant indentation also at the first line that is
    indented less than the one where the infill starts. Left alone are prose and shell
    scripts, whose closing brackets need no opening ones, and an infill that ends with the
    opener of a block that stands in the suffix.
    """
    if language in _UNJUDGED or _leads_into(infill, suffix):
        return infill
    end = _closing_end(infill, prefix, suffix)
    if language in _INDENTED:
        end = min(end, _dedent_end(infill, prefix, suffix))
    if end == len(infill):
        return infill
    # The blank before a bracket that was cut off would double the one before its twin.
    return infill[:end].rstrip(" \t") if suffix[:1].isspace() else infill[:end]


def minimal_replacement(old: str, new: str) -> Replacement:
    """The smallest replacement that makes `new` of `old`, cutting through no character."""
    most = min(len(old), len(new))
    start = 0
    while start < most and old[start] == new[start]:
        start += 1
    while not (may_cut(old, start) and may_cut(new, start)):
        start -= 1
    kept = 0
    while kept < most - start and old[-1 - kept] == new[-1 - kept]:
        kept += 1
    while not (may_cut(old, len(old) - kept) and may_cut(new, len(new) - kept)):
        kept -= 1
    return Replacement(start, len(old) - kept, new[start : len(new) - kept])


def is_only_closers(infill: str) -> bool:
    """Whether the infill holds nothing but closing brackets, quotes and tags, or nothing."""
    return not infill.strip() or _CLOSERS_ONLY.fullmatch(infill) is not None


def _closing_end(infill: str, prefix: str, suffix: str) -> int:
    """Where the infill first closes what the suffix closes."""
    missing, closed_after = brackets_around(prefix, suffix)
    found = list(tokens(infill, open_text_end(infill, open_text(prefix))))
    opened: list[Token] = []
    exchanged: set[Token] = set()
    for index, token in enumerate(found):
        if token.opens and token not in exchanged:
            opened.append(token)
        if token.opens or not token.kind or pop_opener(opened, token.kind):
            continue
        if missing[token.kind] > 0:
            missing[token.kind] -= 1
            continue
        # `} else {` and `) + f(` close and open again on one line: the depth stays.
        stop = LINE_END.search(infill, token.end)
        line = [later for later in found[index:] if not stop or later.start < stop.start()]
        again = [t for t in line if t.opens and t.kind == token.kind and t not in exchanged]
        if again:
            exchanged.add(again[0])
        elif closed_after[token.kind]:
            return token.start
    return len(infill)


def _dedent_end(infill: str, prefix: str, suffix: str) -> int:
    """Where the first line starts that is indented less than the one the infill starts in."""
    missing, _ = brackets_around(prefix, suffix)
    position = open_text_end(infill, open_text(prefix))
    pairs, opened, _ = nesting(infill, position)
    current = last_line(prefix)
    first, *others = lines_of(infill)
    base = indent_width(current + first)
    inner = next((indent_width(line) for line in others if line.strip()), base)
    opens_block = current.rstrip().endswith(":") and inner > base
    if not first.strip() and (current == "" or opens_block):
        base = inner
    for indent in _INDENT.finditer(infill):
        start, width = indent.start(), indent_width(indent[0])
        inside = any(left < start < right for left, right in pairs)
        if start < max(position, 1) or width >= base or inside:
            continue
        if any(token.start < start and token.kind in "([{" for token in opened):
            break
        closer = next(tokens(infill[indent.end()]), None)
        if not closer or closer.opens or missing[closer.kind] <= 0:
            return start
        missing[closer.kind] -= 1
        base = width
    return len(infill)


def _trim_what_is_closed(infill: str, prefix: str, suffix: str) -> str:
    """Trim to the suffix, but keep closing brackets that the document would lack."""
    trimmed = trim_to_suffix(infill, suffix)
    dropped = infill[len(trimmed) :]
    closers = [token.kind for token in nesting(dropped).closed]
    if closers and not any(character.isalnum() for character in dropped):
        missing, _ = brackets_around(prefix + trimmed, suffix)
        if any(missing[kind] > 0 for kind in closers):
            return _drop_blank_end(infill, suffix)
    return trimmed


def _leads_into(infill: str, suffix: str) -> bool:
    """Whether the infill ends with a block opener whose block stands in the suffix."""
    last = infill.rstrip()
    blank = _BLANK_LINES.match(suffix)
    below = suffix[blank.end() :] if blank else ""
    return last.endswith((":", "(", "[", "{")) and indent_width(below) > indent_width(
        last_line(last)
    )


def _is_repetition(overlap: str, after: str) -> bool:
    """Whether text that the infill's end and the suffix's beginning share is no accident."""
    lines = lines_of(overlap)
    tail = lines[-1].strip()
    ends_line = not after.strip() or _BLANK_START.match(after) is not None
    if _CLOSERS_ONLY.fullmatch(overlap):
        return True
    if len(lines) == 1:
        return ends_line and re.fullmatch(r"\w?", tail) is None
    return not tail or ends_line or len(tail) >= _MIN_PARTIAL_LINE


def _drop_blank_end(infill: str, suffix: str) -> str:
    filled = infill.rstrip(" \t\r\n")
    ends_in_blank = LINE_END.search(infill, len(filled)) and _BLANK_START.match(suffix)
    return filled if ends_in_blank else infill


def _steps(lines: list[str]) -> Counter[int]:
    """By how many columns lines are deeper than the block opener before them."""
    indents = [(indent_of(line), line) for line in lines if line.strip()]
    return Counter(
        len(indent) - len(outer)
        for (outer, opener), (indent, _) in pairwise(indents)
        if opener.rstrip().endswith(("{", ":"))
        and len(indent) > len(outer)
        and "\t" not in outer + indent
    )


def _unit(steps: Counter[int]) -> int:
    return max(steps, key=lambda step: (steps[step], -step), default=0)
