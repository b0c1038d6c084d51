"""The engine's HTTP side: endpoints, their errors, and cancelling when a client leaves.

Every request is read, checked, submitted and answered; `EngineHost` handles jobs and models.
Starlette is imported when an application is created.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from dg_lsp import __version__
from dg_lsp.fed_job import FedJob
from dg_lsp.job import Infill, InfillJob
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.service.client.infiller import CLIENT_HEADER, SEQUENCE_HEADER, VERSION_HEADER
from dg_lsp.service.events import data_only
from dg_lsp.service.http.answers import (
    BUSY_S,
    answer_to,
    chunks_answer,
    json_answer,
    refusal,
)
from dg_lsp.service.http.compatibility import (
    FormRequest,
    TokenCounts,
    cut_at,
    error_body,
    failure,
    read_llama,
    read_openai,
    suggested_texts,
    write_llama,
    write_llama_chunk,
    write_openai,
    write_openai_chunks,
)
from dg_lsp.service.http.finishing import finished, with_query
from dg_lsp.service.http.gate import Gate
from dg_lsp.service.http.metrics import Metrics
from dg_lsp.service.http.request import (
    Access,
    RequestError,
    account_of,
    client_of,
    read_json,
    require_admin,
    unless_gone,
    within_sight,
)
from dg_lsp.service.http.sent_jobs import SentAs, SentJobs
from dg_lsp.service.http.stream import EventStream
from dg_lsp.service.process.host import (
    CLOSED,
    EngineHost,
    HostClosedError,
    ModelState,
    Sender,
)
from dg_lsp.service.schema import SCHEMA_VERSION, EngineStatus, decode_job, encode_status

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

Endpoint = Callable[["Request"], Awaitable["Response"]]

log = logging.getLogger(__name__)

ADMIN_PATHS = ("/v1/unload", "/v1/shutdown")
"""What would take the model away from all clients."""
NO_CHAT = "; dg-lsp fills in text and does not chat: use /v1/completions with a suffix"
INSTEAD = {
    "/chat/completions": NO_CHAT,
    "/responses": NO_CHAT,
    "/fim/completions": "; use /v1/completions, which takes the same prompt and suffix",
    "/completion": "; use /infill, or /v1/completions",
    "/embeddings": "; dg-lsp has no embeddings",
}
"""What is said of endpoints that other servers have, without their version."""


def make_app(
    host: EngineHost,
    metrics: Metrics,
    *,
    access: Access,
    stop: Callable[[], None],
    log_path: str = "",
) -> Gate:
    """The ASGI application; `stop` begins the shutdown of the process and returns."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.routing import Route

    service = _Service(host, metrics, stop, log_path)

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        where = f"{request.method} {request.scope['path']}"
        instead = INSTEAD.get(request.scope["path"].rpartition("/v1")[2], "")
        return refusal(
            error.status_code,
            Reason(ReasonCode.NO_ENDPOINT, f"{where}: {error.detail}{instead}"),
        )

    def guarded(endpoint: Endpoint, only_admin: bool) -> Endpoint:
        async def answer(request: Request) -> Response:
            try:
                if only_admin:
                    require_admin(request)
                return await endpoint(request)
            except Exception as error:
                return answer_to(error)

        return answer

    table: list[tuple[str, str, Endpoint]] = [
        ("GET", "/health", service.health),
        ("GET", "/metrics", service.metrics),
        ("GET", "/v1/status", service.status),
        ("GET", "/v1/models", service.models),
        ("GET", "/v1/health", service.health),
        ("GET", "/props", service.props),
        ("GET", "/slots", service.slots),
        ("POST", "/v1/infill", service.infill),
        ("POST", "/v1/cancel", service.cancel),
        ("POST", "/v1/load", service.load),
        ("POST", "/v1/unload", service.unload),
        ("POST", "/v1/shutdown", service.shutdown),
        ("POST", "/infill", service.llama_infill),
        ("POST", "/v1/completions", service.openai_completions),
    ]
    routes = [
        Route(path, guarded(endpoint, path in ADMIN_PATHS), methods=[method])
        for method, path, endpoint in table
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: refuse})
    # A redirect would be one more answer that tells which paths there are.
    app.router.redirect_slashes = False
    return Gate(app, access)


