"""Decides by syntax trees whether inserting a text breaks code that could be whole.

A document is seldom whole where someone writes. A text breaks it only if the document has more
faults with the text than with something simple in its place, and none of those is near. Faults
elsewhere count on both sides, and therefore not at all.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from dg_lsp.document.nesting import CLOSERS, brackets_around, nesting, opened_in
from dg_lsp.document.outline import around
from dg_lsp.document.position import LINE_END, NEAR_CHARS, indent_of, last_line
from dg_lsp.document.trees import ParsedSite, encoded, parsed_site

MOST_CHARS = 24_000
"""Maximum length of what is around a cursor: a broken text takes a dozen parses."""
MOST_TRIES = 8
"""Number of lines from the end of a text at which it may end instead."""

# Simple texts that may be all that is missing at a cursor, `{}` for the closers that the
# document lacks there. The first that makes it whole is the measure.
_ANYWHERE = ("{}", "x{}")
_BRACED = (";", "x{};", "{};", "{} {{}}", "x{} {{}}", "x() {{}}", "x: x{}", "x x;", "= x{};")
_SIMPLE = {
    "python": ("pass", "x{}:", "x{}: pass", "{}: pass"),
    "javascript": (*_BRACED, "from 'x';"),
    "typescript": (*_BRACED, "x {{}} from 'x';"),
    "go": (*_BRACED, "x int", "x = x{}"),
    "rust": (*_BRACED, "x = x{};", "x: x = x{};", "x => x,"),
    "java": (*_BRACED, "x() {{}}", "void x() {{}}", "x x() {{}}"),
    "csharp": (*_BRACED, "void x() {{}}", "x x() {{}}"),
    "c": (*_BRACED, "x(void) {{}}", "<x>"),
    "cpp": (*_BRACED, "x(void) {{}}", "<x>"),
    "ruby": ("x{}\nend", "{}\nend", "x\nx{}\nend"),
    "lua": (
        "= x{}",
        "x{} then end",
        "{} then end",
        "x() end",
        "x = x, x do end",
        "{}\nend",
        "x{} do end",
    ),
    "shellscript": (
        "x{}; then x; fi",
        "x in x; do x; done",
        "x{}; do x; done",
        "x\nfi",
        "x\ndone",
    ),
    "yaml": ("x: x{}", ": x{}", " x{}"),
    "css": ("{};", "x: x;", ": x;", " {{}}", "x {{}}"),
    "html": ("{}", ">", "x>{}", "/>"),
}
_SAME = {
    "javascriptreact": "javascript",
    "typescriptreact": "typescript",
}
# Languages with tags.
_TAGGED = ("html", "javascript", "javascriptreact", "typescriptreact")

# Continuations of a text that begins something and is therefore not wrong yet.
_ENDINGS = {
    "ruby": ("\nend",),
    "lua": ("\nend", " end", "\nuntil x"),
    "shellscript": ("\nx\nfi", "\nx\ndone", "\nesac", "\n}"),
    "c": (";", "\n#endif", " {}"),
    "cpp": (";", "\n#endif", " {}"),
    "css": (";", " {}"),
    "yaml": (),
    "html": (),
    "python": (":",),
}
_BRACED_ENDINGS = (";", " {}")


def breaks(text: str, prefix: str, suffix: str, language: str) -> bool | None:
    """Whether the text breaks a document that something simple would make whole.

    None if that cannot be decided: the grammar is not loaded, or the code is broken anyway.
    """
    near = around(prefix, suffix, language)
    return _breaks(text, *near, language) if near is not None else None


def _breaks(text: str, prefix: str, suffix: str, language: str) -> bool | None:
    site = _site(prefix, suffix, language)
    if site is None:
        return None
    found = _faults_with(text, site)
    start, end = _near(prefix, suffix)
    # A fault at the cursor is what the text may mend, and not one that excuses another.
    elsewhere = sum(not _touches([fault], start, end) for fault in site.faults())
    if not _touches(found, start, end + len(encoded(text))) and len(found) <= elsewhere:
        return False
    simplest = _simplest(prefix, suffix, language)
    if simplest is None:
        return None
    return len(found) > simplest and all(
        len(_faults_with(text + ending, site)) > simplest
        for ending in _endings(text, prefix, suffix, language)
    )


def adds_faults(
    text: str, replaced: str, prefix: str, suffix: str, language: str
) -> bool | None:
    """Whether a text has faults in place of another that had none.

    None if that cannot be decided: the grammar is not loaded, or the code was broken before.
    """
    near = around(prefix, suffix, language)
    site = None if near is None else _site(*near, language)
    if near is None or site is None:
        return None
    was, (start, end) = _faults_with(replaced, site), _near(*near)
    if _touches(was, start, end + len(encoded(replaced))):
        return None
    return len(_faults_with(text, site)) > len(was)


def whole_part(text: str, prefix: str, suffix: str, language: str) -> str:
    """The most lines of a text that leave the document whole; empty if none do.

    A text that runs past its block ends where the block does: to close it twice is a fault.
    """
    near = around(prefix, suffix, language)
    if near is None:
        return ""
    prefix, suffix = near
    site, simplest = _site(prefix, suffix, language), _simplest(prefix, suffix, language)
    if site is None or simplest is None:
        return ""
    ends = [end.start() for end in LINE_END.finditer(text)]
    for end in ends[: -MOST_TRIES - 1 : -1]:
        part = text[:end].rstrip()
        if part and len(_faults_with(part, site)) <= simplest:
            return part
    return ""


def _site(prefix: str, suffix: str, language: str) -> ParsedSite | None:
    is_too_long = len(prefix) + len(suffix) > MOST_CHARS
    return None if is_too_long else parsed_site(prefix, suffix, language)


def _faults_with(text: str, site: ParsedSite) -> list[tuple[int, int]]:
    """What is wrong in a document with a text at the cursor."""
    return site.with_text(text).faults(len(encoded(text)))


# Cached, as every candidate asks.
@functools.lru_cache(maxsize=4)
def _simplest(prefix: str, suffix: str, language: str) -> int | None:
    """The number of faults with the simple text that leaves fewest; None if one is near."""
    site = _site(prefix, suffix, language)
    if site is None:
        return None
    start, end = _near(prefix, suffix)
    best: tuple[int, bool] | None = None
    for one in _simple(prefix, suffix, language):
        found = _faults_with(one, site)
        is_near = _touches(found, start, end + len(encoded(one)))
        if best is None or (len(found), is_near) < best:
            best = len(found), is_near
        if not found:
            break
    return None if best is None or best[1] else best[0]


def _simple(prefix: str, suffix: str, language: str) -> Iterator[str]:
    closers = _missing_closers(prefix, suffix, language)
    for form in (*_ANYWHERE, *_SIMPLE.get(_SAME.get(language, language), ())):
        yield form.format(closers)
        if closers and "{}" in form.replace("{{}}", ""):
            yield form.format("")


def _missing_closers(prefix: str, suffix: str, language: str, before: int | None = None) -> str:
    """What closes the brackets and tags before the cursor that the document leaves open."""
    missing, _ = brackets_around(prefix, suffix)
    near = prefix[-NEAR_CHARS:]
    closers = ""
    for token in reversed(opened_in(prefix)):
        if missing[token.kind] > 0:
            missing[token.kind] -= 1
            if token.kind[0] == "<" and language not in _TAGGED:
                continue  # The argument of a generic type.
            if token.start < (len(near) if before is None else before):
                closers += closer_of(token.kind)
    return closers


def _endings(text: str, prefix: str, suffix: str, language: str) -> Iterator[str]:
    last = last_line(prefix + text.rstrip())
    language = _SAME.get(language, language)
    own = "".join(closer_of(token.kind) for token in reversed(nesting(text).opened))
    if not last.endswith("{") and not (language == "html" and own.startswith("</")):
        own = ""  # A line may end with a block's begin, but not within brackets.
    # Brackets that lines above have left open.
    line_start = len(prefix[-NEAR_CHARS:]) - len(last_line(prefix))
    above = _missing_closers(prefix, suffix, language, line_start)
    if language == "python" and last.lstrip().startswith("@"):
        yield f"\n{indent_of(last)}def x(): pass"
    takes_block = last[-1:].isalnum() or last.endswith((")", ">", "_"))
    for closers in dict.fromkeys((own, own + above)):
        for ending in ("", *_ENDINGS.get(language, _BRACED_ENDINGS)):
            # After an operator, a block would be an object.
            if (closers or ending) and (ending != " {}" or takes_block):
                yield ending + closers
                if closers and ending:
                    yield closers + ending


def _touches(found: list[tuple[int, int]], start: int, end: int) -> bool:
    return any(at <= end and until >= start for at, until in found)


def closer_of(kind: str) -> str:
    """What closes a bracket or a tag."""
    return CLOSERS.get(kind) or f"</{kind[1:]}>"


def _near(prefix: str, suffix: str) -> tuple[int, int]:
    """`[start, end)` in bytes of the cursor's line and the lines with text beside it."""
    line = last_line(prefix)
    above = prefix[: len(prefix) - len(line)].rstrip()
    start = len(above) - len(last_line(above))
    stop = LINE_END.search(suffix)
    rest = stop.start() if stop else len(suffix)
    below = suffix[rest:]
    blank = len(below) - len(below.lstrip())
    after = LINE_END.search(below, blank)
    end = rest + (after.start() if after else len(below))
    before = len(encoded(prefix[:start]))
    return before, before + len(encoded(prefix[start:] + suffix[:end]))
