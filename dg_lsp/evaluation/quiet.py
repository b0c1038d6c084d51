"""Measures how often the model stays silent where it should, by confidence threshold.

At the quiet positions, the document is complete and any suggestion is a nuisance. They are
compared with ordinary spans, where something is missing. One confidence threshold decides
both, and the default is chosen from its curve.
"""

from __future__ import annotations

import dataclasses
import io
import random
import re
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dg_lsp.document.nesting import nesting, tokens
from dg_lsp.document.suggestions import Standard
from dg_lsp.evaluation.methods import editor_job, infiller, suggestions_in
from dg_lsp.evaluation.scores import is_match, stays_valid
from dg_lsp.evaluation.spans import TrueSpan
from dg_lsp.models.loading import LoadedModel
from dg_lsp.training.corpus import SourceFile

THRESHOLDS = tuple(n / 20 for n in range(20))

_PROSE_WORD = re.compile(r"(?<= )[a-z]{4,}(?= )")


@dataclass(frozen=True, slots=True)
class Shown:
    """The suggestion at one position if there were no confidence threshold."""

    kind: str
    is_missing: bool
    """Whether something is missing at the position."""
    text: str
    """The finished text; empty if the model itself stays silent."""
    confidence: float
    is_right: bool
    is_valid: bool | None = None
    """Whether the document is valid Python with the text; None if it is not without it."""


@dataclass(frozen=True, slots=True)
class Point:
    """One threshold of the curve."""

    threshold: float
    abstention_rate: float
    """Share of the quiet positions where nothing is shown."""
    show_rate: float
    """Share of the other positions where something is shown."""
    right_of_shown: float
    """Share of exact texts among all that is shown, at both kinds of positions."""
    right: float
    """Share of the positions where something is missing at which the exact text is shown."""
    valid_of_shown: float
    """Share of shown texts that leave the document valid, of those where that is possible."""


def quiet_places(files: Sequence[SourceFile], per_kind: int, seed: int) -> list[TrueSpan]:
    """`per_kind` positions of each kind, spread over all files, or as many as there are."""
    places = []
    for kind, find in QUIET_KINDS.items():
        rng = random.Random(f"{seed} {kind}")
        order = [*files]
        rng.shuffle(order)
        found: list[TrueSpan] = []
        # One position of each file in turn, so that a long file does not dominate.
        pools = [(file, _shuffled(find(file.text), rng)) for file in order[: 4 * per_kind]]
        while len(found) < per_kind and any(pool for _, pool in pools):
            for file, pool in pools:
                if pool and len(found) < per_kind:
                    at = pool.pop()
                    text = file.text
                    found.append(TrueSpan(file.path, text[:at], text[at:], "", kind))
        places += found
    return places


def ask(model: LoadedModel, span: TrueSpan) -> Shown:
    """Ask as an editor does while the user types: the model may find that nothing is
    missing."""
    settings = dataclasses.replace(model.settings, min_confidence=0.0)
    outcome = infiller(settings, editor_job(span, may_be_empty=True), model)
    suggestions = suggestions_in(outcome, span, Standard(may_break=False))
    is_missing = bool(span.text)
    if not suggestions:
        return Shown(span.kind, is_missing, "", 0.0, is_right=False, is_valid=None)
    text = suggestions[0].text
    return Shown(
        span.kind,
        is_missing,
        text,
        suggestions[0].confidence,
        is_right=is_missing and is_match(span.text, text),
        is_valid=stays_valid(span, text),
    )


def curve(answers: Sequence[Shown]) -> list[Point]:
    """The rates at each threshold; there must be positions of both kinds."""
    missing = [answer for answer in answers if answer.is_missing]
    whole = [answer for answer in answers if not answer.is_missing]
    points = []
    for threshold in THRESHOLDS:

        def shows(answer: Shown, threshold: float = threshold) -> bool:
            return bool(answer.text) and answer.confidence >= threshold

        shown = [answer for answer in answers if shows(answer)]
        right = sum(answer.is_right for answer in shown)
        judged = [answer.is_valid for answer in shown if answer.is_valid is not None]
        points.append(
            Point(
                threshold,
                abstention_rate=1 - sum(map(shows, whole)) / len(whole),
                show_rate=sum(map(shows, missing)) / len(missing),
                right_of_shown=right / len(shown) if shown else 0.0,
                right=right / len(missing),
                valid_of_shown=sum(judged) / len(judged) if judged else 0.0,
            )
        )
    return points


def curve_table(points: Sequence[Point]) -> str:
    """The curve in Markdown."""
    lines = [
        "| least confidence | abstention rate | show rate | right among shown | right "
        "| valid among shown |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {point.threshold:.2f} | {point.abstention_rate:.1%} | {point.show_rate:.1%} | "
        f"{point.right_of_shown:.1%} | {point.right:.1%} | {point.valid_of_shown:.0%} |"
        for point in points
    ]
    return "\n".join(lines)


def quiet_by_kind(answers: Sequence[Shown], threshold: float) -> dict[str, float]:
    """The abstention rate of each kind of quiet position at one threshold."""
    kinds: dict[str, list[bool]] = {}
    for answer in answers:
        if not answer.is_missing:
            shows = bool(answer.text) and answer.confidence >= threshold
            kinds.setdefault(answer.kind, []).append(not shows)
    return {kind: sum(quiet) / len(quiet) for kind, quiet in kinds.items()}


def _shuffled(places: Iterator[int], rng: random.Random) -> list[int]:
    listed = [*places]
    rng.shuffle(listed)
    return listed


def _finished_statements(text: str) -> Iterator[int]:
    """Ends of logical lines that do not open a block."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    last = None
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NEWLINE and last is not None and last.string != ":":
            yield starts[last.end[0] - 1] + last.end[1]
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            last = token


def _words_of_prose(text: str) -> Iterator[int]:
    """Positions inside words of comments and docstrings."""
    for token in tokens(text):
        if (
            not token.kind
            and text[token.start] in "#\"'"
            and " " in text[token.start : token.end]
        ):
            for word in _PROSE_WORD.finditer(text, token.start, token.end):
                yield word.start() + len(word[0]) // 2


def _file_ends(text: str) -> Iterator[int]:
    yield len(text)


def _closed_brackets(text: str) -> Iterator[int]:
    """Positions right before the closing bracket of a complete expression."""
    for left, right in nesting(text).pairs:
        inside = text[left + 1 : right - 1]
        if text[right - 1] in ")]}" and inside.strip() and "\n" not in inside:
            yield right - 1


QUIET_KINDS: dict[str, Callable[[str], Iterator[int]]] = {
    "finished statement": _finished_statements,
    "inside a word of prose": _words_of_prose,
    "end of the file": _file_ends,
    "before a closing bracket": _closed_brackets,
}
