"""The endpoints that fill spans, in the forms of several clients."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from dg_lsp import __version__
from dg_lsp.fed_job import FedJob
from dg_lsp.job import Infill, InfillJob
from dg_lsp.service.access.limits import ClientAccount
from dg_lsp.service.access.tokens import Client
from dg_lsp.service.events import data_only
from dg_lsp.service.fields import Json
from dg_lsp.service.http.answers import answer_with, chunks_answer, json_answer
from dg_lsp.service.http.compatibility import (
    CompletionRequest,
    FimRequest,
    FormRequest,
    read_completion,
    read_llama,
)
from dg_lsp.service.http.compatible_answers import (
    CompletionAnswer,
    TokenCounts,
    completion_answer,
    completion_chunks,
    cut_at,
    failure,
    fim_answer,
    fim_chunks,
    suggested_texts,
    write_llama,
    write_llama_chunk,
)
from dg_lsp.service.http.finishing import finished, with_query
from dg_lsp.service.http.replies import Cancelled
from dg_lsp.service.http.request import (
    RequestError,
    account_of,
    client_of,
    read_json,
    unless_gone,
    within_sight,
)
from dg_lsp.service.http.sent_jobs import SentAs
from dg_lsp.service.http.served_engine import ServedEngine
from dg_lsp.service.http.stream import EventStream
from dg_lsp.service.process.host import Sender
from dg_lsp.service.schema import CLIENT_HEADER, SEQUENCE_HEADER, VERSION_HEADER, decode_job

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


async def infill(engine: ServedEngine, request: Request) -> Response:
    """Fill a span.

    The answer is a stream of events: `draft` with a `Draft` after each denoising step, and
    at the end `infill` with a `JobResult`.
    """
    theirs = request.headers.get(VERSION_HEADER, __version__)
    job = decode_job(await read_json(request), strict=theirs == __version__)
    return EventStream(_submit(engine, request, job))  # type: ignore[return-value]


async def cancel(engine: ServedEngine, request: Request) -> Response:
    """Cancel the job that was sent with the same headers."""
    sent_as = _sent_as(request)
    return answer_with(Cancelled(sent_as is not None and engine.sent.cancel(sent_as)))


async def llama_infill(engine: ServedEngine, request: Request) -> Response:
    """Fill a span, as llama.cpp's server does.

    The answer is a `LlamaAnswer`, or those of its fields that `response_fields` names.
    """
    asked = read_llama(with_query(await read_json(request), request.query_params))
    if asked.wants_nothing:
        engine.host.start_loading()
        return json_answer(
            200, write_llama(asked, Infill((), 0), TokenCounts(), is_last_chunk=False)
        )
    infill, tokens = await _fill(engine, request, asked)
    if not asked.streams:
        return json_answer(200, write_llama(asked, infill, tokens, is_last_chunk=False))
    # Drafts may still change, and this API can only append, so the text is sent in one
    # piece.
    text = cut_at(suggested_texts(infill)[0], asked.stops)[0]
    end = write_llama(asked, infill, tokens, is_last_chunk=True)
    return chunks_answer([data_only(write_llama_chunk(text)), data_only(end)])


async def openai_completions(engine: ServedEngine, request: Request) -> Response:
    """Fill a span, as OpenAI's completions do."""
    asked, answer = await _complete(engine, request, CompletionRequest)
    if not asked.streams:
        return answer_with(answer)
    return _stream(completion_chunks(answer, wants_usage=asked.wants_usage))


async def fim_completions(engine: ServedEngine, request: Request) -> Response:
    """Fill a span, as Mistral's FIM endpoint does."""
    asked, answer = await _complete(engine, request, FimRequest)
    fim = fim_answer(answer)
    return _stream(fim_chunks(fim)) if asked.streams else answer_with(fim)


def submit_job(
    engine: ServedEngine,
    job: InfillJob,
    client: Client,
    account: ClientAccount,
    sent_as: SentAs | None,
    sender: Sender | None = None,
) -> FedJob:
    """Queue a job under its client's name, so that clients do not supersede one another.

    `sender` is the tool that sends it, if it is no front end.
    """
    names = [client.name, sent_as.window if sent_as else "", job.document_key]
    is_named = any(names[:2]) and job.document_key
    document = ":".join(names) if is_named else job.document
    job = replace(job, client=client.name, document=document)
    if sent_as and is_named and engine.sent.is_late(job.document, sent_as):
        late = FedJob(job)
        late.supersede()
        return late
    account.check_job(job, engine.host.count_beside(job))
    handle = engine.host.submit(within_sight(job), sender)
    if sent_as is not None:
        engine.sent.add(sent_as, handle)
    return handle


def _submit(engine: ServedEngine, request: Request, job: InfillJob) -> FedJob:
    sent_as, sender = _sent_as(request), None
    if sent_as is None:
        sender = Sender(request.scope["path"], request.headers.get("user-agent", ""))
    client, account = client_of(request), account_of(request)
    return submit_job(engine, job, client, account, sent_as, sender)


async def _complete(
    engine: ServedEngine, request: Request, kind: type[CompletionRequest]
) -> tuple[FormRequest, CompletionAnswer]:
    query = request.query_params
    asked = read_completion(with_query(await read_json(request), query), kind)
    infill, tokens = await _fill(engine, request, asked)
    return asked, completion_answer(asked, infill, tokens)


async def _fill(
    engine: ServedEngine, request: Request, asked: FormRequest
) -> tuple[Infill, TokenCounts]:
    """Wait for a job of a compatible endpoint; returns its infill and the token counts."""
    handle = _submit(engine, request, asked.job)
    try:
        result = await unless_gone(request.receive, handle.result())
    finally:
        handle.cancel()
    reason = failure(result)
    if reason is not None:
        raise RequestError(500, reason.code, reason.message)
    # Counting reads all that the model may see, which may be a lot.
    job = within_sight(asked.job)
    infill = await asyncio.to_thread(finished, result.infill, job, asked.finishing)
    opened = engine.host.opened
    texts = suggested_texts(infill) if opened is not None else []
    written = tuple(map(opened.measure, texts)) if opened is not None else ()
    return infill, TokenCounts(infill.prompt_tokens, infill.cached_tokens, written)


def _stream(chunks: list[Json]) -> Response:
    """A streamed answer as OpenAI ends it."""
    return chunks_answer([*map(data_only, chunks), b"data: [DONE]\n\n"])


def _sent_as(request: Request) -> SentAs | None:
    """How a front end tells the job from its others; `None` for other tools."""
    window = request.headers.get(CLIENT_HEADER, "")[:64]
    sequence = request.headers.get(SEQUENCE_HEADER, "")
    number = int(sequence[:18]) if sequence.isascii() and sequence.isdigit() else None
    return SentAs(client_of(request).name, window, number) if window else None
