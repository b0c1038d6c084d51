"""Each client's requests, and what it reads of the answer.

The requests of llama.vscode, minuet and Continue follow their sources; those of llama.vim, Zed
and Copilot were written without looking at theirs. No client itself is run.
"""

from __future__ import annotations

import json

import httpx
import pytest

from tests.service.http.test_app import LLAMA_VIM

PREFIX, SUFFIX = "name = ", ".name\n"


@pytest.fixture
async def http(served):
    transport = httpx.AsyncHTTPTransport(uds=str(served.address.socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://e", timeout=20) as http:
        yield http


def chunks(answer: httpx.Response) -> list[dict]:
    """The data of a stream, which must end with `[DONE]`."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


async def test_llama_vim(http):
    """It keeps a line of text apart as `prompt`, and reads timings under their whole path."""
    body = {
        **LLAMA_VIM,
        "id_slot": 0,
        "input_prefix": "",
        "input_suffix": SUFFIX,
        "input_extra": [{"text": "x = 1\n", "time": 0.5, "filename": "a.py"}],
        "prompt": PREFIX,
        "response_fields": ["content", "timings/prompt_n", "timings/predicted_n", "truncated"],
    }
    answer = (await http.post("/infill", json=body)).json()
    assert answer["content"] == "self"
    assert answer["timings/predicted_n"] > 0
    assert answer["truncated"] is False
    # The ring of extra chunks is sent in advance, to warm the cache.
    warm = {**body, "n_predict": 0, "t_max_predict_ms": 1, "response_fields": [""]}
    assert (await http.post("/infill", json=warm)).json() == {}


async def test_llama_vscode(http):
    body = {
        "input_prefix": "",
        "input_suffix": SUFFIX,
        "input_extra": [],
        "prompt": PREFIX,
        "n_predict": 128,
        "top_k": 40,
        "top_p": 0.99,
        "stream": False,
        "samplers": ["top_k", "top_p", "infill"],
        "cache_prompt": True,
        "n_indent": 4,
        "t_max_prompt_ms": 500,
        "t_max_predict_ms": 2500,
    }
    answer = (await http.post("/infill", json=body)).json()
    assert answer["content"] == "self"
    assert isinstance(answer["generation_settings"], dict)
    assert {"prompt_n", "prompt_ms", "predicted_n", "predicted_per_second"} <= {
        *answer["timings"]
    }
    models = (await http.get("/v1/models")).json()
    assert [one["id"] for one in models["data"]] == ["scripted"]
    # Its chat is another server's, and this one says so.
    refused = await http.post("/v1/chat/completions", json={"messages": []})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "no-endpoint")
    assert "/v1/completions" in refused.json()["error"]["message"]


async def test_zed(http):
    """It has one prompt, with both sides marked, and stops at the marks."""
    body = {
        "model": "dg-lsp",
        "prompt": f"<|fim_prefix|>{PREFIX}<|fim_suffix|>{SUFFIX}<|fim_middle|>",
        "max_tokens": 128,
        "temperature": 0.0,
        "stop": ["<|endoftext|>", "<|fim_pad|>"],
        "stream": False,
    }
    answer = (await http.post("/v1/completions?finish=true", json=body)).json()
    [choice] = answer["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("self", "stop")
    assert answer["object"] == "text_completion"


@pytest.mark.parametrize("stream", [True, False])
async def test_minuet(http, stream):
    """Several requests at once, each with its own answer; it is Lua, so a missing suffix is
    left out."""
    headers = {"authorization": "Bearer any", "accept": "application/json"}
    body = {
        "model": "PLACEHOLDER",
        "stream": stream,
        "max_tokens": 56,
        "top_p": 0.9,
        "prompt": PREFIX,
        "suffix": SUFFIX,
    }
    answer = await http.post("/v1/completions", json=body, headers=headers)
    if stream:
        found = "".join(one["choices"][0]["text"] for one in chunks(answer))
    else:
        found = answer.json()["choices"][0]["text"]
    assert found == "self"
    del body["suffix"]
    assert (await http.post("/v1/completions", json=body)).status_code == 200


async def test_continue(http):
    """The completions endpoint of its OpenAI provider."""
    body = {
        "model": "dg-lsp",
        "prompt": f"<|fim_prefix|>{PREFIX}<|fim_suffix|>{SUFFIX}<|fim_middle|>",
        "max_tokens": 1024,
        "temperature": 0.01,
        "stop": ["<|endoftext|>", "<|fim_prefix|>", "\n\n", "/src/"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    *texts, usage = chunks(await http.post("/v1/completions", json=body))
    assert "".join(one["choices"][0]["text"] for one in texts) == "self"
    assert usage["choices"] == []
    assert usage["usage"]["prompt_tokens"] > 0


@pytest.mark.parametrize("stream", [True, False])
async def test_clients_of_mistral(http, stream):
    """minuet's Codestral provider and Continue's Mistral provider: a FIM request, and the
    answer as that of a chat."""
    body = {
        "model": "codestral-latest",
        "prompt": PREFIX,
        "suffix": SUFFIX,
        "stop": "\n\n",
        "max_tokens": 128,
        "random_seed": 7,
        "stream": stream,
    }
    answer = await http.post("/v1/fim/completions", json=body)
    if stream:
        *_, text, end = chunks(answer)
        assert text["choices"][0]["delta"] == {"role": "assistant", "content": "self"}
        assert end["choices"][0]["finish_reason"] == "stop"
        usage = end["usage"]
    else:
        [choice] = answer.json()["choices"]
        assert choice["message"] == {"role": "assistant", "content": "self"}
        assert choice["finish_reason"] == "stop"
        usage = answer.json()["usage"]
    assert usage["prompt_tokens"] > 0
    wrong = await http.post("/v1/fim/completions", json={**body, "random_seed": "x"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "invalid-request")
    assert "random_seed" in wrong.json()["error"]["message"]


async def test_a_custom_endpoint_of_copilot(http):
    """It lists the models and then chats, which this engine does not."""
    models = (await http.get("/v1/models")).json()
    assert models["object"] == "list"
    for path in ("/v1/chat/completions", "/v1/responses"):
        refused = await http.post(path, json={"model": "dg-lsp", "messages": [], "tools": []})
        assert refused.status_code == 404
        assert "does not chat" in refused.json()["error"]["message"]


async def test_what_monitors_of_llama_read(http):
    loading = await http.get("/props")
    assert loading.status_code == 503
    assert int(loading.headers["retry-after"]) > 0
    await http.post("/infill", json={"input_prefix": PREFIX, "input_suffix": SUFFIX})
    props = (await http.get("/props")).json()
    assert props["default_generation_settings"]["n_ctx"] == 272
    assert (props["total_slots"], props["model_path"]) == (1, "scripted")
    [slot] = (await http.get("/slots")).json()
    assert (slot["id"], slot["n_ctx"], slot["is_processing"]) == (0, 272, False)
    assert (await http.get("/v1/health")).json()["status"] == "ok"


@pytest.mark.parametrize(("max_tokens", "reason"), [(128, "stop"), (1, "length")])
async def test_why_a_text_ends(http, tiny_codec, max_tokens, reason):
    """A text that takes all the tokens it may have is cut off as far as anybody knows."""
    body = {"prompt": PREFIX, "suffix": SUFFIX, "max_tokens": max_tokens}
    answer = (await http.post("/v1/completions", json=body)).json()
    [choice] = answer["choices"]
    assert (len(tiny_codec.encode(choice["text"])) >= max_tokens) is (reason == "length")
    assert choice["finish_reason"] == reason
    ends = chunks(await http.post("/v1/completions", json={**body, "stream": True}))
    assert [one["choices"][0]["finish_reason"] for one in ends] == [None, reason]
    # A stop is no limit, even where both apply.
    stopped = (await http.post("/v1/completions", json={**body, "stop": ["l", "e"]})).json()
    assert stopped["choices"][0]["finish_reason"] == "stop"
    llama = {"input_prefix": PREFIX, "input_suffix": SUFFIX, "n_predict": max_tokens}
    answer = (await http.post("/infill", json=llama)).json()
    assert answer["stop_type"] == {"stop": "eos", "length": "limit"}[reason]


async def test_usage_counts_what_was_read_before(http):
    body = {"prompt": PREFIX, "suffix": SUFFIX}
    usage = (await http.post("/v1/completions", json=body)).json()["usage"]

    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 <= usage["prompt_tokens_details"]["cached_tokens"] <= usage["prompt_tokens"]


async def test_several_texts_and_seeds(http):
    body = {"prompt": PREFIX, "suffix": SUFFIX, "n": 3}
    first = (await http.post("/v1/completions", json={**body, "seed": 7})).json()
    again = (await http.post("/v1/completions", json={**body, "seed": 7})).json()
    texts = [one["text"] for one in first["choices"]]

    assert texts[0] == "self"
    assert len(texts) == len({*texts}) <= 3
    assert [one["index"] for one in first["choices"]] == [*range(len(texts))]
    assert again["choices"] == first["choices"]


@pytest.mark.parametrize(
    ("field", "value"), [("echo", True), ("logprobs", 5), ("logprobs", True), ("n", 100)]
)
async def test_what_would_be_misunderstood_is_refused(http, field, value):
    body = {"prompt": PREFIX, "suffix": SUFFIX, field: value}
    answer = await http.post("/v1/completions", json=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid-request")
    assert field in answer.json()["error"]["message"]


@pytest.mark.parametrize(("field", "value"), [("echo", False), ("logprobs", None)])
async def test_what_asks_for_nothing_is_not(http, field, value):
    body = {"prompt": PREFIX, "suffix": SUFFIX, field: value}

    assert (await http.post("/v1/completions", json=body)).status_code == 200
