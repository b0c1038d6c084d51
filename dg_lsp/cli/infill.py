"""`dg-lsp infill`: fills one span of a file and shows it; the file itself is never written.

Reads the file, has the same job built as for an editor, waits for it and prints the result.
live.py draws the drafts.
"""

from __future__ import annotations

import asyncio
import enum
import functools
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from dg_lsp.cli import ArgumentError
from dg_lsp.cli.options import DeviceOption, ModelOption, VramOption
from dg_lsp.cli.spans import OpenSpan, open_holes, open_span
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
    flaw_at,
    suggestions_for,
)
from dg_lsp.job import MAX_CANDIDATES, MAX_TOKENS, Draft, Infill, InfillJob, JobState
from dg_lsp.reason import CodedError, Reason, ReasonCode

if TYPE_CHECKING:
    from rich.console import Console

    from dg_lsp.job import OpenedModel

_DEFAULT = InfillJob(prefix="", suffix="")
_MAX_SEED = 2**32 - 1


class EngineUse(enum.Enum):
    """Which process runs the model."""

    AUTO = "auto"
    NEVER = "never"


def infill(
    site: Annotated[
        str,
        typer.Argument(
            metavar="FILE:LINE:COLUMN",
            help="Where to fill; lines and columns start at 1, as editors show them. With "
            "--hole, FILE, or - for standard input.",
            show_default=False,
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(metavar="LINE:COLUMN", help="End of the selection to rewrite."),
    ] = None,
    hole: Annotated[
        bool,
        typer.Option("--hole", help="Fill all marks of the file together, in one canvas."),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The file name of standard input, for --hole."),
    ] = None,
    mark: Annotated[
        str | None, typer.Option(metavar="TEXT", help=f"The mark of a hole; by default {MARK}.")
    ] = None,
    instruction: Annotated[
        str | None, typer.Option(metavar="TEXT", help="How to rewrite the selection.")
    ] = None,
    candidates: Annotated[
        int, typer.Option("--candidates", "-n", metavar="N", help="Alternatives wanted.")
    ] = _DEFAULT.candidates,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=_MAX_SEED, help="Another seed gives another suggestion."
        ),
    ] = _DEFAULT.seed,
    model: ModelOption = None,
    device: DeviceOption = None,
    vram: VramOption = None,
    engine: Annotated[
        EngineUse,
        typer.Option(
            help="auto: the running engine, if it has the model; never: load the model here."
        ),
    ] = EngineUse.AUTO,
    max_tokens: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Maximum tokens of a candidate; not for rewrites.",
        ),
    ] = _DEFAULT.max_tokens,
    strength: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="How freely to rewrite, above 0 and at most 1."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead.")
    ] = False,
) -> None:
    """Fill a span of a file with the model and show it; the file is not changed.

    On a terminal, the span is drawn while it is being denoised. When the output is redirected
    or piped, only the best candidate is printed, in UTF-8, with a newline at the end; --json
    prints it exactly.

    With --hole, what is printed is the whole file, with its holes filled.

    If the editors' engine is running and has the model, it is used; no engine is started.
    """

    for option, given in (("--mark", mark), ("--name", name)):
        if given is not None and not hole:
            raise ArgumentError(f"{option} needs --hole")
    if mark is not None and not mark.strip():
        raise ArgumentError(f"--mark is {mark!r}, but must not be blank")
    if hole and to is not None:
        raise ArgumentError("--to is for a selection; --hole takes the marks of the file")
    for option, value in (("--instruction", instruction), ("--strength", strength)):
        if value is not None and to is None:
            raise ArgumentError(f"{option} needs a selection; give its end with --to")
    for option, number, most in (
        ("--candidates", candidates, MAX_CANDIDATES),
        ("--max-tokens", max_tokens, MAX_TOKENS),
    ):
        if number > most:
            raise ArgumentError(f"{option} is {number}, but must be at most {most}")
    span = open_holes(site, mark or MARK, name or "-") if hole else open_span(site, to)
    if instruction is not None and not span.text.strip():
        empty = "holds only blanks" if span.text else "is empty"
        raise ArgumentError(f"--instruction needs a selection, and this one {empty}")
    options = RequestOptions(
        candidates=candidates,
        may_be_empty=False,
        max_tokens=max_tokens,
        instruction=instruction,
        strength=_DEFAULT.strength if strength is None else strength,
        seed=seed,
    )
    _check(span.site, options)
    open_model = functools.partial(_open_model, model, device, vram, engine)
    terminal = None if as_json else _terminal()
    if terminal is not None:
        _fill_on(terminal, span, options, open_model)
        return
    ending = asyncio.run(_fill(span, options, open_model(), lambda draft: None))
    output = _json_output(span, ending) if as_json else _plain_output(span, ending)
    # Bytes, so that neither newlines nor characters are translated.
    sys.stdout.buffer.write(output.encode())
    sys.stdout.buffer.flush()


