"""Ends an infill where the scope that it starts in ends, and removes unmatched closers.

The rules use brackets, tags, quotes and indentation, and are the same for all languages except
the few whose closing brackets need no opening ones.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque

from dg_lsp.document.indentation import INDENT, opens_block
from dg_lsp.document.nesting import (
    Token,
    brackets_around,
    nesting,
    open_text,
    open_text_end,
    opened_in,
    pop_opener,
    tokens,
)
from dg_lsp.document.position import LINE_END, NEAR_CHARS, indent_width, last_line, lines_of
from dg_lsp.document.repetition import (
    BLANK_LINES,
    CLOSERS_ONLY,
    closed_quote,
    leads_into,
)

_INDENTED = ("coffeescript", "gdscript", "haskell", "nim", "pug", "python", "sass", "yaml")
UNJUDGED = ("diff", "latex", "markdown", "plaintext", "restructuredtext", "shellscript")

# Words that open and close blocks, in languages that use words.
_WORDS = {
    "elixir": (r"\bdo\b(?!:)|\bfn\b", r"end"),
    "julia": (r"^\s*(?:begin|for|function|if|let|macro|module|struct|try|while)\b", r"end"),
    "lua": (r"\b(?:do|function|if|repeat)\b", r"end[,;)]*"),
    "makefile": (r"^(?:define|ifn?eq|ifn?def)\b", r"endif|endef"),
    "ruby": (
        r"^\s*(?:begin|case|class|def|for|if|module|unless|until|while)\b|\bdo\b",
        r"end",
    ),
    "shellscript": (r"(?:^|;)\s*(?:case|if)\b|\bdo\b", r"fi|done|esac"),
}
_MARKUP = ("html", "xml")
_HOLD_SHELL = ("dockerfile", "make", "makefile", "yaml")
_COMMENT = re.compile(r"\s*(?:#|--)")
# Prose and markup.
_LINE_COMMENT = re.compile(r"(?:^|\s)--\s|^\s*[;%]")
# Languages with unpaired quotes, which transpose, quote a list or begin a comment.
_LONE_QUOTES = (
    "clojure",
    "haskell",
    "julia",
    "lisp",
    "matlab",
    "ocaml",
    "octave",
    "scheme",
    "vb",
    "vim",
)
_LUA_TEXT = re.compile(
    r"(?:--)?\[(?P<level>=*)\[(?s:.*?\](?P=level)\]|.*)|--[^\r\n]*"
    r"|\"(?:\\.|[^\"\\\r\n])*\"|'(?:\\.|[^'\\\r\n])*'"
)
_BLANK_LINE = re.compile(r"(?:\n|\r(?!\n))[ \t]*[\r\n]")
_CLOSERS = re.compile(r"(?:[ \t;,)\]}]|</[\w.-]+>)*")
_CLOSER_OF = {"(": ")", "[": "]", "{": "}"}


def limit_to_scope(
    infill: str, prefix: str, suffix: str, language: str, replaced: str = ""
) -> str:
    """Stop where the scope that the infill starts in ends.

    That is the first closing bracket or tag that the infill did not open and the suffix
    already has; in languages with significant indentation also the first line that is indented
    less than the one where the infill starts, or any that it replaces. Prose and shell scripts
    do not change, because their closing brackets need no opening ones, nor does an infill that
    ends with the opener of a block in the suffix.
    """
    if language in UNJUDGED or leads_into(infill, suffix):
        return infill
    if _may_be_case(language, prefix + infill + suffix[:NEAR_CHARS]):
        return infill
    end = _closing_end(*_code_of(infill, prefix, suffix, language), language)
    if language in _INDENTED:
        end = min(end, _dedent_end(infill, prefix, suffix, language, replaced))
    if end == len(infill):
        return infill
    # The blank before the removed bracket would double the one before the existing bracket.
    return infill[:end].rstrip(" \t") if suffix[:1].isspace() else infill[:end]


def drop_stray_closers(infill: str, prefix: str, suffix: str, language: str) -> str:
    """Remove brackets, tags and quotes that close nothing.

    Neither the visible part of the document nor the count of brackets in all of it has an
    opener
    for them; if the two disagree, a closer stays. A line that begins with an unmatched closer
    ends the infill.
    """
    infill = _stop_at_stray_word(infill, prefix, language)
    if language in UNJUDGED or closed_quote(prefix, suffix) or _in_comment(prefix):
        return infill
    if _may_be_case(language, prefix[-NEAR_CHARS:] + infill):
        return infill
    kept: list[str] = []
    done = 0
    head = last_line(prefix)
    begins, ends = _code_of_line(head, infill, 0)
    comment = infill.rfind("/*") if _in_comment(infill) else len(infill)
    code, before, _ = _code_of(infill[:comment], prefix, "", language)
    for start, end in _strays(code, before, language):
        for line_end in LINE_END.finditer(infill, done, start):
            begins, ends = _code_of_line("", infill, line_end.end())
        if start < begins:
            return "".join(kept) + infill[done:start].rstrip()
        if start < ends:
            kept.append(infill[done:start])
            done = end
    infill = "".join(kept) + infill[done:]
    return infill if language in _LONE_QUOTES else _drop_stray_quotes(infill, prefix, suffix)


def _code_of_line(head: str, infill: str, start: int) -> tuple[int, int]:
    """Where the closers end that a line begins with, and where its code does; `head` is the
    part of it that stands in the document."""
    closers, line_end = _CLOSERS.match(infill, start), LINE_END.search(infill, start)
    stop = line_end.start() if line_end else len(infill)
    comment = _LINE_COMMENT.search(head + infill[start:stop])
    if comment:
        stop = max(start, start + comment.start() - len(head))
    return start if head.strip() or not closers else closers.end(), stop


def _in_comment(text: str) -> bool:
    """Whether a text may end in a block comment, however its lines begin."""
    near = text[-NEAR_CHARS:]
    return near.rfind("/*") > near.rfind("*/")


def _strays(infill: str, prefix: str, language: str) -> list[tuple[int, int]]:
    """The offsets of closers that nothing before them opens."""
    free = Counter(token.kind for token in opened_in(prefix))
    in_tag = re.search(r"<[^<>]*\Z", last_line(prefix)) is not None
    in_text = _is_text(language, prefix)
    counted: dict[str, int] = {}
    opened: list[Token] = []
    strays: list[tuple[int, int]] = []
    for token in tokens(infill, open_text_end(infill, open_text(prefix))):
        kind = token.kind
        if token.opens:
            opened.append(token)
        if token.opens or not kind or pop_opener(opened, kind):
            continue
        if in_tag if kind[0] == "<" else in_text:
            continue  # What it closes may have begun before the cursor, or be none.
        if kind not in counted:
            counted[kind] = _open_by_count(kind, prefix)
        written = _open_by_count(kind, infill[: token.start])
        if free[kind] <= 0 and counted[kind] + written <= 0:
            strays.append((token.start, token.end))
        free[kind] -= 1
    return strays


def _open_by_count(kind: str, text: str) -> int:
    """How many more brackets of a kind open than close in a text."""
    closer = _CLOSER_OF.get(kind, f"</{kind[1:]}>")
    return _count(kind, text) - _count(closer, text)


def _count(bracket: str, text: str) -> int:
    return text.count(bracket) - text.count("\\" + bracket)


def _drop_stray_quotes(infill: str, prefix: str, suffix: str) -> str:
    """Remove an unpaired quote at the end of a line of code, ignoring closers after it."""
    before = last_line(prefix)
    if open_text(prefix):
        return infill
    rest, *_ = LINE_END.split(suffix, maxsplit=1)
    pieces = re.split(r"(\r\n|\r|\n)", infill)
    over_lines: set[str] = set()
    quotes = _count('"', prefix)
    for index in range(0, len(pieces), 2):
        head = before if index == 0 else ""
        line = head + pieces[index]
        is_in_string = quotes % 2 == 1
        quotes += _count('"', pieces[index])
        quote = open_text(line)
        at = line.rfind(quote) if quote in ("'", '"') else -1
        if at < len(head) or any(map(str.isalnum, line[at:])):
            continue
        if quote == '"' and is_in_string:
            continue  # It may end a string that began lines above.
        if quote in over_lines or any(quote in later for later in pieces[index + 1 :]):
            over_lines.add(quote)  # A string over several lines.
            continue
        if _in_comment("".join(pieces[: index + 1])):
            continue
        if not line[:at].strip():
            # A line that begins with it ends the infill, unless the line continues in the
            # document.
            return infill if rest.strip() else "".join(pieces[:index]).rstrip()
        if index < len(pieces) - 1 or not rest.strip():
            pieces[index] = line[len(head) : at] + re.sub("[\"'`]", "", line[at:])
        elif CLOSERS_ONLY.fullmatch(rest) and quote not in rest:
            # Any bracket that is closed here is closed before the end of the statement.
            pieces[index] = line[len(head) : at]
    return "".join(pieces)


def _stop_at_stray_word(infill: str, prefix: str, language: str) -> str:
    """Stop at an `end` at the left margin if no block is open there."""
    if language not in _WORDS:
        return infill
    opener, closer = _WORDS[language]
    current = last_line(prefix)
    above = lines_of(prefix[-NEAR_CHARS:])[:-1]
    starts = [0, *(end.end() for end in LINE_END.finditer(infill))]
    for start, line in zip(starts, lines_of(current + infill), strict=True):
        if start == 0 and current:
            pass
        elif re.fullmatch(closer, line.rstrip()) and not _is_open(above, opener, closer):
            return infill[:start].rstrip()
        above.append(line)
    return infill


def _is_open(lines: list[str], opener: str, closer: str) -> bool:
    """Whether a block may be open at the left margin, judging by words or indentation."""
    code = [line for line in lines if line.strip() and not _COMMENT.match(line)]
    opened = sum(len(re.findall(opener, line)) for line in code)
    if opened > sum(len(re.findall(rf"\b(?:{closer})(?!\w)", line)) for line in code):
        return True
    deeper = False
    for line in reversed(code):
        if not line[0].isspace():
            return not re.match(rf"(?:{closer})\b", line) and (deeper or opens_block(line))
        deeper = True
    return deeper


def _closing_end(infill: str, prefix: str, suffix: str, language: str) -> int:
    """Where the infill first closes what the suffix closes."""
    missing, closed_after = brackets_around(prefix, suffix)
    in_text = _is_text(language, prefix)
    found = list(tokens(infill, open_text_end(infill, open_text(prefix))))
    ahead: defaultdict[str, deque[Token]] = defaultdict(deque)
    for token in found:
        if token.opens:
            ahead[token.kind].append(token)
    opened: list[Token] = []
    exchanged: set[Token] = set()
    for token in found:
        if token.opens and token not in exchanged:
            opened.append(token)
        if token.opens or not token.kind or pop_opener(opened, token.kind):
            continue
        if in_text and token.kind in _CLOSER_OF:
            continue
        if missing[token.kind] > 0:
            missing[token.kind] -= 1
            continue
        # `} else {` and `) + f(` close and open, so the depth does not change.
        openers = ahead[token.kind]
        while openers and openers[0].start < token.start:
            openers.popleft()
        if openers and _may_follow(infill, token.end, openers[0].start, suffix):
            exchanged.add(openers.popleft())
        elif closed_after[token.kind]:
            return token.start
    return len(infill)


def _may_follow(infill: str, closed: int, opened: int, suffix: str) -> bool:
    """Whether what opens belongs to what was closed before it.

    On the same line it does; where the document goes on below, also up to a blank line, beyond
    which another definition may begin, unless the infill begins with the end of its block.
    """
    if not BLANK_LINES.match(suffix):
        return not LINE_END.search(infill, closed, opened)
    begins = CLOSERS_ONLY.fullmatch(infill, 0, closed) is not None
    return begins or not _BLANK_LINE.search(infill, closed, opened)


def _dedent_end(infill: str, prefix: str, suffix: str, language: str, replaced: str) -> int:
    """The start of the first line that is indented less than the infill's first line."""
    missing, _ = brackets_around(prefix, suffix)
    position = open_text_end(infill, open_text(prefix))
    pairs, opened, _ = nesting(infill, position)
    current = last_line(prefix)
    first, *others = lines_of(infill)
    base = indent_width(current + first)
    inner = next((indent_width(line) for line in others if line.strip()), base)
    opens = current.rstrip().endswith(":") and inner > base
    if not first.strip() and (current == "" or opens):
        base = inner
    base = min([base, *(indent_width(line) for line in lines_of(replaced)[1:] if line.strip())])
    outer, piece_end = _outer_piece(infill, suffix, language, base)
    for indent in INDENT.finditer(infill):
        start, width = indent.start(), indent_width(indent[0])
        inside = any(left < start < right for left, right in pairs)
        if start < max(position, 1) or width >= base or inside:
            continue
        if any(token.start < start and token.kind in "([{" for token in opened):
            break
        if outer <= width and start <= piece_end:
            base = width
            continue
        closer = next(tokens(infill[indent.end()]), None)
        if not closer or closer.opens or missing[closer.kind] <= 0:
            return start
        missing[closer.kind] -= 1
        base = width
    return len(infill)


