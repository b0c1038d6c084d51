"""The engine's HTTP side: its table of endpoints, and who may send requests to them.

Every request is read, checked, submitted and answered; `EngineHost` handles jobs and models.
Starlette is imported when an application is created.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from dg_lsp.job import Draft, InfillJob, JobResult
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.service import lines
from dg_lsp.service.http import channel, filling, state
from dg_lsp.service.http.answers import answer_to, json_answer, refusal
from dg_lsp.service.http.commands import PATH, Command, CommandEndpoint
from dg_lsp.service.http.compatibility import CompletionRequest, FimRequest, LlamaRequest
from dg_lsp.service.http.compatible_answers import CompletionAnswer, FimAnswer
from dg_lsp.service.http.description import EVENTS, JSON, Body, Operation, describe
from dg_lsp.service.http.gate import Gate
from dg_lsp.service.http.metrics import Metrics
from dg_lsp.service.http.replies import (
    Cancelled,
    Health,
    Loading,
    ModelList,
    Props,
    Slot,
    Stopping,
    Unloaded,
)
from dg_lsp.service.http.request import Access, require_admin
from dg_lsp.service.http.served_engine import ServedEngine
from dg_lsp.service.process.host import EngineHost
from dg_lsp.service.schema import EngineStatus

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

Endpoint = Callable[["Request"], Awaitable["Response"]]

NO_CHAT = "; dg-lsp fills in text and does not chat: use /v1/completions with a suffix"
INSTEAD = {
    "/chat/completions": NO_CHAT,
    "/responses": NO_CHAT,
    "/completion": "; use /infill, or /v1/completions",
    "/embeddings": "; dg-lsp has no embeddings",
}
"""What is said of endpoints that other servers have, without their version."""


async def openapi(engine: ServedEngine, request: Request) -> Response:
    """This description."""
    return json_answer(200, describe(OPERATIONS))


OPERATIONS = (
    Operation("GET", "/health", state.health, Health),
    Operation("GET", "/metrics", state.metrics, media=("text/plain",)),
    Operation("GET", "/openapi.json", openapi),
    Operation("GET", "/v1/status", state.status, EngineStatus),
    Operation("GET", "/v1/models", state.models, ModelList),
    Operation("GET", "/v1/health", state.health, Health),
    Operation("GET", "/props", state.props, Props),
    Operation("GET", "/slots", state.slots, Slot, is_list=True),
    Operation(
        "POST",
        "/v1/infill",
        filling.infill,
        takes=Body(InfillJob),
        media=(EVENTS,),
        events=(("draft", Draft), ("infill", JobResult)),
        is_numbered=True,
    ),
    Operation("GET", lines.PATH, channel.jobs, status=101, media=()),
    Operation("POST", "/v1/cancel", filling.cancel, Cancelled, is_numbered=True),
    Operation("POST", "/v1/load", state.load, Loading),
    Operation("POST", "/v1/unload", state.unload, Unloaded, only_admin=True),
    Operation("POST", "/v1/shutdown", state.shutdown, Stopping, only_admin=True),
    Operation(
        "POST",
        "/infill",
        filling.llama_infill,
        takes=Body(LlamaRequest, is_compatible=True),
        media=(JSON, EVENTS),
    ),
    Operation(
        "POST",
        "/v1/completions",
        filling.openai_completions,
        CompletionAnswer,
        Body(CompletionRequest, is_compatible=True),
        media=(JSON, EVENTS),
    ),
    Operation(
        "POST",
        "/v1/fim/completions",
        filling.fim_completions,
        FimAnswer,
        Body(FimRequest, is_compatible=True),
        media=(JSON, EVENTS),
    ),
)
"""All endpoints."""


def make_app(
    host: EngineHost,
    metrics: Metrics,
    *,
    access: Access,
    stop: Callable[[], None],
    log_path: str = "",
    command: Command | None = None,
) -> Gate:
    """The ASGI application; `stop` begins the shutdown of the process and returns.

    `command` is what the user's own command line may have run in this process.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.routing import Route

    engine = ServedEngine(host, metrics, stop, log_path)

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

    routes = [
        Route(
            one.path,
            guarded(functools.partial(one.endpoint, engine), one.only_admin),
            methods=[one.method],
        )
        for one in OPERATIONS
    ]
    if command is not None:
        commands = CommandEndpoint(host, command)

        async def run_command(engine: ServedEngine, request: Request) -> Response:
            return await commands.answer(request)  # type: ignore[return-value]

        endpoint = guarded(functools.partial(run_command, engine), only_admin=True)
        routes.append(Route(PATH, endpoint, methods=["POST"]))
    app = Starlette(routes=routes, exception_handlers={HTTPException: refuse})
    # A redirect would be one more answer that tells which paths there are.
    app.router.redirect_slashes = False
    return Gate(app, access)
