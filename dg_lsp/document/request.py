"""Builds the engine's job for a position or selection in a document.

This is the only module that decides which text of a document a model sees: it cuts the window,
masks secrets, picks snippets of other files, and refuses requests that must not be made. The
language server, the command line and the evaluation all build their jobs here, with pure
functions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dg_lsp.document.holes import between
from dg_lsp.document.limits import too_long
from dg_lsp.document.position import LINE_END, last_line, without_surrogates
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.document.window import Measure, WindowBudget, split_window
from dg_lsp.job import (
    EXTRA_CANDIDATES,
    Earlier,
    InfillJob,
    ModelInfo,
    PinnedText,
    Seed,
    Snippet,
    Span,
)
from dg_lsp.reason import CodedError, Reason, ReasonCode

if TYPE_CHECKING:
    from dg_lsp.document.definitions import DefinedFile

CHARS_PER_TOKEN = 3
"""A conservative value for source code, used if the tokens of a text cannot be counted."""
BUDGET_CHARS = 24_000
"""Default limit for the document and related files together."""
SNIPPET_SHARE = 1 / 3
"""Share of that budget for text of other files."""
DEFINITION_SHARE = 1 / 2
"""Share of that for definitions; what they leave is for similar text."""

SeedFinder = Callable[[str, str, str], tuple[Seed, ...]]
"""Looks for texts that stand elsewhere between neighbours like a prefix and a suffix, and for
texts that resemble the selection between the two, which is empty for an infill."""


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """What a request specifies besides its insertion site."""

    candidates: int = 1
    extra_candidates: int = EXTRA_CANDIDATES
    may_be_empty: bool = True
    max_tokens: int = 128
    instruction: str | None = None
    strength: float = 0.6
    seed: int = 0
    shown: tuple[str, ...] = ()
    """What earlier attempts at the same site have shown; it is not suggested again."""
    earlier: Earlier | None = None
    """What is left of a suggestion that the user departed from; denoising starts from it."""
    deadline_s: float | None = None
    """Counted from the start of the job; at the deadline, the best text so far is the
    result."""
    alternatives: int = 0
    """If above 0, what else may stand in place of the selection, one word: at most so many."""
    is_warm: bool = False
    """Whether denoising starts from what is in the holes of the site."""
    lane: str = "inline"
    """Jobs of one lane on one document supersede each other."""


def find_in_document(prefix: str, suffix: str, replaced: str) -> tuple[Seed, ...]:
    """Seeds from nowhere but the document itself."""
    from dg_lsp.document.seeds import find_seeds

    return find_seeds(prefix, suffix, replaced=replaced)


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What a job is built from besides its insertion site and its options."""

    measure: Measure
    """Approximate number of tokens of a text."""
    budget_chars: int = BUDGET_CHARS
    """The user's limit on the characters of the document and of related files together."""
    files: tuple[Snippet, ...] = ()
    """Other files that the model may see, whole and unmasked, most recently used first."""
    definitions: tuple[DefinedFile, ...] = ()
    """What other files define, masked: open ones and those that the document imports."""
    masks_secrets: bool = True
    """False for public text, as in an evaluation; no position in it is refused."""
    find_seeds: SeedFinder = find_in_document
    """Looks for texts elsewhere; by default only in the document."""
    client: str = ""
    """Distinguishes the documents of different clients; empty if the engine does that."""


ANY_MODEL = ModelInfo("any", "", prefix_tokens=10**9, suffix_tokens=10**9)
"""Used while the model is unknown; nothing is cut or refused because of it."""


class RequestRefusedError(CodedError, ValueError):
    """The model must not be asked this, or cannot do it."""


