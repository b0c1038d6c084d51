"""A server that answers as vLLM's does, with a scripted engine in place of its model.

The forms are those of vLLM's `/v1/models` and `/v1/completions`: a chunk per piece of text, the
usage in a last chunk without choices, errors within the stream, `[DONE]`, and a text that ends
before the first stop string. As the real model does, it writes on through the suffix and closes
the reply.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from dg_lsp.job import Infiller, InfillJob, JobState

MODEL = "google/diffusiongemma-26B-A4B-it"
PROMPT = re.compile(
    r"<\|turn>user\n.*Its ending:\n```\w*\n(?P<suffix>.*)\n```<turn\|>\n"
    r"<\|turn>model\n```\w*\n(?P<prefix>.*)",
    re.DOTALL,
)


class VllmServer:
    """The application, and what it was asked."""

    def __init__(self, make_engine: Callable[[], Infiller], token: str = "") -> None:
        self._make_engine, self._token = make_engine, token
        self._engine: Infiller | None = None
        self.asked: list[dict[str, Any]] = []
        self.refusals: list[int] = []
        """Statuses of the next answers, instead of texts."""
        self.pause: asyncio.Event | None = None
        """Waited for between the first piece of a text and the second, if set."""
        self.open = 0
        """Requests that are being answered."""
        self.url = ""
        self.app = Starlette(
            routes=[
                Route("/v1/models", self.models),
                Route("/v1/completions", self.completions, methods=["POST"]),
            ]
        )

    async def models(self, request: Request) -> Response:
        if (refused := self._refuse(request)) is not None:
            return refused
        card = {"id": MODEL, "object": "model", "owned_by": "vllm", "max_model_len": 8192}
        return JSONResponse({"object": "list", "data": [card]})

    async def completions(self, request: Request) -> Response:
        if (refused := self._refuse(request)) is not None:
            return refused
        asked = await request.json()
        self.asked.append(asked)
        if self.refusals:
            status = self.refusals.pop(0)
            return _error(status, "not now", "ServiceUnavailableError")
        if asked["model"] != MODEL:
            return _error(404, f"The model `{asked['model']}` does not exist.", "NotFoundError")
        return StreamingResponse(self._stream(asked), media_type="text/event-stream")

    def _refuse(self, request: Request) -> Response | None:
        if self._token and request.headers.get("authorization") != f"Bearer {self._token}":
            return JSONResponse({"error": "Unauthorized"}, status_code=401)
        return None

    async def _stream(self, asked: dict[str, Any]) -> AsyncIterator[str]:
        found = PROMPT.fullmatch(asked["prompt"])
        assert found is not None, asked["prompt"]
        job = InfillJob(
            found["prefix"], found["suffix"], candidates=asked["n"], seed=asked["seed"]
        )
        if self._engine is None:
            self._engine = self._make_engine()
        handle = self._engine.submit(job)
        self.open += 1
        try:
            result = await handle.result()
            if result.state is JobState.FAILED:
                error = {"type": "InternalServerError", "param": None, "code": 500}
                error["message"] = result.infill.reason.message
                yield f"data: {json.dumps({'error': error})}\n\n"
                yield "data: [DONE]\n\n"
                return
            for index, candidate in enumerate(result.infill.candidates):
                text = f"{candidate.text}{job.suffix}```"
                if not job.suffix.endswith("\n"):
                    text = f"{candidate.text}{job.suffix}\n```"
                ends = [at for stop in asked["stop"] if (at := text.find(stop)) >= 0]
                text = text[: min(ends)] if ends else text
                half = len(text) // 2
                yield _chunk(index, text[:half], None)
                if self.pause is not None:
                    await self.pause.wait()
                yield _chunk(index, text[half:], "stop")
            usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
            yield f"data: {json.dumps({**_HEAD, 'choices': [], 'usage': usage})}\n\n"
            yield "data: [DONE]\n\n"
        finally:
            self.open -= 1
            handle.cancel()

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.close()


_HEAD = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": MODEL}


def _chunk(index: int, text: str, end: str | None) -> str:
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": end}
    return f"data: {json.dumps({**_HEAD, 'choices': [{**choice, 'stop_reason': None}]})}\n\n"


def _error(status: int, message: str, kind: str) -> Response:
    error = {"message": message, "type": kind, "param": None, "code": status}
    return JSONResponse({"error": error}, status_code=status)