def _check(site: InsertionSite, options: RequestOptions) -> None:
    """Refuse what no model could do, before one is loaded."""
    try:
        build_job(site, options, ANY_MODEL, RequestContext(len))
    except RequestRefusedError:
        raise
    except ValueError as error:
        raise ArgumentError(str(error)) from error


def _open_model(
    model: str | None, device: str | None, vram: str | None, engine: EngineUse
) -> OpenedModel:
    from dg_lsp.cli.compose import open_infiller
    from dg_lsp.cli.running import open_running

    # A memory limit applies only to a model that this process loads.
    found = open_running(model, device) if engine is EngineUse.AUTO and vram is None else None
    return found or open_infiller(model, device, vram=vram)


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


def _fill_on(
    terminal: Console,
    span: OpenSpan,
    options: RequestOptions,
    open_model: Callable[[], OpenedModel],
) -> None:
    """Draw the span while it is being denoised and leave the final text in place."""
    from dg_lsp.cli.live import LiveSpan, view_around

    with terminal.status("opening the model"):
        opened = open_model()
    view = view_around(span.source.text, span.start, span.end, span.path)
    with LiveSpan(terminal, view) as drawing:
        ending = asyncio.run(_fill(span, options, opened, drawing.show))
        reason = None if ending.reason is None else ending.reason.message
        drawing.finish(ending.suggestions, ending.infill, reason)
    _warn(ending)


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
        asked = replace(options, seed=one.seed, deadline_s=one.deadline_s)
        job = build_job(site, asked, opened.info, context)
        infill = await _run(job, opened, show)
        return (job, infill), suggestions_for(infill.candidates, site, standard, job)

    try:
        (job, infill), suggestions = await first_sound(write, site, options.seed)
    finally:
        await opened.infiller.close()
    infill = replace(infill, model=infill.model or opened.info.name)
    reason = None if suggestions else why_nothing(infill, site, standard, job)
    warning = flaw_at(suggestions[0].text, site) if suggestions else None
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


def _terminal() -> Console | None:
    """Stdout as a terminal, or `None` if it is not one."""
    if not sys.stdout.isatty():
        return None
    from rich.console import Console

    if isinstance(sys.stdout, io.TextIOWrapper):
        # The file may contain characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False)


def _plain_output(span: OpenSpan, ending: _Ending) -> str:
    mark = "\ufeff" if span.source.had_bom else ""
    if not ending.suggestions:
        print(f"dg-lsp: no suggestion: {ending.reason}", file=sys.stderr)
        # Whoever pipes a text through keeps it.
        return mark + span.source.text if span.holes else ""
    _warn(ending)
    best = ending.suggestions[0].text
    if span.holes:
        return mark + span.source.text[: span.start] + best + span.source.text[span.end :]
    return best if best.endswith("\n") else best + "\n"


def _warn(ending: _Ending) -> None:
    if ending.warning is not None:
        print(f"dg-lsp: warning: {ending.warning}", file=sys.stderr)


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
