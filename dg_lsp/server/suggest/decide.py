"""Decides where an answer comes from: an earlier answer, the running job or a new job.

A pure function of the document's state and the request; `suggestions.py` carries out the
decision.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from dg_lsp.document.departure import departure
from dg_lsp.document.request import RequestOptions
from dg_lsp.document.suggestions import InsertionSite
from dg_lsp.job import Earlier
from dg_lsp.server.suggest.answer import Answer, How, suggested
from dg_lsp.server.suggest.draft_suggestions import remainders, typed_between
from dg_lsp.server.suggest.rules import Situation
from dg_lsp.server.suggest.savings import ALL, Savings


@dataclass(frozen=True, slots=True)
class Request:
    """The request: a suggestion for an insertion site, with options."""

    site: InsertionSite
    options: RequestOptions
    situation: Situation = field(default=Situation(), compare=False)


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """An answer of the document, and the request whose job it comes from."""

    request: Request
    answer: Answer
    is_whole: bool = True
    """False if a deadline cut it short, so that the job has more to say."""


@dataclass(frozen=True, slots=True)
class JobUnderWay:
    """The job of the document that is running, and the request that started it."""

    request: Request
    texts: tuple[str, ...] = ()
    """What it will probably write: the text shown, and its last draft."""
    is_speculative: bool = False


@dataclass(frozen=True, slots=True)
class Reuse:
    """Answer immediately."""

    answer: Answer
    keeps_job: bool
    """Whether the running job is for this site, and so useful for the next request."""


class Join:
    """Wait for the running job."""


class Start:
    """Start a job, replacing the running one."""


Decision = Reuse | Join | Start


def decide(
    known: Iterable[KnownAnswer],
    under_way: JobUnderWay | None,
    request: Request,
    savings: Savings = ALL,
    prepared: KnownAnswer | None = None,
) -> Decision:
    """The cheapest way to an answer that a new job would also give.

    Known answers are given with the newest first; `prepared` has not been shown yet.
    """
    for age, one in enumerate(known):
        if age and not savings.remembered:
            break
        answer = _rest_of(one, request, savings)
        if answer is not None:
            how = How.REMEMBERED if age else answer.how
            answer = replace(answer, how=how)
            return Reuse(answer, _is_useful(under_way, request, answer))
    if prepared is not None:
        answer = _rest_of(prepared, request, savings)
        if answer is not None:
            answer = replace(answer, how=How.PREPARED)
            return Reuse(answer, _is_useful(under_way, request, answer))
    if savings.joined and under_way is not None and _answers(under_way, request):
        return Join()
    return Start()


def following(request: Request, answer: Answer) -> Request | None:
    """The request that an editor makes once the first suggestion of the answer was accepted.

    `None` if there is none, or if it would be made by hand.
    """
    site = request.site
    if not answer.suggestions or not request.options.may_be_empty or site.replaced is not None:
        return None
    accepted = replace(site, prefix=site.prefix + answer.suggestions[0].text)
    return Request(accepted, request.options)


def earlier_of(known: Iterable[KnownAnswer], request: Request) -> Earlier | None:
    """The rest of the last suggestion, if the user has typed something else in its place."""
    last = next(iter(known), None)
    if last is None or not last.answer.suggestions or request.options.shown:
        return None
    typed = _typed(last.request, request)
    return departure(last.answer.suggestions[0].text, typed) if typed else None


def _rest_of(known: KnownAnswer, request: Request, savings: Savings) -> Answer | None:
    """A known answer, adapted to this request, if it applies."""
    if request.options.candidates > known.request.options.candidates:
        return None
    typed = _typed(known.request, request)
    if typed is None or (typed and not savings.typed_through):
        return None
    if not typed and not known.is_whole:
        # The job has more to say, and may still be running.
        return None
    if left := remainders(known.answer.suggestions, typed):
        how = How.TYPED_THROUGH if typed else How.LAST_ANSWER
        return replace(suggested(left), how=how)
    # The same request has the same answer, but a request made by hand is a different one.
    if typed or _insists_more(request, known.request):
        return None
    return replace(known.answer, how=How.LAST_ANSWER, work=None)


def _answers(under_way: JobUnderWay, request: Request) -> bool:
    """Whether the job's outcome would also answer this request."""
    if request.options.candidates > under_way.request.options.candidates:
        return False
    if _insists_more(request, under_way.request):
        return False
    typed = _typed(under_way.request, request)
    if typed is None:
        return False
    return not typed or any(text.startswith(typed) for text in under_way.texts)


def _is_useful(under_way: JobUnderWay | None, request: Request, answer: Answer) -> bool:
    """Whether a job under way may answer a later request, if this one has this answer."""
    if under_way is None or _typed(under_way.request, request) is not None:
        return True
    return under_way.is_speculative and under_way.request == following(request, answer)


def _insists_more(request: Request, earlier: Request) -> bool:
    """Whether this request must be answered with a text, unlike the earlier one."""
    return earlier.options.may_be_empty and not request.options.may_be_empty


def _typed(earlier: Request, request: Request) -> str | None:
    return typed_between(earlier.site, request.site)
