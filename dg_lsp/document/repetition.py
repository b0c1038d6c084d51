"""Removes text from an infill that already follows the cursor.

These are pure functions of text; none of them parses a language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, takewhile

from dg_lsp.document.nesting import brackets_around, nesting, open_text, open_text_end
from dg_lsp.document.position import (
    LINE_END,
    NEAR_CHARS,
    indent_width,
    last_line,
    lines_of,
    may_cut,
)

_MIN_PARTIAL_LINE = 4
"""Minimum length of an unfinished line that counts as a repetition."""

_MOST_OVERLAPS = 64
"""Only a text that repeats itself many times has more overlaps."""

CLOSERS_ONLY = re.compile(r"[\s;,]*(?:(?:</[\w.-]+>|\*/|-->|[)\]}\"'`])[\s;,]*)+")
_BLANK_START = re.compile(r"[ \t]*(?:\r\n|\r|\n)")
BLANK_LINES = re.compile(r"\A(?:[ \t]*(\r\n|\r|\n))+")
_WORD_ALONE = re.compile(r"\w+[;:,)\]}]*|</[\w.-]+>")
_CLOSING_TAG = re.compile(r"</([\w.-]+)>")
_KEY_ENDS = re.compile(r"\s*(?::|=>)")
"""What follows a string that is a key; the infill would need the value too."""


def trim_to_suffix(infill: str, suffix: str) -> str:
    """Remove the end of the infill if it repeats the beginning of the suffix.

    These count as repetitions: the whole rest of the current line, with or without lines after
    it, and closing brackets, quotes and tags. A shared letter or blank does not count, and
    closers of something that the infill itself opened stay. Blank lines need not agree; at the
    end of the infill they are removed if the suffix begins with a line end.
    """
    pairs = nesting(infill).pairs
    # The second form finds a repetition without the blank lines.
    for start in (suffix, BLANK_LINES.sub(r"\1", suffix)):
        for length in islice(_overlaps(infill, start), _MOST_OVERLAPS):
            cut = len(infill) - length
            if (
                not any(left < cut < right for left, right in pairs)
                and may_cut(infill, cut)
                and may_cut(start, length)
                and _is_repetition(start[:length], start[length:])
            ):
                return drop_blank_end(infill[:cut], suffix)
    return drop_blank_end(infill, suffix)


def trim_what_is_closed(infill: str, prefix: str, suffix: str) -> str:
    """Trim to the suffix, but keep closing brackets that the document would lack."""
    trimmed = trim_to_suffix(infill, suffix)
    dropped = infill[len(trimmed) :]
    closers = [token.kind for token in nesting(dropped).closed]
    if closers and not any(character.isalnum() for character in dropped):
        missing, _ = brackets_around(prefix + trimmed, suffix)
        if any(missing[kind] > 0 for kind in closers):
            return drop_blank_end(infill, suffix)
    return trimmed


def stop_at_next_lines(infill: str, prefix: str, suffix: str) -> str:
    """Stop before lines with which the document continues, however they are indented.

    Two consecutive lines count, or the whole rest of the infill. The infill's first line counts
    as a line only if it is at the start of a line.
    """
    below = [line for line in lines_of(suffix[:NEAR_CHARS])[1:] if line.strip()]
    if not below:
        return infill
    next_lines = [line.strip() for line in below]
    starts = [0, *(end.end() for end in LINE_END.finditer(infill))]
    lines = lines_of(infill)
    code = next_lines[0]
    found = (index for index, line in enumerate(lines) if line.strip() == code)
    for index in islice(found, _MOST_OVERLAPS):
        start, line = starts[index], lines[index]
        head = last_line(prefix) if index == 0 else ""
        if index == 0 and code == last_line(prefix.rstrip()).strip():
            continue  # The document itself repeats the line many times.
        tag = _CLOSING_TAG.fullmatch(code)
        if tag and brackets_around(prefix + infill[:start], suffix)[0]["<" + tag[1]] > 0:
            continue  # The document lacks it.
        # A single word or closing tag (`end`, `else`) may well occur twice, at two depths.
        may_differ = index == 0 and not _WORD_ALONE.fullmatch(code)
        if head.strip() or not (may_differ or _same_depth(head + line, below[0])):
            continue
        left = [other.strip() for other in lines[index:] if other.strip()]
        pairs = zip(left, next_lines, strict=False)
        same = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
        begun, then = left[len(same) :], next_lines[len(same) : len(same) + 1]
        ends = not begun or (len(begun) == len(then) == 1 and then[0].startswith(begun[0]))
        # A line of brackets alone is not a repetition.
        said = any(map(str.isalnum, "".join(same)))
        if said and (
            (ends and any(map(str.isalnum, code)))
            or (len(same) > 1 and (ends or not _may_recur(same, infill, prefix, suffix)))
        ):
            return infill[:start]
    return infill


def _may_recur(lines: list[str], infill: str, prefix: str, suffix: str) -> bool:
    """Whether the document may contain these lines more than once: it has them above too, as
    records with the same fields do, or the infill goes on to a block that is in the suffix."""
    above = [line.strip() for line in lines_of(prefix[-NEAR_CHARS:]) if line.strip()]
    return "\n".join(["", *lines, ""]) in "\n".join(["", *above, ""]) or leads_into(
        infill, suffix
    )


def leads_into(infill: str, suffix: str) -> bool:
    """Whether the last line of the infill opens a block or a bracket, and what is in it follows
    in the suffix."""
    last = last_line(infill.rstrip())
    blank = BLANK_LINES.match(suffix)
    below = suffix[blank.end() :] if blank else ""
    opens = last.endswith((":", "(", "[", "{")) or nesting(last).opened
    return bool(opens) and indent_width(below) > indent_width(last)


def stop_at_quote(infill: str, prefix: str, suffix: str) -> str:
    """Stay in the string that the cursor is in, if the document already closes it.

    Text after the string's end is removed. If the string was to be a key, nothing is left,
    because
    its value would have to follow the existing quote. An infill that leaves the string and ends
    in another one stays: the existing quote closes that one.
    """
    quote = closed_quote(prefix, suffix)
    if not quote:
        return infill
    line_end = LINE_END.search(infill)
    first = infill[: line_end.start()] if line_end else infill
    quotes = [*_unescaped(quote, first)]
    if len(quotes) % 2 == 0:
        # Strings in these quotes cannot span lines.
        return infill if quote == "`" else first
    for at in reversed(quotes[::2]):
        if not _KEY_ENDS.match(first, at + 1):
            return first[:at]
    return ""


def closed_quote(prefix: str, suffix: str) -> str:
    """The quote of the string that the cursor is in, if the rest of its line closes it."""
    quote = open_text(prefix)
    if quote not in ("'", '"', "`"):
        return ""
    rest, *_ = LINE_END.split(suffix, maxsplit=1)
    end = open_text_end(rest, quote)
    # An even number is of whole strings: the infill has to end the one that the cursor is in.
    of_others = re.compile(rf"(?!{quote})([\"'`])(?:\\.|(?!\1)[^\\])*\1")
    closes = sum(1 for _ in _unescaped(quote, of_others.sub("", rest))) % 2 == 1
    return quote if closes and rest[end - 1 : end] == quote != open_text(rest[end:]) else ""


def drop_blank_end(infill: str, suffix: str) -> str:
    """The infill without its last line ends, if the suffix begins with one."""
    filled = infill.rstrip(" \t\r\n")
    ends_in_blank = LINE_END.search(infill, len(filled)) and _BLANK_START.match(suffix)
    return filled if ends_in_blank else infill


def _overlaps(text: str, start: str) -> Iterator[int]:
    """The lengths, longest first, of texts that end `text` and begin `start` (Knuth, Morris and
    Pratt's failure function, linear in both)."""
    start = start[: len(text)]
    shorter = [0] * (len(start) + 1)
    length = 0
    for index in range(1, len(start)):
        while length and start[index] != start[length]:
            length = shorter[length]
        length += start[index] == start[length]
        shorter[index + 1] = length
    length = 0
    for character in text[len(text) - len(start) :] if start else "":
        while length and (length == len(start) or start[length] != character):
            length = shorter[length]
        length += start[length] == character
    while length:
        yield length
        length = shorter[length]


def _is_repetition(overlap: str, after: str) -> bool:
    """Whether text shared by the infill's end and the suffix's beginning is no coincidence."""
    lines = lines_of(overlap)
    tail = lines[-1].strip()
    ends_line = not after.strip() or _BLANK_START.match(after) is not None
    if CLOSERS_ONLY.fullmatch(overlap):
        return True
    if len(lines) == 1:
        return ends_line and re.fullmatch(r"\w?", tail) is None
    return not tail or ends_line or len(tail) >= _MIN_PARTIAL_LINE


def _unescaped(quote: str, line: str) -> Iterator[int]:
    at = 0
    while at < len(line):
        if line[at] == "\\":
            at += 1
        elif line[at] == quote:
            yield at
        at += 1


def _same_depth(line: str, other: str) -> bool:
    return indent_width(line) == indent_width(other)
