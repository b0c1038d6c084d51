"""Turns the engine's candidates into suggestions for an insertion site in a document."""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dg_lsp.document.edit import finish, is_only_closers, match_newlines
from dg_lsp.document.flaws import INVALID, flaw_of
from dg_lsp.document.holes import (
    between,
    doubles_a_word,
    filled_or_held,
    how_many_filled,
    joined,
)
from dg_lsp.document.pinning import lengthens_a_word, with_edges
from dg_lsp.document.position import LINE_END
from dg_lsp.document.syntax import breaks_syntax
from dg_lsp.document.wholeness import whole_part
from dg_lsp.document.words import MAX_CHARS
from dg_lsp.job import FROM_NOISE, Candidate, InfillJob, Span, TextSource, source_of

_BLANKS = " \t\r\n"
MOST_FINISHED = 16
"""Number of texts whose finished forms are kept."""
_MASK = re.compile(r"[^*]\*{4,}")
"""The asterisks that may stand for a secret, with the character before them."""


@dataclass(frozen=True, slots=True)
class InsertionSite:
    """A cursor or a selection in a document, and everything around it.

    It includes far more text than the model's window, because brackets may close far below.
    """

    uri: str
    path: str
    """The path as the user knows it; the model sees it."""
    language: str
    newline: str
    prefix: str
    suffix: str
    replaced: str | None = None
    before: str = ""
    """Text that the model sees before the document: earlier cells of a notebook."""
    indent_unit: str = ""
    """One level of indentation in the editor's settings, for a document that shows none."""
    first_line: int = 1
    """Line of the document in which `prefix` begins; set only for a selection."""
    holes: tuple[Span, ...] = ()
    """Parts of `replaced`, the first one at its start and the last one at its end, if only
    these are filled; the text between them stays."""
    held: tuple[str, ...] = ()
    """What each hole holds and keeps where nothing is written into it, such as its mark; empty
    if the holes are rewritten, and may become empty."""

    @property
    def edges(self) -> tuple[str, str]:
        """The white space and line ends at both ends of the selection."""
        if self.holes:
            return "", ""
        start, _, end = _split(self.replaced or "")
        return start, end

    @property
    def core(self) -> InsertionSite:
        """The insertion site without the edges of its selection.

        This is what the model rewrites; line ends and indentation at the edges do not change. A
        selection of white space only becomes a cursor.
        """
        if self.holes:
            return self
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
    """A text that may be inserted."""

    text: str
    confidence: float
    confidences: tuple[float, ...]
    """Probability of each character of `text`."""
    source: TextSource = FROM_NOISE
    holes: tuple[str, ...] = ()
    """What is written into each hole of the site; where that is nothing, `text` has what the
    hole held."""


@dataclass(frozen=True, slots=True)
class Standard:
    """The requirements for a suggestion."""

    count: int = 1
    """Maximum number of suggestions."""
    min_confidence: float = 0.0
    may_break: bool = True
    """Whether a text that leaves the code invalid is better than none, as on request."""
    one_line: bool = False
    """Whether only the first line of a text is suggested."""


def suggestions_for(
    candidates: Sequence[Candidate],
    site: InsertionSite,
    standard: Standard,
    job: InfillJob | None = None,
) -> tuple[Suggestion, ...]:
    """The finished candidates of a job, best first, without the empty ones and repetitions.

    A text with the mask of a secret is left out, and so is one that an earlier attempt has
    shown. Candidates that would break the surrounding
    code are used only if there is no other one, if at all. Candidates that differ only by white
    space count as the same.
    """
    replaced = site.replaced or ""
    earlier = [replaced[one.start : one.end] for one in site.holes if is_warm(site, job)]
    fitting: dict[str, Suggestion] = {}
    breaking: dict[str, Suggestion] = {}
    for candidate in sorted(candidates, key=lambda one: one.score, reverse=True):
        if len(fitting) == standard.count:
            # Finishing and judging take time, so extra candidates are used only if needed.
            break
        segments = candidate.segments or (candidate.text,)
        holes = finish_holes(segments, site) if site.holes else ()
        pinned = between(replaced, site.holes)
        if earlier:
            holes = with_edges(holes, earlier)
        if doubles_a_word(holes, pinned) or (earlier and _blurs(holes, earlier, pinned, site)):
            continue
        text = (
            joined(filled_or_held(holes, site.held), pinned)
            if holes
            else finish_at(candidate.text, site, one_line=standard.one_line)
        )
        # Nothing in any hole is nothing, whatever is between them.
        if not "".join(holes or (text,)).strip():
            continue
        is_breaking = _breaks(text, site)
        if is_breaking and not site.replaced and site.language != "python":
            # Indentation has already ended a Python text where its block ends.
            part = whole_part(text, site.prefix, site.suffix, site.language)
            text, is_breaking = part or text, not part
        key = "".join(text.split())
        if text == site.replaced or key in fitting:
            continue
        # Around what stays, other blanks and line ends are no answer.
        if earlier and key == "".join(replaced.split()):
            continue
        if writes_mask(text, site, job) or (job is not None and job.was_shown(text)):
            continue
        sure = candidate.confidences or (candidate.confidence,) * len(candidate.text)
        confidences = left_of(candidate.text, sure, text, candidate.confidence)
        kind = breaking if is_breaking else fitting
        source = source_of(candidate, () if job is None else job.all_seeds)
        found = Suggestion(text, candidate.confidence, confidences, source, holes)
        kind.setdefault(key, found)
    last_resort = breaking if standard.may_break else {}
    best = [*(fitting or last_resort).values()][: standard.count]
    # If the model is unsure of the best text, worse ones are not used instead.
    return tuple(
        suggestion for suggestion in best if suggestion.confidence >= standard.min_confidence
    )


