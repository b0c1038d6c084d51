"""What `dg-lsp infill` does once its command line is read and a model is open.

In the command's own process, or in that of the engine (`served_infill.py`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.spans import OpenSpan, Read, open_holes, open_span, read_here
from dg_lsp.diagnosis.records import source_record
from dg_lsp.document import outline
from dg_lsp.document.edit import minimal_replacement
from dg_lsp.document.holes import MARK
from dg_lsp.document.position import line_column_at
from dg_lsp.document.reasons import why_nothing
from dg_lsp.document.request import (
    ANY_MODEL,
    RequestContext,
    RequestOptions,
    RequestRefusedError,
    build_job,
)
from dg_lsp.document.retrying import Try, first_sound
from dg_lsp.document.suggestions import (
    InsertionSite,
    Standard,
    Suggestion,
    suggestions_for,
    warning_at,
)
from dg_lsp.job import MAX_CANDIDATES, MAX_TOKENS, Draft, Infill, InfillJob, JobState
from dg_lsp.reason import CodedError, Reason, ReasonCode

if TYPE_CHECKING:
    from rich.console import Console

    from dg_lsp.job import OpenedModel

DEFAULT = InfillJob(prefix="", suffix="")


@dataclass(frozen=True, slots=True)
class Asked:
    """A command line, without what says which model is asked."""

    site: str
    to: str | None = None
    hole: bool = False
    name: str | None = None
    mark: str | None = None
    instruction: str | None = None
    candidates: int = DEFAULT.candidates
    seed: int = DEFAULT.seed
    max_tokens: int = DEFAULT.max_tokens
    strength: float | None = None
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """Where the command prints."""

    write: Callable[[bytes], None]
    say: Callable[[str], None]
    """One line for people."""
    terminal: Console | None
    """Where the span is drawn, in place of `write`."""


def read_span(asked: Asked, read: Read = read_here) -> tuple[OpenSpan, RequestOptions]:
    """Read what is to be filled, and refuse what no model could do."""
    for option, given in (("--mark", asked.mark), ("--name", asked.name)):
        if given is not None and not asked.hole:
            raise ArgumentError(f"{option} needs --hole")
    if asked.mark is not None and not asked.mark.strip():
        raise ArgumentError(f"--mark is {asked.mark!r}, but must not be blank")
    if asked.hole and asked.to is not None:
        raise ArgumentError("--to is for a selection; --hole takes the marks of the file")
    for option, value in (("--instruction", asked.instruction), ("--strength", asked.strength)):
        if value is not None and asked.to is None:
            raise ArgumentError(f"{option} needs a selection; give its end with --to")
    for option, number, most in (
        ("--candidates", asked.candidates, MAX_CANDIDATES),
        ("--max-tokens", asked.max_tokens, MAX_TOKENS),
    ):
        if number > most:
            raise ArgumentError(f"{option} is {number}, but must be at most {most}")
    if asked.hole:
        span = open_holes(asked.site, asked.mark or MARK, asked.name or "-", read)
    else:
        span = open_span(asked.site, asked.to, read)
    if asked.instruction is not None and not span.text.strip():
        empty = "holds only blanks" if span.text else "is empty"
        raise ArgumentError(f"--instruction needs a selection, and this one {empty}")
    options = RequestOptions(
        candidates=asked.candidates,
        may_be_empty=False,
        max_tokens=asked.max_tokens,
        instruction=asked.instruction,
        strength=DEFAULT.strength if asked.strength is None else asked.strength,
        seed=asked.seed,
    )
    _check(span.site, options)
    return span, options


def _check(site: InsertionSite, options: RequestOptions) -> None:
    """Refuse what no model could do, before one is loaded."""
    try:
        build_job(site, options, ANY_MODEL, RequestContext(len))
    except RequestRefusedError:
        raise
    except ValueError as error:
        raise ArgumentError(str(error)) from error


class InfillFailedError(CodedError):
    """The engine accepted the job but could not finish it."""

    code = ReasonCode.JOB_FAILED


@dataclass(frozen=True, slots=True)
class _Ending:
    """How the job ended: either with suggestions or with a reason."""

    infill: Infill
    suggestions: tuple[Suggestion, ...]
    """Best first."""
    reason: Reason | None
    warning: str | None
    """What is wrong with a rewrite, as one clause."""


def fill(
    span: OpenSpan,
    options: RequestOptions,
    opened: OpenedModel,
    output: Output,
    *,
    as_json: bool,
) -> None:
    """Fill the span, and print or draw the result; closes the engine."""
    if output.terminal is not None:
        _draw(output.terminal, span, options, opened, output)
        return
    ending = asyncio.run(_fill(span, options, opened, lambda draft: None))
    text = _json_output(span, ending) if as_json else _plain_output(span, ending, output.say)
    # Bytes, so that neither newlines nor characters are translated.
    output.write(text.encode())


def _draw(
    terminal: Console,
    span: OpenSpan,
    options: RequestOptions,
    opened: OpenedModel,
    output: Output,
) -> None:
    """Draw the span while it is being denoised and leave the final text in place."""
    from dg_lsp.cli.live import LiveSpan, view_around

    view = view_around(span.source.text, span.start, span.end, span.path, span.holes)
    with LiveSpan(terminal, view) as drawing:
        ending = asyncio.run(_fill(span, options, opened, drawing.show))
        reason = None if ending.reason is None else ending.reason.message
        drawing.finish(ending.suggestions, ending.infill, reason)
    _warn(ending, output.say)


async def _fill(
    span: OpenSpan,
    options: RequestOptions,
    opened: OpenedModel,
    show: Callable[[Draft], None],
) -> _Ending:
    """Fill the span, again if a rewrite breaks the code, and close the engine."""
    site, context = span.site, RequestContext(opened.measure)
    standard = Standard(options.candidates)

    outline.read(site.prefix, site.suffix, site.language)

    async def write(one: Try) -> tuple[tuple[InfillJob, Infill], tuple[Suggestion, ...]]:
        again = replace(options, seed=one.seed, deadline_s=one.deadline_s)
        job = build_job(site, again, opened.info, context)
        infill = await _run(job, opened, show)
        return (job, infill), suggestions_for(infill.candidates, site, standard, job)

    try:
        (job, infill), suggestions = await first_sound(write, site, options.seed)
    finally:
        await opened.infiller.close()
    infill = replace(infill, model=infill.model or opened.info.name)
    reason = None if suggestions else why_nothing(infill, site, standard, job)
    warning = warning_at(suggestions[0], site) if suggestions else None
    return _Ending(infill, suggestions, reason, warning)


async def _run(job: InfillJob, opened: OpenedModel, show: Callable[[Draft], None]) -> Infill:
    """One job; an interruption cancels it."""
    handle = opened.infiller.submit(job)
    try:
        async for draft in handle.drafts():
            show(draft)
        result = await handle.result()
    except BaseException:
        handle.cancel()
        raise
    if result.state is JobState.FAILED:
        reason = result.infill.reason
        if reason is None:
            raise InfillFailedError("the model gave no reason")
        raise InfillFailedError(reason.message, reason.code)
    return result.infill


def _plain_output(span: OpenSpan, ending: _Ending, say: Callable[[str], None]) -> str:
    mark = "\ufeff" if span.source.had_bom else ""
    if not ending.suggestions:
        say(f"dg-lsp: no suggestion: {ending.reason}")
        # Whoever pipes a text through keeps it.
        return mark + span.source.text if span.holes else ""
    _warn(ending, say)
    best = ending.suggestions[0].text
    if span.holes:
        return mark + span.source.text[: span.start] + best + span.source.text[span.end :]
    return best if best.endswith("\n") else best + "\n"


def _warn(ending: _Ending, say: Callable[[str], None]) -> None:
    if ending.warning is not None:
        say(f"dg-lsp: warning: {ending.warning}")


def _json_output(span: OpenSpan, ending: _Ending) -> str:
    best = ending.suggestions[0].text if ending.suggestions else None
    report = {
        "text": best,
        "candidates": [
            {
                "text": suggestion.text,
                "confidence": suggestion.confidence,
                **({"holes": list(suggestion.holes)} if span.holes else {}),
                **source_record(suggestion.source),
            }
            for suggestion in ending.suggestions
        ],
        "steps": ending.infill.steps,
        "timings_ms": ending.infill.timings_ms,
        "model": ending.infill.model,
        "edit": None if best is None else _edit(span, best),
        "reason": None if ending.reason is None else ending.reason.message,
        "reason_code": None if ending.reason is None else ending.reason.code.value,
        "warning": ending.warning,
    }
    return json.dumps(report, ensure_ascii=False) + "\n"


def _edit(span: OpenSpan, new: str) -> dict[str, object]:
    """The smallest edit of the file that replaces the span with `new`."""
    text = span.source.text
    change = minimal_replacement(span.text, new)
    start = line_column_at(text, span.start + change.start)
    end = line_column_at(text, span.start + change.end)
    return {
        "start": {"line": start[0], "column": start[1]},
        "end": {"line": end[0], "column": end[1]},
        "new_text": change.new_text,
    }