def _outer_piece(infill: str, suffix: str, language: str, base: int) -> tuple[int, int]:
    """The depth at which the document continues, and where the lines of the infill end that may
    lead there: up to a blank line, after which another definition may begin."""
    blank = BLANK_LINES.match(suffix)
    below = suffix[blank.end() :] if blank else ""
    gap = _BLANK_LINE.search(infill)
    # In YAML, a line further out is a key of another mapping.
    outer = base if language == "yaml" or not below else indent_width(below)
    return outer, gap.start() if gap else len(infill)


def _code_of(infill: str, prefix: str, suffix: str, language: str) -> tuple[str, str, str]:
    """The three without Lua's comments and long strings, whose brackets are text."""
    if language != "lua":
        return infill, prefix, suffix
    near = prefix[-NEAR_CHARS:]
    text = _LUA_TEXT.sub(_blanked, near + infill + suffix[:NEAR_CHARS])
    end = len(near) + len(infill)
    return text[len(near) : end], text[: len(near)], text[end:]


def _blanked(found: re.Match[str]) -> str:
    return found[0] if found[0][0] in "\"'" else re.sub(r"[^\r\n]", " ", found[0])


def _may_be_case(language: str, text: str) -> bool:
    """Whether there is a shell's `case`, whose patterns end with a bracket, in the text."""
    return language in _HOLD_SHELL and re.search(r"\bcase\b", text) is not None


def _is_text(language: str, prefix: str) -> bool:
    """Whether the cursor is in the text of a page, where brackets are punctuation."""
    if language not in _MARKUP:
        return False
    near = prefix[-NEAR_CHARS:]
    return all(near.rfind(f"<{tag}") <= near.rfind(f"</{tag}") for tag in ("script", "style"))
