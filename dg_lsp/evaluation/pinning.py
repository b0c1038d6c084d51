"""Measures pinning: a suggestion is shown, and the user keeps one word of it, or writes one.

The suggestion is what an editor would show at the start of a span. The user pins the first
word that it shares with the truth after their first difference (`kept`), or puts the right
word in place of the first wrong one (`corrected`). What is around that word is asked for from
noise and from where the suggestion stands, without seeds and with those of the document.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from dg_lsp.document.position import common_length
from dg_lsp.document.request import RequestContext
from dg_lsp.evaluation.methods import Outcome, infiller
from dg_lsp.evaluation.spans import (
    AS_ASKED,
    PUBLIC,
    UNSEEDED,
    TrueSpan,
    job_at,
    job_of,
    site_of,
)
from dg_lsp.job import Span
from dg_lsp.models.loading import LoadedModel

KINDS = ("kept", "corrected")

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class PinnedWord:
    """A suggestion in which one word is pinned."""

    span: TrueSpan
    kind: str
    before: str
    """The suggestion before the word."""
    word: str
    after: str


def pinned_words(
    model: LoadedModel, spans: Iterable[TrueSpan], min_confidence: float
) -> list[PinnedWord]:
    """The pins in these spans, at most one of each kind; none where nothing is suggested, or
    where the suggestion is right."""
    found: list[PinnedWord] = []
    for span in spans:
        shown = infiller(model.settings, job_of(span, context=PUBLIC), model)
        if shown.text and shown.confidence >= min_confidence and shown.text != span.text:
            found += pins(span, shown.text)
    return found


def pins(span: TrueSpan, suggested: str) -> Iterator[PinnedWord]:
    """The pins in one suggestion; some text is left before or after each."""
    truth = span.text
    same = common_length(suggested, truth, min(len(suggested), len(truth)))
    right = {one[0] for one in _WORD.finditer(truth) if one.end() > same}
    for word in _WORD.finditer(suggested):
        if word.start() >= same and word[0] in right:
            rest = suggested[: word.start()], suggested[word.end() :]
            if any(map(str.strip, rest)):
                yield PinnedWord(span, "kept", rest[0], word[0], rest[1])
            break
    wrong = next((one for one in _WORD.finditer(suggested) if one.end() > same), None)
    if wrong is None or wrong.start() > same:
        return
    instead = _WORD.match(truth, wrong.start())
    rest = suggested[: wrong.start()], suggested[wrong.end() :]
    if instead is not None and any(map(str.strip, rest)):
        yield PinnedWord(span, "corrected", rest[0], instead[0], rest[1])


Fill = Callable[[LoadedModel, PinnedWord], Outcome]


def fill(
    model: LoadedModel, one: PinnedWord, *, is_warm: bool, context: RequestContext
) -> Outcome:
    """The whole text that comes of it."""
    written = one.before + one.word + one.after
    ends = len(one.before), len(one.before + one.word)
    site = dataclasses.replace(
        site_of(one.span),
        replaced=written,
        holes=(Span(0, ends[0]), Span(ends[1], len(written))),
    )
    options = dataclasses.replace(AS_ASKED, may_be_empty=True, is_warm=is_warm)
    return infiller(model.settings, job_at(site, options, context), model)


STARTS: dict[str, Fill] = {
    "from noise": functools.partial(fill, is_warm=False, context=UNSEEDED),
    "from noise, seeds": functools.partial(fill, is_warm=False, context=PUBLIC),
    "from the suggestion": functools.partial(fill, is_warm=True, context=UNSEEDED),
    "from the suggestion, seeds": functools.partial(fill, is_warm=True, context=PUBLIC),
}
