"""The command `dg-lsp.alternatives`: what else may stand in place of one word.

Nothing is applied: the client lets the user choose, and replaces the word itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dg_lsp.document.position import LINE_END
from dg_lsp.document.request import RequestOptions, RequestRefusedError
from dg_lsp.document.suggestions import InsertionSite, Suggestion, flaw_at, writes_mask
from dg_lsp.document.words import MAX_CHARS, is_word, word_at
from dg_lsp.job import Candidate, JobResult, JobState, Span
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server import lsp_ext
from dg_lsp.server.convert import range_at
from dg_lsp.server.rpc.errors import invalid_params
from dg_lsp.server.session import Session
from dg_lsp.server.suggest.answer import Answer, How, Outcome, Work, refused, suggested
from dg_lsp.server.workspace.documents import Document, find_again

COUNT = 8
LEAST = 0.005
"""What is less likely is not listed: it would be shown as 0 %."""
LANE = "alternatives"
CHANGED = Reason(ReasonCode.CHANGED, "the word has changed in the meantime")
NONE = Reason(ReasonCode.BLANK, "the model knows no other word for this place")


async def alternatives(session: Session, document: Document, given: Span) -> dict[str, Any]:
    """The alternatives of the word at `given`, or of the whole of it if it is not empty."""
    span: Span | None = given
    if given.start == given.end:
        span = word_at(document.text, given.start)
    if span is None or not is_word(document.text[span.start : span.end]):
        raise invalid_params(
            f"there must be a word here, of at most {MAX_CHARS} characters on one line",
            ReasonCode.BLANK,
        )
    word = document.text[span.start : span.end]
    at = range_at(document.text, span.start, span.start, session.units).start
    with session.tracer.request(
        lsp_ext.COMMAND_ALTERNATIVES, document.uri, at, "invoked", document.language
    ) as trace:
        refusal = session.exclusion(document) or session.secret(document, span.start, span.end)
        trace.checked()
        if refusal is not None:
            answer = refused(refusal)
        else:
            answer = await _ask(session, session.site(document, span.start, span.end))
        now = session.documents.get(document.uri)
        found = None if now is None else find_again(span, document.text, now.text)
        if answer.suggestions and found is None:
            answer = answer.dropped(CHANGED)
        trace.end(answer)
    if answer.failed and answer.reason is not None:
        session.status.job_failed(answer.reason)
    texts = {one.text: one.confidence for one in answer.suggestions}
    own = texts.pop(word, None)
    where = None
    if now is not None and found is not None:
        where = range_at(now.text, found.start, found.end, session.units)
    return lsp_ext.Alternatives(
        range=where,
        version=None if now is None else now.version,
        word=word,
        probability=own,
        alternatives=tuple(texts.items()),
        reason=answer.reason or (None if texts else NONE),
    ).to_json()


async def _ask(session: Session, site: InsertionSite) -> Answer:
    work = Work()
    options = RequestOptions(may_be_empty=False, lane=LANE, alternatives=COUNT)
    try:
        result = await session.jobs.fill(
            site, options, session.settings, lambda draft: None, work
        )
    except RequestRefusedError as error:
        return refused(error.reason)
    return replace(_answer(result, site, work), how=How.NEW_JOB, work=work)


def _answer(result: JobResult, site: InsertionSite, work: Work) -> Answer:
    written = tuple(
        Suggestion(one.text, one.confidence, one.confidences)
        for one in result.infill.candidates
        if one.text == site.replaced or _can_stand(one, site, work)
    )
    if written:
        return suggested(written)
    is_failed = result.state is JobState.FAILED
    return Answer(
        Outcome.FAILED if is_failed else Outcome.NOTHING, result.infill.reason or NONE
    )


def _can_stand(one: Candidate, site: InsertionSite, work: Work) -> bool:
    """Whether a text is worth listing: likely enough, and such that the code stays valid."""
    return (
        one.confidence >= LEAST
        and bool(one.text.strip())
        and not LINE_END.search(one.text)
        and not writes_mask(one.text, site, work.job)
        and flaw_at(one.text, site) is None
    )
