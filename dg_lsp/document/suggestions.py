"""From what the engine returns to what is offered at a place in a document.

Pure functions. Knows nothing of LSP, of jobs under way or of the engine.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dg_lsp.document.edit import finish, is_only_closers
from dg_lsp.document.flaws import flaw_of
from dg_lsp.document.position import LINE_END
from dg_lsp.document.syntax import breaks_syntax
from dg_lsp.job import Candidate

_BLANKS = " \t\r\n"


@dataclass(frozen=True, slots=True)
class InsertionSite:
    """A cursor or a selection in a document, and everything around it.

    Far more of the document than the model's window: brackets may close far below.
    """

    uri: str
    path: str
    """As the user knows it; the model sees it."""
    language: str
    newline: str
    prefix: str
    suffix: str
    replaced: str | None = None
    before: str = ""
    """Text that the model sees before the document: earlier cells of a notebook."""
    indent_unit: str = ""
    """One level of indentation as the editor has it, for a document that shows none."""
    first_line: int = 1
    """Line of the document in which `prefix` begins; told of a selection only."""

    @property
    def edges(self) -> tuple[str, str]:
        """The blanks and line ends that the selection begins and ends with."""
        start, _, end = _split(self.replaced or "")
        return start, end

    @property
    def core(self) -> InsertionSite:
        """The place without the edges of its selection.

        This is what a model is asked to rewrite: line ends and indentation at the edges stay as
        they are. A selection of nothing but blanks is a cursor.
        """
        start, core, end = _split(self.replaced or "")
        prefix, suffix = self.prefix + start, end + self.suffix
        return replace(self, prefix=prefix, suffix=suffix, replaced=core or None)


class MultiLine(enum.Enum):
    """Whether a suggestion may have several lines."""

    AUTO = "auto"
    NEVER = "never"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A text that may be put at a place."""

    text: str
    confidence: float
    confidences: tuple[float, ...]
    """Probability of each character of `text`."""


@dataclass(frozen=True, slots=True)
class Standard:
    """What a candidate must come up to."""

    count: int = 1
    """How many are offered at most."""
    min_confidence: float = 0.0
    may_break: bool = True
    """Whether a text that leaves the code invalid is better than none, as where a user asks."""
    one_line: bool = False
    """Whether only the first line of a text is offered."""


def suggestions_for(
    candidates: Sequence[Candidate], site: InsertionSite, standard: Standard
) -> tuple[Suggestion, ...]:
    """The finished candidates, best first, without the empty ones and repetitions.

    Those that would break the code around are offered only where no other one is left, if at
    all. Candidates that differ by blanks are the same.
    """
    fitting: dict[str, Suggestion] = {}
    breaking: dict[str, Suggestion] = {}
    for candidate in sorted(candidates, key=lambda one: one.score, reverse=True):
        if len(fitting) == standard.count:
            break  # Finishing and judging take time; spares are for where they are needed.
        text = finish_at(candidate.text, site, one_line=standard.one_line)
        key = "".join(text.split())
        if not key or text == site.replaced or key in fitting:
            continue
        sure = candidate.confidences or (candidate.confidence,) * len(candidate.text)
        confidences = left_of(candidate.text, sure, text, candidate.confidence)
        kind = breaking if _breaks(text, site) else fitting
        kind.setdefault(key, Suggestion(text, candidate.confidence, confidences))
    last_resort = breaking if standard.may_break else {}
    best = [*(fitting or last_resort).values()][: standard.count]
    # A worse text is no way out where the best one is unsure.
    return tuple(
        suggestion for suggestion in best if suggestion.confidence >= standard.min_confidence
    )


def one_line(site: InsertionSite, multi_line: MultiLine) -> bool:
    """Whether only one line may go in: several in the middle of a line would tear it apart."""
    if site.replaced is not None or multi_line is MultiLine.ALWAYS:
        return False
    rest = LINE_END.split(site.suffix, maxsplit=1)[0]
    return multi_line is MultiLine.NEVER or not is_only_closers(rest)


def finish_at(text: str, site: InsertionSite, *, one_line: bool) -> str:
    """The text as it goes into the document; the whole of it decides what closes."""
    start, end = site.edges
    core = site.core
    text = finish(
        text,
        core.prefix,
        core.suffix,
        core.newline,
        core.language,
        replaced=core.replaced or "",
        indent_unit=core.indent_unit,
    )
    if one_line:
        text = LINE_END.split(text, maxsplit=1)[0]
    return start + text + end if text else ""


def flaw_at(text: str, site: InsertionSite) -> str | None:
    """What is wrong with a rewrite, as one clause; None where nothing is, or nothing stood."""
    if not site.replaced:
        return None
    return flaw_of(text, site.replaced, site.prefix, site.suffix, site.language)


def left_of(
    raw: str, confidences: Sequence[float], text: str, otherwise: float
) -> tuple[float, ...]:
    """The probability of each character that finishing has left of a raw text.

    Blanks that finishing has put there are as sure as the character after them.
    """
    if len(confidences) != len(raw):
        return (otherwise,) * len(text)
    left: list[float] = []
    at = 0
    for character in text:
        if character.isspace():
            found = at if raw[at : at + 1] == character else -1
        else:
            found = raw.find(character, at)
        at = found + 1 if found >= 0 else at
        left.append(confidences[found] if found >= 0 else -1.0)
    for index in range(len(left) - 1, -1, -1):
        if left[index] < 0:
            left[index] = left[index + 1] if index + 1 < len(left) else otherwise
    return tuple(left)


def _breaks(text: str, site: InsertionSite) -> bool:
    if site.replaced:
        return flaw_at(text, site) is not None
    return breaks_syntax(text, site.prefix, site.suffix, site.language) is True


def _split(selection: str) -> tuple[str, str, str]:
    """A selection as the blanks at its start, the text, and the blanks at its end."""
    core = selection.strip(_BLANKS)
    # Of a selection without any text, the line that it starts in is the one to write in.
    start = len(selection) - len(selection.lstrip(_BLANKS if core else " \t"))
    return selection[:start], core, selection[start + len(core) :]