def build_job(
    site: InsertionSite,
    options: RequestOptions,
    model: ModelInfo,
    context: RequestContext,
    lap: Callable[[str], None] = lambda stage: None,
) -> InfillJob:
    """The job for an insertion site; raises `RequestRefusedError`. `lap` is called after each
    stage.

    1. Refuse a rewrite that the model cannot do.
    2. Mask the secrets around the site; refuse a site in a secret, or one that contains one.
    3. Cut the window to the smaller of the model's budget and the user's.
    4. Pick snippets of other files: what they define of the names around the site, and what is
       most similar to the text around it.
    5. Find texts elsewhere whose neighbours are similar to the site's.

    The blanks at the edges of a selection are not rewritten; they are context.
    """
    reason = _cannot_rewrite(site, options, model, context.measure)
    if reason is not None:
        raise RequestRefusedError(reason.message, reason.code)
    core = site.core
    before = core.before + core.prefix
    start, end = len(before), len(before) + len(core.replaced or "")
    whole = text = before + (core.replaced or "") + core.suffix
    if context.masks_secrets:
        text = _masked(
            text, len(site.before + site.prefix), len(site.replaced or ""), core.holes
        )
    lap("mask")
    shown = without_surrogates(text)
    budget = _window_budget(model, context.budget_chars)
    window = split_window(shown, start, end, budget, context.measure)
    lap("window")
    seen = slice(start - len(window.prefix), end + len(window.suffix))
    snippets = _snippets(core, context)
    lap("related")
    seeds: tuple[Seed, ...] = ()
    segment_seeds: tuple[tuple[Seed, ...], ...] = ()
    kept = between(shown[start:end], core.holes)
    if not options.alternatives:
        replaced = "" if core.holes else shown[start:end]
        seeds = context.find_seeds(shown[:start], shown[end:], replaced)
    # Around a kept word, only a text that has the word where it stands is better than what
    # denoising starts from.
    if kept and not options.is_warm:
        segment_seeds = _segment_seeds(kept, shown[:start], shown[end:], context.find_seeds)
    *starts, last = _starts(shown[start:end], core.holes, options)
    pinned = tuple(map(PinnedText, kept, starts))
    lap("seeds")
    document = f"{context.client}:{options.lane}:{core.uri}" if context.client else ""
    return InfillJob(
        prefix=window.prefix,
        suffix=window.suffix,
        path=without_surrogates(core.path),
        language=core.language,
        snippets=snippets,
        seeds=seeds,
        segment_seeds=segment_seeds,
        earlier=last,
        pinned=pinned,
        replaced=None if core.holes else shown[start:end] or None,
        instruction=options.instruction,
        strength=options.strength,
        candidates=options.candidates,
        extra_candidates=options.extra_candidates,
        alternatives=options.alternatives,
        max_tokens=options.max_tokens,
        may_be_empty=options.may_be_empty,
        deadline_s=options.deadline_s,
        seed=options.seed,
        shown=options.shown,
        document=without_surrogates(document),
        is_masked=text[seen] != whole[seen] or _any_masked(snippets, context.files),
    )


def _segment_seeds(
    kept: Sequence[str], before: str, after: str, find: SeedFinder
) -> tuple[tuple[Seed, ...], ...]:
    """The seeds of each hole, with `kept` between the holes.

    The other holes count as empty: what is in them is a mark, or is to be written anew.
    """
    return tuple(
        find(before + "".join(kept[:at]), "".join(kept[at:]) + after, "")
        for at in range(len(kept) + 1)
    )


def _starts(
    replaced: str, holes: Sequence[Span], options: RequestOptions
) -> list[Earlier | None]:
    """What each segment of the job starts from; `None` for noise."""
    if not holes:
        return [options.earlier]
    return [
        Earlier(replaced[one.start : one.end]) if options.is_warm else None for one in holes
    ]


def follows_no_instructions(model: ModelInfo) -> Reason | None:
    """Why a model cannot follow an instruction, or None."""
    if model.follows_instructions:
        return None
    return Reason(
        ReasonCode.NO_INSTRUCTIONS,
        f"the {model.name} model cannot follow instructions; "
        "rewrite without one, or choose another model",
    )


