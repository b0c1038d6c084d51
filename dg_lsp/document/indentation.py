"""Indents a model's text like the document around it.

The document's own lines decide between tabs and spaces, and on the width. If the document shows
no indentation, the editor's setting decides. Only make, Go and YAML have special rules.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

from dg_lsp.document.nesting import open_text
from dg_lsp.document.position import (
    NEAR_CHARS,
    indent_of,
    indent_width,
    last_line,
    lines_of,
)

INDENT = re.compile(r"(?:\A|(?<=[\r\n]))[ \t]*(?=\S)")

_MAKE = ("make", "makefile")
_TABS_BY_CUSTOM = ("go", *_MAKE)
_NEVER_TABS = ("yaml",)

# A single space may align ` * the lines of a comment`, and then proves nothing.
_SPACED = re.compile(r"  | (?![\s*])")
_COMMENTS = ("#", "//", "*", "/*", "--")
_OPENING_WORDS = ("begin", "do", "else", "repeat", "then")
_OPENER = re.compile(
    r"\s*(?:local +)?(?:case|class|def|elsif|for|function|if|module|unless|until|when|while)\b"
    r"(?!.*(?:[;{}]|: |\bend\b))"
)
_RULE = re.compile(r"[^\s#=][^#=]*:(?![:=]*=)")
_CONDITIONAL = re.compile(r"(?:ifn?eq|ifn?def|else|endif)\b")


def fit_first_line(infill: str, prefix: str) -> str:
    """Remove leading blanks that are already before the cursor.

    On a line that has only indentation, the model may repeat that indentation or indent
    further; the surrounding lines show which.
    """
    current = last_line(prefix)
    if not current[-1:].isspace():
        return infill
    text = infill.lstrip(" \t")
    lead = infill[: len(infill) - len(text)]
    if not lead or not current.isspace():
        return text
    here, written = indent_width(current), indent_width(lead)
    deeper = indent_width(current + lead)
    options = {here: "", deeper: lead}
    if written > here:
        options[written] = lead[len(current) :] if lead.startswith(current) else lead
    width = _expected_width(sorted(options), prefix[: len(prefix) - len(current)], text)
    return options.get(width, "") + text


def match_indentation(
    infill: str,
    prefix: str,
    suffix: str,
    replaced: str = "",
    *,
    language: str = "",
    unit: str = "",
) -> str:
    """Indent the lines of the infill with the document's tabs, or spaces of its width.

    The lines around the span and in the replaced text decide between tabs and spaces; `unit` is
    one level in the editor's settings, used if they show none. Another width is converted only
    if the lines after block openers prove it. The first line follows the cursor, so it does not
    change unless the cursor is at the start of a line; nor does text in a docstring or block
    comment.
    """
    current = last_line(prefix)
    lines = lines_of(infill)
    indents = [indent_of(line) for line in lines[current != "" :] if line.strip()]
    if not any(indents) or len(open_text(prefix)) > 1:
        return infill
    if language in _MAKE:
        return _match_recipes(infill, prefix)
    around = prefix[-NEAR_CHARS:] + (replaced or "x")
    document = lines_of(around) + lines_of(suffix[:NEAR_CHARS])[1:]
    goal = _unit_of(document, language, unit)
    written = [current + lines[0], *lines[1:]]
    if goal is None:
        return infill
    if goal == "\t":
        change = _to_tabs(indents, written)
    elif any("\t" in indent for indent in indents):
        change = {indent: indent.replace("\t", goal or " " * 4) for indent in indents}
    else:
        change = _to_spaces(indents, written, len(goal), _steps(document))
    typed = len(lines[0]) if current else 0
    return infill[:typed] + INDENT.sub(
        lambda indent: change.get(indent[0], indent[0]), infill[typed:]
    )


def opens_block(line: str) -> bool:
    """Whether this line seems to open a block, so that the next one is indented further."""
    code = line.strip()
    if code.startswith(_COMMENTS):
        return False
    if code.endswith(("{", ":")) or code.rpartition(" ")[2] in _OPENING_WORDS:
        return True
    return code.count("(") <= code.count(")") and _OPENER.match(code) is not None


def _expected_width(options: list[int], above: str, text: str) -> int:
    """Which of the possible depths the cursor's line should have."""
    first, *others = lines_of(text)
    below = next((indent_width(line) for line in others if line.strip()), None)
    if below in options and not opens_block(first):
        return below
    previous = next(
        (line for line in reversed(lines_of(above[-NEAR_CHARS:])) if line.strip()), ""
    )
    if opens_block(previous) or previous.rstrip().endswith(("(", "[")):
        return next((width for width in options if width > indent_width(previous)), options[0])
    return options[0]


