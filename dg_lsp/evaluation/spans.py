"""Cuts spans with known text out of held-out source files."""

from __future__ import annotations

import dataclasses
import functools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dg_lsp.document.request import ANY_MODEL, RequestContext, RequestOptions, build_job
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.job import InfillJob, Seed
from dg_lsp.training.corpus import SourceFile, held_out_files

CONTEXT_CHARACTERS = 20_000
"""Text on each side of a span; more than any prompt contains."""

TUNED_ON = "pip/"
"""Settings are tuned only on these files; figures are reported for the others."""

MAX_TOKENS = 32
"""Maximum number of tokens that a method may write, by kind of span."""

KINDS = ("1-4 words", "5-12 words", "rest of line", "whole line")

_WORD = re.compile(r"\w+|[^\w\s]|[ \t]+|\n[ \t]*")


@dataclass(frozen=True, slots=True)
class TrueSpan:
    """A span whose text is known."""

    path: str
    prefix: str
    """The document up to the span, whole."""
    suffix: str
    text: str
    kind: str
    language: str = "python"


@functools.cache
def held_out(tuning: bool) -> tuple[SourceFile, ...]:
    """The files that the bundled model has never seen: those for tuning, or the others."""
    return tuple(file for file in held_out_files() if is_tuned_on(file.path) is tuning)


def is_tuned_on(path: str) -> bool:
    """Whether a held-out file is one of those for tuning."""
    return path.startswith(TUNED_ON)


def draw_spans(files: Sequence[SourceFile], per_kind: int, seed: int) -> list[TrueSpan]:
    """`per_kind` spans of each kind, the same for the same seed, spread over all files."""
    rng = random.Random(seed)
    spans = []
    for kind in KINDS:
        for _ in range(per_kind):
            while (span := _draw(rng.choice(files), kind, rng)) is None:
                pass
            spans.append(span)
    return spans


AS_ASKED = RequestOptions(extra_candidates=0, may_be_empty=False, max_tokens=MAX_TOKENS)
"""The options of a user who asks by hand, knowing that something is missing."""

PUBLIC = RequestContext(measure=len, budget_chars=10**9, masks_secrets=False)
"""No limit by the user, and no refusals, because the text is public."""

UNSEEDED = dataclasses.replace(PUBLIC, find_seeds=lambda prefix, suffix, replaced: ())
"""Without seeds, to measure the model alone."""


def job_of(
    span: TrueSpan, options: RequestOptions = AS_ASKED, context: RequestContext = UNSEEDED
) -> InfillJob:
    """The job on a span, of which the engine itself cuts what is too long, to the token.

    Seeds are looked for in the whole document.
    """
    return job_at(site_of(span), options, context)


def job_at(
    site: InsertionSite, options: RequestOptions = AS_ASKED, context: RequestContext = UNSEEDED
) -> InfillJob:
    """The same for any insertion site."""
    before, prefix = site.prefix[:-CONTEXT_CHARACTERS], site.prefix[-CONTEXT_CHARACTERS:]
    suffix, after = site.suffix[:CONTEXT_CHARACTERS], site.suffix[CONTEXT_CHARACTERS:]

    def find(near_before: str, near_after: str, replaced: str) -> tuple[Seed, ...]:
        return context.find_seeds(before + near_before, near_after + after, replaced)

    near = dataclasses.replace(site, prefix=prefix, suffix=suffix)
    return build_job(near, options, ANY_MODEL, dataclasses.replace(context, find_seeds=find))


def site_of(span: TrueSpan) -> InsertionSite:
    """The insertion site of a user who wants the text of the span."""
    return InsertionSite(
        uri=span.path,
        path=span.path,
        language=span.language,
        newline="\n",
        prefix=span.prefix,
        suffix=span.suffix,
    )


def _draw(file: SourceFile, kind: str, rng: random.Random) -> TrueSpan | None:
    text = file.text
    at = rng.randrange(len(text))
    line_start = text.rfind("\n", 0, at) + 1
    line_end = text.find("\n", at)
    line_end = len(text) if line_end < 0 else line_end
    content = (
        line_start + len(text[line_start:line_end]) - len(text[line_start:line_end].lstrip())
    )
    if kind == "whole line":
        start, end = content, line_end
    elif kind == "rest of line":
        start, end = max(at, content), line_end
    else:
        least, most = (1, 4) if kind == "1-4 words" else (5, 12)
        words = [word for word in _WORD.finditer(text, content, min(len(text), at + 400))]
        first = next((n for n, word in enumerate(words) if word.start() >= at), None)
        if first is None:
            return None
        # A cursor is before a word, not before the space in front of it.
        chosen = words[first : first + rng.randint(least, most)]
        start, end = chosen[0].start(), chosen[-1].end()
    if not text[start:end].strip() or end - start > 160:
        return None
    return TrueSpan(
        path=file.path,
        prefix=text[:start],
        suffix=text[end:],
        text=text[start:end],
        kind=kind,
    )