def _blurs(
    holes: Sequence[str], earlier: Sequence[str], pinned: Sequence[str], site: InsertionSite
) -> bool:
    """Whether a word that stays would no longer be one: what stays may also be around all that
    is written."""
    before = re.findall(r"\w+\Z|\W\Z", site.prefix[-MAX_CHARS:])
    after = re.findall(r"\A\w+|\A\W", site.suffix[:MAX_CHARS])
    stays = ["".join(before), *pinned, "".join(after)]
    written, was = ["", *holes, ""], ["", *earlier, ""]
    return doubles_a_word(written, stays) or lengthens_a_word(written, stays, was)


def is_warm(site: InsertionSite, job: InfillJob | None) -> bool:
    """Whether what is around pinned words starts from the text that is there; holes start from
    nothing."""
    starts = [] if job is None else [job.earlier, *(one.earlier for one in job.pinned)]
    return bool(site.holes) and any(one is not None for one in starts)


def one_line(site: InsertionSite, multi_line: MultiLine) -> bool:
    """Whether only one line may be inserted: several would split the line of the cursor."""
    if site.replaced is not None or multi_line is MultiLine.ALWAYS:
        return False
    rest = LINE_END.split(site.suffix, maxsplit=1)[0]
    return multi_line is MultiLine.NEVER or not is_only_closers(rest)


# Cached, because a job's drafts mostly have the candidates that it ends with.
@functools.lru_cache(maxsize=MOST_FINISHED)
def finish_at(text: str, site: InsertionSite, *, one_line: bool) -> str:
    """The text as it is inserted; the whole document decides what is closed."""
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


def finish_holes(segments: Sequence[str], site: InsertionSite) -> tuple[str, ...]:
    """What is written into each hole; each one is finished with the others filled."""
    texts = [match_newlines(one, site.newline) for one in segments]
    pinned = between(site.replaced or "", site.holes)
    for at, text in enumerate(texts):
        before = joined([*texts[:at], ""], pinned[:at])
        after = joined(["", *texts[at + 1 :]], pinned[at:])
        texts[at] = finish(
            text,
            site.prefix + before,
            after + site.suffix,
            site.newline,
            site.language,
            indent_unit=site.indent_unit,
        )
    return tuple(texts)


def writes_mask(text: str, site: InsertionSite, job: InfillJob | None) -> bool:
    """Whether a text has asterisks that may be the mask of a secret in what the model saw.

    Asterisks that stand in the document after the same character are its own, such as the bars
    of its comments. So are those that continue what is before the cursor.
    """
    if job is None or not job.is_masked:
        return False
    written = _MASK.findall((site.prefix[-1:] or "\n") + text)
    if not written:
        return False
    parts = (site.before + site.prefix, site.replaced or "", site.suffix)
    own = {one for part in parts for one in _MASK.findall("\n" + part)}
    return any(one not in own for one in written)


def warning_at(suggestion: Suggestion, site: InsertionSite) -> str | None:
    """What the user should know of a change before keeping it, as one clause, or `None`."""
    left = how_many_filled(suggestion.holes) if site.held else None
    # Where a hole is left, the code need not be valid.
    return left or flaw_at(suggestion.text, site)


def flaw_at(text: str, site: InsertionSite) -> str | None:
    """What is wrong with a rewrite, as one clause; None if nothing is, or for an infill."""
    if site.holes:
        breaks = breaks_syntax(text, site.prefix, site.suffix, site.language) is True
        return INVALID if breaks else None
    if not site.replaced:
        return None
    return flaw_of(text, site.replaced, site.prefix, site.suffix, site.language)


def left_of(
    raw: str, confidences: Sequence[float], text: str, otherwise: float
) -> tuple[float, ...]:
    """The probability of each character of a text after finishing.

    Blanks added by finishing get the probability of the character after them.
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


@functools.lru_cache(maxsize=MOST_FINISHED)
def _breaks(text: str, site: InsertionSite) -> bool:
    if site.replaced:
        return flaw_at(text, site) is not None
    return breaks_syntax(text, site.prefix, site.suffix, site.language) is True


def _split(selection: str) -> tuple[str, str, str]:
    """A selection, split into leading white space, text and trailing white space."""
    core = selection.strip(_BLANKS)
    # For a selection without text, write in the line that it starts in.
    start = len(selection) - len(selection.lstrip(_BLANKS if core else " \t"))
    return selection[:start], core, selection[start + len(core) :]