def _cannot_rewrite(
    site: InsertionSite, options: RequestOptions, model: ModelInfo, measure: Measure
) -> Reason | None:
    if not site.replaced or site.holes:
        return None
    if options.instruction is not None and (reason := follows_no_instructions(model)):
        return reason
    return too_long(model.name, model.prefix_tokens, measure, site)


def _masked(text: str, start: int, length: int, holes: Sequence[Span]) -> str:
    # Imported late: the rules' many patterns would slow down the server's start.
    from dg_lsp.document.masking import mask_around, secret_at, secret_between

    end = start + length
    masked = mask_around(text, start, end)
    # What is between holes is not written anew, so that it may be masked.
    for written in holes or [Span(0, length)]:
        ends = start + written.start, start + written.end
        reason = secret_between(text, masked, *ends)
        if holes and reason is None:
            # A mark within a secret hides it.
            closed_up = text[: ends[0]] + text[ends[1] :]
            reason = secret_at(closed_up, ends[0], ends[0])
        if reason is not None:
            # A rewrite of the masked text would put asterisks into the document.
            raise RequestRefusedError(reason.message, reason.code)
    return masked


def _window_budget(model: ModelInfo, budget_chars: int) -> WindowBudget:
    """The model's budget, or the user's if that is smaller; a third is for other files."""
    tokens = budget_chars * (1 - SNIPPET_SHARE) / CHARS_PER_TOKEN
    return WindowBudget(
        min(model.prefix_tokens, round(tokens * 3 / 4)),
        min(model.suffix_tokens, round(tokens / 4)),
    )


def _snippets(site: InsertionSite, context: RequestContext) -> tuple[Snippet, ...]:
    """Text of other files, chosen by the whole lines around the site.

    The choice does not change while the user types in a line: snippets come first in the
    prompt, and the engine must encode everything after a change again.
    """
    if not context.files and not context.definitions:
        return ()
    from dg_lsp.document.related import MAX_FILE_CHARS

    above, below = lines_around(site)
    return _other_files(
        above[-MAX_FILE_CHARS:],
        below[:MAX_FILE_CHARS],
        context.files,
        context.definitions,
        round(context.budget_chars * SNIPPET_SHARE),
        site.path,
    )


def lines_around(site: InsertionSite) -> tuple[str, str]:
    """The whole lines above and below the site, which do not change while the user types in a
    line."""
    above = site.before + site.prefix[: len(site.prefix) - len(last_line(site.prefix))]
    return above, site.suffix[len(LINE_END.split(site.suffix, maxsplit=1)[0]) :]


def _any_masked(snippets: Iterable[Snippet], files: Iterable[Snippet]) -> bool:
    """Whether a line of any snippet is not in its file, because secrets are masked."""
    texts = {file.path: file.text for file in files}
    return any(
        line not in texts.get(snippet.path, "")
        for snippet in snippets
        for line in snippet.text.splitlines()
        if "***" in line
    )


@functools.lru_cache(maxsize=2)
def _other_files(
    above: str,
    below: str,
    files: tuple[Snippet, ...],
    defined: tuple[DefinedFile, ...],
    budget_chars: int,
    path: str,
) -> tuple[Snippet, ...]:
    """Similar text, and then definitions."""
    from dg_lsp.document.definitions import definitions_near
    from dg_lsp.document.masking import mask_start
    from dg_lsp.document.related import MAX_FILE_CHARS, related_snippets

    most = round(budget_chars * DEFINITION_SHARE) if files else budget_chars
    definitions = definitions_near(above, below, defined, most, path)
    left = budget_chars - sum(len(snippet.text) for snippet in definitions)
    masked = [Snippet(file.path, mask_start(file.text, MAX_FILE_CHARS)) for file in files]
    shown = "".join(snippet.text for snippet in definitions)
    return (*related_snippets(above, below, masked, left, path, shown), *definitions)
