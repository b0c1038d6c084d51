"""What each kind of server is asked, and how its answer is read."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from dg_lsp.job import InfillJob, JobState, Snippet
from dg_lsp.service.address import Address
from dg_lsp.service.backend.forms import Kind, split_kind
from dg_lsp.service.backend.infiller import BackendInfiller

JOB = InfillJob("x = ", "\n", snippets=(Snippet("b.py", "y = 2"),), max_tokens=9, seed=3)
TOKEN = "a-token-for-it"


def sse(*chunks: object) -> str:
    return "".join(f"data: {json.dumps(one)}\r\n\r\n" for one in chunks) + "data: [DONE]\n\n"


def choice(text: str, end: str | None = None) -> dict:
    return {"index": 0, "text": text, "finish_reason": end}


def delta(text: str, end: str | None = None) -> dict:
    return {"index": 0, "delta": {"content": text}, "finish_reason": end}


OPENAI = sse(
    {"choices": [choice("a")]},
    {"choices": [choice("b", "stop")]},
    {"choices": [], "usage": {"prompt_tokens": 4}},
)
FIM = sse(
    {"choices": [delta("a")]}, {"choices": [delta("b", "stop")], "usage": {"prompt_tokens": 4}}
)
LLAMA = sse(
    {"index": 0, "content": "a", "stop": False},
    {"content": "b", "stop": False},
    {"content": "", "stop": True, "stop_type": "eos", "tokens_evaluated": 4},
)
OLLAMA = "".join(
    json.dumps(one) + "\n"
    for one in (
        {"model": "m", "response": "a", "done": False},
        {"model": "m", "response": "b", "done": False},
        {
            "model": "m",
            "response": "",
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 4,
        },
    )
)
V1 = {"object": "list", "data": [{"id": "m", "object": "model"}]}
SERVERS = {
    Kind.OPENAI: (
        "/v1/completions",
        "/v1/models",
        V1,
        OPENAI,
        {"prompt": "x = ", "suffix": "\n"},
    ),
    Kind.LLAMA: (
        "/infill",
        "/v1/models",
        V1,
        LLAMA,
        {
            "input_prefix": "x = ",
            "input_suffix": "\n",
            "input_extra": [{"filename": "b.py", "text": "y = 2"}],
            "n_predict": 9,
        },
    ),
    Kind.OLLAMA: (
        "/api/generate",
        "/api/tags",
        {"models": [{"name": "m", "model": "m"}]},
        OLLAMA,
        {"model": "m", "prompt": "x = ", "suffix": "\n"},
    ),
    Kind.MISTRAL: (
        "/v1/fim/completions",
        "/v1/models",
        V1,
        FIM,
        {"model": "m", "prompt": "x = ", "suffix": "\n", "max_tokens": 9},
    ),
    Kind.MERCURY: (
        "/v1/fim/completions",
        "/v1/models",
        V1,
        FIM,
        {"model": "m", "prompt": "x = ", "suffix": "\n", "max_tokens": 9},
    ),
}


@pytest.mark.parametrize("kind", SERVERS)
async def test_each_kind_fills_a_span(serve_app, kind):
    path, models_path, models, answer, expect = SERVERS[kind]
    asked = []

    async def list_models(request: Request) -> JSONResponse:
        return JSONResponse(models)

    async def fill(request: Request) -> StreamingResponse:
        asked.append((await request.json(), request.headers["authorization"]))

        async def stream():
            # Cut anywhere.
            for at in range(0, len(answer), 7):
                yield answer[at : at + 7]
                await asyncio.sleep(0)

        return StreamingResponse(stream())

    app = Starlette(
        routes=[Route(models_path, list_models), Route(path, fill, methods=["POST"])]
    )
    async with serve_app(app) as url:
        infiller = BackendInfiller(kind, Address(url, None, TOKEN))
        status = await infiller.wait_ready()
        assert (status.state, status.model.name) == ("ready", "m")
        handle = infiller.submit(JOB)
        drafts = [draft.text async for draft in handle.drafts()]
        result = await handle.result()
        await infiller.close()

    assert result.state is JobState.DONE
    assert [one.text for one in result.infill.candidates] == ["ab"]
    assert result.infill.prompt_tokens == 4
    assert drafts[-1] == "ab"
    [(said, authorization)] = asked
    assert authorization == f"Bearer {TOKEN}"
    assert {name: said.get(name) for name in expect} == expect
    assert said["stream"] is True


@pytest.mark.parametrize(
    ("address", "expect"),
    [
        ("vllm+https://gpu:8000", (Kind.VLLM, "https://gpu:8000")),
        ("ollama+http://127.0.0.1:11434/x", (Kind.OLLAMA, "http://127.0.0.1:11434/x")),
        ("https://gpu:8000", (None, "https://gpu:8000")),
        ("gpu:8000", (None, "gpu:8000")),
        ("vllm+gpu:8000", (None, "vllm+gpu:8000")),
        ("other+https://gpu", (None, "other+https://gpu")),
    ],
)
def test_the_kind_is_before_the_scheme(address, expect):
    assert split_kind(address) == expect