class _Service:
    """The endpoints."""

    def __init__(
        self, host: EngineHost, metrics: Metrics, stop: Callable[[], None], log_path: str
    ) -> None:
        self._host, self._metrics, self._stop = host, metrics, stop
        self._log_path, self._started = log_path, time.monotonic()
        self._sent = SentJobs()

    async def infill(self, request: Request) -> Response:
        theirs = request.headers.get(VERSION_HEADER, __version__)
        job = decode_job(await read_json(request), strict=theirs == __version__)
        return EventStream(self._submit(request, job))  # type: ignore[return-value]

    async def cancel(self, request: Request) -> Response:
        sent_as = _sent_as(request)
        found = sent_as is not None and self._sent.cancel(sent_as)
        return json_answer(200, {"cancelled": found})

    async def llama_infill(self, request: Request) -> Response:
        asked = read_llama(with_query(await read_json(request), request.query_params))
        if asked.wants_nothing:
            self._host.start_loading()
            return json_answer(
                200, write_llama(asked, Infill((), 0), TokenCounts(), is_last_chunk=False)
            )
        infill, tokens = await self._fill(request, asked)
        if not asked.streams:
            return json_answer(200, write_llama(asked, infill, tokens, is_last_chunk=False))
        # Drafts may still change, and this API can only append, so the text is sent in one
        # piece.
        text = cut_at(suggested_texts(infill)[0], asked.stops)[0]
        end = write_llama(asked, infill, tokens, is_last_chunk=True)
        return chunks_answer([data_only(write_llama_chunk(text)), data_only(end)])

    async def openai_completions(self, request: Request) -> Response:
        asked = read_openai(with_query(await read_json(request), request.query_params))
        infill, tokens = await self._fill(request, asked)
        name, created_s = f"cmpl-{uuid.uuid4().hex}", int(time.time())
        if not asked.streams:
            return json_answer(200, write_openai(asked, infill, tokens, name, created_s))
        chunks = write_openai_chunks(asked, infill, tokens, name, created_s)
        return chunks_answer([*map(data_only, chunks), b"data: [DONE]\n\n"])

    async def health(self, request: Request) -> Response:
        state = self._host.state
        healthy = state in (ModelState.READY, ModelState.UNLOADED)
        if healthy:
            return json_answer(200, {"status": "ok", "state": state.value})
        waiting = Reason(ReasonCode.LOADING, "the model is being loaded")
        error = error_body(503, self._host.error or waiting)
        return json_answer(503, {**error, "state": state.value})

    async def status(self, request: Request) -> Response:
        if self._host.is_closed:
            raise HostClosedError(CLOSED.message)
        waiting, running = self._host.count_jobs()
        status = EngineStatus(
            version=__version__,
            pid=os.getpid(),
            state=self._host.state.value,
            error=self._host.error,
            loading_percent=self._host.loading_percent,
            model=self._host.model,
            jobs_waiting=waiting,
            jobs_running=running,
            memory_bytes=_memory_bytes(),
            idle_s=round(self._host.idle_s, 3),
            uptime_s=round(time.monotonic() - self._started, 3),
            log=self._log_path,
            schema_versions=(SCHEMA_VERSION,),
        )
        return json_answer(200, encode_status(status))

    async def metrics(self, request: Request) -> Response:
        from starlette.responses import Response

        waiting, running = self._host.count_jobs()
        opened, loads = self._host.opened, self._host.loads
        page = self._metrics.text(
            {
                'jobs_in_flight{state="waiting"}': waiting,
                'jobs_in_flight{state="running"}': running,
                "model_loaded": float(opened is not None),
                **{f'model_loads{{result="{name}"}}': n for name, n in loads.items()},
                **(opened.counts() if opened else {}),
                "idle_seconds": self._host.idle_s,
                "memory_bytes": _memory_bytes(),
                "device_memory_bytes": self._host.device_memory_bytes(),
            },
            {"version": __version__, "model": opened.info.name if opened else ""},
        )
        return Response(page, media_type="text/plain; version=0.0.4")

    async def models(self, request: Request) -> Response:
        opened = self._host.opened
        found = (
            [{"id": opened.info.name, "object": "model", "owned_by": "dg-lsp"}]
            if opened
            else []
        )
        return json_answer(200, {"object": "list", "data": found})

    async def props(self, request: Request) -> Response:
        """As llama.cpp's server has it, as far as it applies."""
        waiting = Reason(ReasonCode.LOADING, "the model is not loaded yet")
        opened = self._host.opened
        if opened is None:
            self._host.start_loading()
            return refusal(503, self._host.error or waiting, BUSY_S)
        seen = opened.info.prefix_tokens + opened.info.suffix_tokens
        return json_answer(
            200,
            {
                "default_generation_settings": {"id": 0, "n_ctx": seen, "params": {}},
                "total_slots": 1,
                "model_path": opened.info.name,
                "model_alias": opened.info.name,
                "chat_template": "",
                "modalities": {"vision": False, "audio": False},
                "build_info": f"dg-lsp {__version__}",
                "is_sleeping": False,
            },
        )

    async def slots(self, request: Request) -> Response:
        """One slot, because jobs share what the model has read, whoever sends them."""
        from starlette.responses import Response

        _, running = self._host.count_jobs()
        opened = self._host.opened
        seen = opened.info.prefix_tokens + opened.info.suffix_tokens if opened else 0
        slot = {"id": 0, "n_ctx": seen, "speculative": False, "is_processing": running > 0}
        return Response(json.dumps([slot]), media_type="application/json")

    async def load(self, request: Request) -> Response:
        self._host.start_loading()
        return json_answer(200, {"state": self._host.state.value})

    async def unload(self, request: Request) -> Response:
        return json_answer(200, {"unloaded": await self._host.unload()})

    async def shutdown(self, request: Request) -> Response:
        # A timer, so that the answer still goes out.
        asyncio.get_running_loop().call_later(0.05, self._stop)
        return json_answer(200, {"stopping": True})

    def _submit(self, request: Request, job: InfillJob) -> FedJob:
        """Queue a job under its client's name, so that clients do not supersede one another."""
        client, sent_as = client_of(request).name, _sent_as(request)
        names = [client, sent_as.window if sent_as else "", job.document_key]
        is_named = any(names[:2]) and job.document_key
        job = replace(
            job, client=client, document=":".join(names) if is_named else job.document
        )
        if sent_as and is_named and self._sent.is_late(job.document, sent_as):
            late = FedJob(job)
            late.supersede()
            return late
        account_of(request).check_job(job, self._host.count_beside(job))
        job = within_sight(job)
        if sent_as is None:
            agent = request.headers.get("user-agent", "")
            return self._host.submit(job, Sender(request.scope["path"], agent))
        handle = self._host.submit(job)
        self._sent.add(sent_as, handle)
        return handle

    async def _fill(self, request: Request, asked: FormRequest) -> tuple[Infill, TokenCounts]:
        """Wait for a job of a compatible endpoint; returns its infill and the token counts."""
        handle = self._submit(request, asked.job)
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
        opened = self._host.opened
        texts = suggested_texts(infill) if opened is not None else []
        written = tuple(map(opened.measure, texts)) if opened is not None else ()
        return infill, TokenCounts(infill.prompt_tokens, infill.cached_tokens, written)


def _sent_as(request: Request) -> SentAs | None:
    """How a front end tells the job from its others; `None` for other tools."""
    window = request.headers.get(CLIENT_HEADER, "")[:64]
    sequence = request.headers.get(SEQUENCE_HEADER, "")
    number = int(sequence[:18]) if sequence.isascii() and sequence.isdigit() else None
    return SentAs(client_of(request).name, window, number) if window else None


def _memory_bytes() -> int:
    """Resident memory of this process."""
    import psutil

    return int(psutil.Process().memory_info().rss)
