"""`python -m dg_lsp.benchmark.replay.serving`: the server under test, over stdio.

It is the server that `dg-lsp serve --in-process` runs, on the benchmark's clock. Three requests
beyond LSP drive it: `replay/begin`, `replay/advance` and `replay/take`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from dg_lsp.benchmark.replay.clock import ClockedLoop
from dg_lsp.benchmark.replay.paced import Fill, Pace, PacedInfiller
from dg_lsp.benchmark.replay.replaying import MODEL_VARIABLE
from dg_lsp.job import Draft, Infill, InfillJob, ModelInfo, OpenedModel
from dg_lsp.server.app import create_server
from dg_lsp.server.link.engine_link import InProcessLink
from dg_lsp.server.rpc.transport import serve_stdio
from dg_lsp.server.suggest.savings import Savings
from dg_lsp.server.suggest.suggestions import Suggestions
from dg_lsp.server.tracing import Forgetful


class KeptRecords(Forgetful):
    """A journal that keeps the traces for the benchmark."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def add(self, record: dict[str, Any]) -> None:
        self.records.append(record)


Measure = Callable[[str], int]
Opening = Callable[[], tuple[Fill, ModelInfo, Measure]]


def open_real(name: str) -> tuple[Fill, ModelInfo, Measure]:
    """A model in this process."""
    from dg_lsp.engine.infilling import Filling
    from dg_lsp.models.loading import load

    model = load(name)

    def fill(job: InfillJob, on_draft: Callable[[Draft], None]) -> Infill:
        infill = Filling(
            job,
            model.denoiser,
            model.codec,
            model.family(),
            model.settings,
            cancelled=lambda: False,
            on_draft=on_draft,
        ).run()
        return dataclasses.replace(infill, model=model.info.name)

    return fill, model.info, lambda text: len(model.codec.encode(text))


async def serve(loop: ClockedLoop, opening: Opening) -> int:
    """Serve one client until it disconnects."""
    opened: list[PacedInfiller] = []

    def open_model() -> OpenedModel:
        fill, info, measure = opening()
        opened.append(PacedInfiller(fill, Pace(0, 0), loop))
        return OpenedModel(opened[0], info, measure)

    journal = KeptRecords()
    session = create_server(InProcessLink(open_model), journal=journal)

    @session.server.feature("replay/begin")
    async def begin(params: dict[str, Any]) -> dict[str, Any]:
        await session.link.infiller()
        opened[0].pace = Pace(params["startMs"], params["stepMs"])
        without = {params["without"]: False} if params["without"] else {}
        session.forget_answers()
        session.suggestions = Suggestions(session.jobs, Savings(**without))
        model_now = session.link.state.model
        return {"model": model_now.name if model_now else "", "now": loop.time() * 1e3}

    @session.server.feature("replay/advance")
    async def advance(params: dict[str, Any]) -> dict[str, Any]:
        until_ms = params["until"]
        now_s = await loop.advance(until_ms / 1e3)
        return {"now": until_ms if now_s >= until_ms / 1e3 else now_s * 1e3}

    @session.server.feature("replay/take")
    def take(params: Any) -> dict[str, Any]:
        jobs = [dataclasses.asdict(record) for record in opened[0].records]
        taken = {
            "traces": [*journal.records],
            "jobs": jobs,
            "speculated": dataclasses.asdict(session.suggestions.speculated),
        }
        journal.records.clear()
        opened[0].records.clear()
        return taken

    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return await serve_stdio(session.server.protocol, session.close, sys.stdin.buffer, stdout)


def run(opening: Opening) -> int:
    """Serve one client with a model that is opened when it is first needed."""
    loop = ClockedLoop()
    asyncio.set_event_loop(loop)
    return loop.run_until_complete(serve(loop, opening))


if __name__ == "__main__":
    model = os.environ.get(MODEL_VARIABLE, "bundled")
    sys.exit(run(functools.partial(open_real, model)))