def _unit_of(document: list[str], language: str, editor: str) -> str | None:
    """One level of indentation; empty for spaces of unknown width, None if unknown."""
    tabbed = sum(line.startswith("\t") for line in document)
    spaced = sum(_SPACED.match(line) is not None for line in document)
    if language in _NEVER_TABS:
        tabbed, editor = 0, editor if editor.strip("\t") else "  "
    if not tabbed and not spaced:
        return editor or ("\t" if language in _TABS_BY_CUSTOM else None)
    if min(tabbed, spaced) * 5 >= max(tabbed, spaced):
        return None  # GNU's style has both: a tab is eight columns.
    if tabbed > spaced:
        return "\t"
    return " " * _most_common(_steps(document)) or editor.strip("\t")


def _to_tabs(indents: list[str], written: list[str]) -> dict[str, str]:
    # If indentation starts with a tab, the tab counts and the spaces after it only align.
    widths = {indent: len(indent) for indent in indents if not indent.startswith("\t")}
    step = _step_to_tabs(written, set(widths.values()))
    if not any(width > 1 for width in widths.values()) and step != 1:
        return {}
    # If the width is unknown, 4 columns are a tab, or 2 if 4 does not fit.
    unit = step or (4 if all(width % 4 < 2 for width in widths.values()) else 2)
    return {
        indent: "\t" * (width // unit) + " " * (width % unit)
        for indent, width in widths.items()
    }


def _step_to_tabs(written: list[str], widths: set[int]) -> int:
    """Spaces per level in an infill whose surrounding lines are indented with tabs."""
    step = _most_common(_steps(written))
    if step:
        return step
    lines = [line for line in written if line.strip() and not line.lstrip().startswith("*")]
    for outer, inner in pairwise(lines):
        above, width = indent_of(outer), len(indent_of(inner))
        if above.strip("\t") or "\t" in indent_of(inner):
            continue
        depth = len(above) + opens_block(outer)
        if depth and width and width % depth == 0 and width // depth in (1, 2, 3, 4, 8):
            found = width // depth
            if all(one % found == 0 for one in widths):
                return found
    return 0


def _to_spaces(
    indents: list[str], written: list[str], unit: int, known: Counter[int]
) -> dict[str, str]:
    steps = _steps(written)
    theirs = _most_common(steps)
    # A document with several widths may contain another step of any of them.
    if unit == 0 or theirs in (0, unit) or theirs in known or len(steps) > 1:
        return {}
    base = len(indent_of(written[0]))
    return {
        indent: " " * (base + (len(indent) - base) // theirs * unit)
        for indent in indents
        if len(indent) > base and (len(indent) - base) % theirs == 0
    }


def _match_recipes(infill: str, prefix: str) -> str:
    """Put a tab before the lines of a rule; make accepts nothing else."""
    above = prefix[-NEAR_CHARS:].removesuffix(last_line(prefix))
    in_rule, continued = False, False
    for line in lines_of(above):
        in_rule, continued = _after_make_line(line, in_rule, continued)
    typed = last_line(prefix)
    pieces = re.split(r"(\r\n|\r|\n)", infill)
    margin = NEAR_CHARS
    for index in range(0, len(pieces), 2):
        line = pieces[index] if index else typed + pieces[0]
        is_recipe = in_rule and not continued and line[:1] == " " and line.strip()
        if is_recipe and (index or not typed):
            # Deeper than the first recipe line of the rule: blanks for the shell.
            margin = min(margin, len(indent_of(line)))
            pieces[index] = "\t" + line[margin:]
        elif line[:1] not in ("", " ", "\t"):
            margin = NEAR_CHARS
        in_rule, continued = _after_make_line(line, in_rule, continued)
    return "".join(pieces)


def _after_make_line(line: str, in_rule: bool, continued: bool) -> tuple[bool, bool]:
    """Whether a rule is open after a line, and whether the line continues on the next one."""
    if not continued and line.strip() and not line[0].isspace() and line[0] != "#":
        in_rule = bool(_RULE.match(line)) or (in_rule and bool(_CONDITIONAL.match(line)))
    return in_rule, line.endswith("\\")


def _steps(lines: list[str]) -> Counter[int]:
    """The columns by which lines are indented further than the block opener before them."""
    indents = [(indent_of(line), line) for line in lines if line.strip()]
    return Counter(
        len(indent) - len(outer)
        for (outer, opener), (indent, _) in pairwise(indents)
        if len(indent) > len(outer) and "\t" not in outer + indent and opens_block(opener)
    )


def _most_common(steps: Counter[int]) -> int:
    return max(steps, key=lambda step: (steps[step], -step), default=0)
