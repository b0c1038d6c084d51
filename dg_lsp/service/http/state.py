"""The endpoints that tell what the engine and its model are doing, and that change it."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from dg_lsp import __version__
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.service.http.answers import BUSY_S, answer_with, error_body, json_answer, refusal
from dg_lsp.service.http.replies import (
    GenerationSettings,
    Health,
    ListedModel,
    Loading,
    ModelList,
    Props,
    Slot,
    Stopping,
    Unloaded,
)
from dg_lsp.service.http.request import client_of
from dg_lsp.service.http.served_engine import ServedEngine
from dg_lsp.service.process.host import CLOSED, HostClosedError, ModelState
from dg_lsp.service.schema import SCHEMA_VERSION, EngineStatus

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


async def health(engine: ServedEngine, request: Request) -> Response:
    """Whether jobs can be sent."""
    state = engine.host.state
    healthy = state in (ModelState.READY, ModelState.UNLOADED)
    if healthy:
        return answer_with(Health(state.value))
    waiting = Reason(ReasonCode.LOADING, "the model is being loaded")
    error = error_body(503, engine.host.error or waiting)
    return json_answer(503, {**error, "state": state.value})


async def status(engine: ServedEngine, request: Request) -> Response:
    """What the engine is doing."""
    if engine.host.is_closed:
        raise HostClosedError(CLOSED.message)
    waiting, running = engine.host.count_jobs()
    status = EngineStatus(
        version=__version__,
        pid=os.getpid(),
        state=engine.host.state.value,
        error=engine.host.error,
        loading_percent=engine.host.loading_percent,
        model=engine.host.model,
        jobs_waiting=waiting,
        jobs_running=running,
        memory_bytes=_memory_bytes(),
        idle_s=round(engine.host.idle_s, 3),
        uptime_s=round(time.monotonic() - engine.started, 3),
        # Where files are is nothing for users of other machines.
        log=engine.log_path if client_of(request).is_admin else "",
        schema_versions=(SCHEMA_VERSION,),
    )
    return answer_with(status)


async def metrics(engine: ServedEngine, request: Request) -> Response:
    """Counts and times, in Prometheus' text format."""
    from starlette.responses import Response

    waiting, running = engine.host.count_jobs()
    opened, loads = engine.host.opened, engine.host.loads
    page = engine.metrics.text(
        {
            'jobs_in_flight{state="waiting"}': waiting,
            'jobs_in_flight{state="running"}': running,
            "model_loaded": float(opened is not None),
            **{f'model_loads{{result="{name}"}}': n for name, n in loads.items()},
            **(opened.counts() if opened else {}),
            "idle_seconds": engine.host.idle_s,
            "memory_bytes": _memory_bytes(),
            "device_memory_bytes": engine.host.device_memory_bytes(),
        },
        {"version": __version__, "model": opened.info.name if opened else ""},
    )
    return Response(page, media_type="text/plain; version=0.0.4")


async def models(engine: ServedEngine, request: Request) -> Response:
    """The loaded model."""
    opened = engine.host.opened
    return answer_with(ModelList((ListedModel(opened.info.name),) if opened else ()))


async def props(engine: ServedEngine, request: Request) -> Response:
    """What llama.cpp's server says of itself, as far as it applies."""
    waiting = Reason(ReasonCode.LOADING, "the model is not loaded yet")
    opened = engine.host.opened
    if opened is None:
        engine.host.start_loading()
        return refusal(503, engine.host.error or waiting, BUSY_S)
    name, seen = opened.info.name, GenerationSettings(_seen_tokens(engine))
    return answer_with(Props(seen, model_path=name, model_alias=name))


async def slots(engine: ServedEngine, request: Request) -> Response:
    """The slots of llama.cpp's server: one, because jobs share what the model has read."""
    _, running = engine.host.count_jobs()
    return answer_with((Slot(_seen_tokens(engine), is_processing=running > 0),))


async def load(engine: ServedEngine, request: Request) -> Response:
    """Begin to load the model, without a job."""
    engine.host.start_loading()
    return answer_with(Loading(engine.host.state.value))


async def unload(engine: ServedEngine, request: Request) -> Response:
    """Unload the model unless jobs are open."""
    return answer_with(Unloaded(await engine.host.unload()))


async def shutdown(engine: ServedEngine, request: Request) -> Response:
    """Stop the engine after its current denoising step."""
    # A timer, so that the answer still goes out.
    asyncio.get_running_loop().call_later(0.05, engine.stop)
    return answer_with(Stopping())


def _seen_tokens(engine: ServedEngine) -> int:
    opened = engine.host.opened
    return opened.info.prefix_tokens + opened.info.suffix_tokens if opened else 0


def _memory_bytes() -> int:
    """Resident memory of this process."""
    import psutil

    return int(psutil.Process().memory_info().rss)
