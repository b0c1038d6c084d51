"""The endpoints over a real socket: ours, llama.cpp's, OpenAI's, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from dataclasses import replace

import httpx
import pytest

from dg_lsp.job import ModelInfo
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.reason import ReasonCode
from dg_lsp.service.access.tokens import SingleToken
from dg_lsp.service.address import Address
from dg_lsp.service.client.infiller import HttpInfiller
from dg_lsp.service.http import server
from dg_lsp.service.http.compatibility import read_completion
from dg_lsp.service.http.request import Access
from dg_lsp.service.process.host import ModelState
from dg_lsp.service.schema import decode_job
from tests.service.test_schema import is_named

JOB = {"prefix": "name = ", "suffix": ".name\n", "document": "a.py"}
LLAMA = {"input_prefix": "na", "prompt": "me = ", "input_suffix": ".name\n"}
OPENAI = {"prompt": "name = ", "suffix": ".name\n"}

LLAMA_VIM = {
    **LLAMA,
    "input_extra": [{"text": "x = 1", "time": [1, 2], "filename": "x.py"}],
    "n_predict": 128,
    "stop": [],
    "n_indent": 0,
    "top_k": 40,
    "top_p": 0.9,
    "stream": False,
    "samplers": ["top_k", "top_p", "infill"],
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 5000,
    "response_fields": [
        "content",
        "timings/prompt_n",
        "timings/prompt_ms",
        "timings/prompt_per_second",
        "timings/predicted_n",
        "timings/predicted_ms",
        "timings/predicted_per_second",
        "truncated",
        "tokens_cached",
        "absent/field",
    ],
}


@pytest.fixture
async def http(served):
    transport = httpx.AsyncHTTPTransport(uds=str(served.address.socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://e", timeout=20) as http:
        yield http


def events_of(body: str) -> list[tuple[str, object]]:
    found = []
    for block in body.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        data = lines["data"]
        found.append((lines.get("event", ""), data if data == "[DONE]" else json.loads(data)))
    return found


def message(answer: httpx.Response) -> str:
    return answer.json()["error"]["message"]


def code(answer: httpx.Response) -> str:
    return answer.json()["error"]["code"]


async def test_drafts_in_order_and_then_the_infill(http):
    answer = await http.post("/v1/infill", json=JOB)

    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    names, data = zip(*events_of(answer.text), strict=True)
    assert names == ("draft",) * (len(names) - 1) + ("infill",)
    steps = [draft["step"] for draft in data[:-1]]
    assert steps
    assert steps == sorted(set(steps))
    assert data[-1]["state"] == "done"
    assert [one["text"] for one in data[-1]["infill"]["candidates"]] == ["self"]


async def test_a_failing_job_ends_with_the_reason(http, denoiser):
    denoiser.error = RuntimeError("out of memory")
    [(name, data)] = events_of((await http.post("/v1/infill", json=JOB)).text)

    assert (name, data["state"]) == ("infill", "failed")
    assert data["infill"]["reason"]["code"] == "job-failed"


async def test_a_clients_turn_comes_however_much_another_wants(served, denoiser):
    denoiser.gate.clear()
    greedy, modest = HttpInfiller(served.address), HttpInfiller(served.address)
    many = [greedy.submit(decode_job({**JOB, "document": f"{n}.py"})) for n in range(3)]
    assert await asyncio.to_thread(denoiser.entered.wait, 10)
    one = modest.submit(decode_job(JOB))
    denoiser.gate.set()
    async with asyncio.timeout(10):
        assert (await one.result()).infill.candidates
        assert all([(await handle.result()).infill.candidates for handle in many])
    await greedy.close()
    await modest.close()


async def test_an_unexpected_error_is_one_line(http, host, monkeypatch):
    def broken() -> int:
        raise KeyError("secret")

    monkeypatch.setattr(host, "count_jobs", broken)
    answer = await http.get("/v1/status")

    assert (answer.status_code, code(answer)) == (500, "defect")


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/infill", JOB), ("/infill", LLAMA), ("/v1/completions", OPENAI)]
)
async def test_a_client_that_leaves_cancels_its_job(http, host, denoiser, path, body, until):
    denoiser.gate.clear()
    asking = asyncio.create_task(http.post(path, json=body))
    assert await asyncio.to_thread(denoiser.entered.wait, 10)
    assert host.count_jobs() == (0, 1)
    asking.cancel()
    await until(lambda: host.count_jobs() == (0, 0))
    denoiser.gate.set()

    assert (await http.post("/infill", json=LLAMA)).json()["content"] == "self"


async def test_a_stream_says_that_the_engine_lives(http, denoiser, monkeypatch):
    monkeypatch.setattr("dg_lsp.service.http.stream.ALIVE_S", 0.01)
    denoiser.gate.clear()
    async with http.stream("POST", "/v1/infill", json=JOB) as answer:
        pieces = answer.aiter_text()
        assert ": alive" in await anext(pieces)
        denoiser.gate.set()
        rest = "".join([piece async for piece in pieces])

    assert "event: infill" in rest


@pytest.mark.parametrize(
    ("body", "expect"),
    [
        (b"", "JSON"),
        (b"[]", "JSON"),
        (b'{"prefix": ""}', "suffix"),
        (b'{"prefix": "", "suffix": "", "colour": 1}', "colour"),
    ],
)
async def test_a_malformed_job_is_refused_in_one_line(http, body, expect):
    answer = await http.post("/v1/infill", content=body)

    assert (answer.status_code, code(answer)) == (400, "invalid-request")
    assert expect in message(answer)


HALF = r"x = '\ud83d"
"""Half of an emoji, as an editor sends it that cuts between UTF-16 units (K4)."""


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/infill", {"input_prefix": HALF, "input_suffix": ""}, "input_prefix"),
        ("/infill", {"input_prefix": "", "input_suffix": HALF}, "input_suffix"),
        ("/infill", {**LLAMA, "prompt": HALF}, "prompt"),
        (
            "/infill",
            {**LLAMA, "input_extra": [{"text": "a"}, {"text": HALF}]},
            "input_extra[1].text",
        ),
        ("/infill", {**LLAMA, "stop": [HALF]}, "stop[0]"),
        ("/v1/completions", {"prompt": HALF}, "prompt"),
        ("/v1/completions", {"prompt": "a", "suffix": r"\udc00"}, "suffix"),
        ("/v1/infill", {**JOB, "prefix": HALF}, "prefix"),
        ("/v1/infill", {**JOB, "path": r"\ud83d\ud83d\ude42"}, "path"),
        ("/v1/infill", {**JOB, HALF: 1}, "name"),
        (
            "/v1/infill",
            {**JOB, "snippets": [{"path": "a", "text": HALF}]},
            "snippets[0].text",
        ),
        ("/v1/infill", {**JOB, "replaced": HALF, "instruction": "a"}, "replaced"),
        ("/v1/infill", {**JOB, "replaced": "", "instruction": HALF}, "instruction"),
    ],
)
async def test_half_of_a_character_is_refused_with_the_field(http, path, body, field):
    content = json.dumps(body).replace("\\\\u", "\\u")
    answer = await http.post(path, content=content)

    assert (answer.status_code, code(answer)) == (400, "invalid-request")
    assert is_named(field, message(answer))
    assert is_named("character", message(answer))


async def test_a_whole_character_may_come_as_two_escapes(http):
    body = json.dumps({**JOB, "prefix": "# 🙂\nname = "})
    assert "\\ud83d" in body

    assert (await http.post("/v1/infill", content=body)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/infill", "/infill", "/v1/completions"])
@pytest.mark.parametrize(
    "text",
    [
        '{"prefix": NaN}',
        '{"prefix": -Infinity}',
        '{"seed": 1' + "0" * 5000 + "}",
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"a": ' + "[" * 900 + r'"\ud83d"' + "]" * 900 + "}",
        '{"prefix": "a", "prefix": "b"}',
        '{"x": {"a": 1, "a": 2}}',
        b'{"prefix": "\xed\xa0\xbd"}',
        b'{"prefix": "\xff"}',
        '{"prefix": "a"}'.encode("utf-16"),
    ],
)
async def test_what_is_not_json_is_refused(http, path, text):
    answer = await http.post(path, content=text)

    assert answer.status_code == 400
    assert len(message(answer)) < 300


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/infill", {**JOB, "seed": 10**400}, "seed"),
        ("/v1/infill", {**JOB, "strength": 10**400}, "strength"),
        ("/v1/infill", {**JOB, "deadline_s": 10**400}, "deadline_s"),
        ("/v1/infill", {**JOB, "snippets": {}}, "snippets"),
        ("/v1/infill", {**JOB, "prefix": None}, "prefix"),
        ("/v1/infill", {**JOB, "path": "p" * 5000}, "path"),
        ("/v1/infill", {**JOB, "replaced": "", "instruction": "i" * 20_000}, "instruction"),
        ("/v1/infill", {**JOB, "replaced": "r" * 300_000}, "replaced"),
        ("/infill", {**LLAMA, "t_max_predict_ms": 10**400}, "t_max_predict_ms"),
        ("/infill", {**LLAMA, "t_max_predict_ms": "soon"}, "t_max_predict_ms"),
        ("/infill", {**LLAMA, "n_predict": 10**400}, "n_predict"),
        ("/infill", {**LLAMA, "stream": 1}, "stream"),
        (
            "/infill",
            {**LLAMA, "input_extra": [{"text": "", "filename": "a"}] * 300},
            "input_extra",
        ),
        ("/v1/completions", {**OPENAI, "n": 1.5}, "n"),
        ("/v1/completions", {**OPENAI, "seed": 10**400}, "seed"),
        ("/v1/completions", {**OPENAI, "stop": 4}, "stop"),
    ],
)
async def test_a_wrong_value_is_refused_with_its_field(http, path, body, field):
    answer = await http.post(path, content=json.dumps(body))

    assert (answer.status_code, code(answer)) == (400, "invalid-request")
    assert is_named(field, message(answer))


def test_a_prompt_full_of_marks_is_read_at_once():
    inner = "a" + "<|fim_suffix|>" * 100_000
    unmarked = read_completion({"prompt": f"<|fim_prefix|>{inner}"}).job
    marked = read_completion({"prompt": f"<|fim_prefix|>{inner}<|fim_middle|>"}).job

    assert (unmarked.prefix, unmarked.suffix) == (f"<|fim_prefix|>{inner}", "")
    assert (marked.prefix, len(marked.suffix)) == ("a", 99_999 * len("<|fim_suffix|>"))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/infill", {"input_prefix": "{}name = ", "input_suffix": ".name\n"}),
        ("/infill", {"input_prefix": "name = ", "input_suffix": "{}"}),
        ("/infill", {**LLAMA, "input_extra": [{"text": "{}", "filename": "a.py"}]}),
        ("/v1/completions", {"prompt": "{}name = ", "suffix": ".name\n"}),
        ("/v1/infill", {**JOB, "prefix": "{}name = "}),
        ("/v1/infill", {**JOB, "suffix": "{}"}),
    ],
)
async def test_megabytes_are_cut_before_they_are_tokenized(
    http, path, body, tiny_codec, monkeypatch
):
    await http.post("/v1/infill", json=JOB)
    handed, encode = [], tiny_codec.encode
    monkeypatch.setattr(
        tiny_codec, "encode", lambda text: handed.append(len(text)) or encode(text)
    )
    text = "name = self\n" * 250_000
    # The scripted model knows no such document, which does not matter here.
    await http.post(path, content=json.dumps(body).replace("{}", json.dumps(text)[1:-1]))

    # The window of 3072 and 1024 tokens, the suffix twice, and what is small.
    assert 0 < sum(handed) < 16 * (3072 + 2 * 1041 + 2048) + 10_000


async def test_a_body_that_is_too_large_is_refused(http, monkeypatch):
    monkeypatch.setattr("dg_lsp.service.http.request.MAX_BODY_BYTES", 1000)

    async def endless():
        for _ in range(20):
            yield b"x" * 100

    for content in (b"x" * 1001, endless()):
        answer = await http.post("/v1/infill", content=content)
        assert (answer.status_code, code(answer)) == (413, "too-large")
        assert "1000" in message(answer)
    assert (await http.post("/v1/infill", json=JOB)).status_code == 200


async def test_unknown_places_are_refused_in_json(http):
    absent, wrong = await http.get("/absent"), await http.get("/v1/infill")

    assert (absent.status_code, code(absent)) == (404, "no-endpoint")
    assert "/absent" in message(absent)
    assert (wrong.status_code, code(wrong)) == (405, "no-endpoint")


async def test_llama_vim_gets_what_it_asks_for(http):
    answer = (await http.post("/infill", json=LLAMA_VIM)).json()

    assert answer["content"] == "self"
    assert list(answer) == LLAMA_VIM["response_fields"][:-1]
    assert answer["timings/prompt_n"] > 0
    assert answer["timings/predicted_n"] > 0
    assert answer["timings/predicted_ms"] > 0
    assert (answer["truncated"], answer["tokens_cached"]) == (False, 0)


async def test_llama_vscode_gets_a_whole_answer(http):
    answer = (await http.post("/infill", json={**LLAMA, "n_predict": 64})).json()

    assert (answer["content"], answer["stop"], answer["model"]) == ("self", True, "scripted")
    assert answer["timings"]["prompt_ms"] >= 0
    assert isinstance(answer["generation_settings"], dict)


async def test_warming_the_cache_of_llama_asks_no_model(http, denoiser):
    body = {**LLAMA, "n_predict": 0, "samplers": [], "t_max_predict_ms": 1}
    answer = (await http.post("/infill", json=body)).json()
    nothing = (await http.post("/infill", json={**body, "response_fields": [""]})).json()

    assert (answer["content"], nothing) == ("", {})
    assert denoiser.canvases == []


async def test_llama_streams_one_piece_and_an_end(http):
    answer = await http.post("/infill", json={**LLAMA, "stream": True})
    (_, text), (_, end) = events_of(answer.text)

    assert (text["content"], text["stop"]) == ("self", False)
    assert (end["content"], end["stop"], end["stop_type"]) == ("", True, "eos")


@pytest.mark.parametrize(("path", "body"), [("/infill", LLAMA), ("/v1/completions", OPENAI)])
@pytest.mark.parametrize("stream", [False, True])
async def test_text_is_finished_on_request(http, monkeypatch, path, body, stream):
    def cut(infill, job, finishing):
        texts = [replace(one, text=one.text[:2]) for one in infill.candidates]
        return replace(infill, candidates=tuple(texts)) if finishing else infill

    monkeypatch.setattr("dg_lsp.service.http.filling.finished", cut)
    body = {**body, "stream": stream}
    assert '"self"' in (await http.post(path, json=body)).text
    assert '"se"' in (await http.post(path, json={**body, "finish": True})).text
    assert '"se"' in (await http.post(f"{path}?finish=true", json=body)).text
    refused = await http.post(f"{path}?finish=perhaps", json=body)
    assert refused.status_code == 400
    assert "perhaps" in message(refused)


async def test_text_is_cut_at_a_stop(http):
    body = {**LLAMA, "stop": ["f", "l"]}
    answer = (await http.post("/infill", json=body)).json()

    assert (answer["content"], answer["stop_type"], answer["stopping_word"]) == (
        "se",
        "word",
        "l",
    )


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"input_prefix": None}, ["input_prefix", "missing"]),
        ({"n_predict": "many"}, ["n_predict", '"many"', "whole number"]),
        ({"input_extra": [1]}, ["input_extra[0]", "1", "object"]),
        ({"input_extra": [{"text": 1}]}, ["input_extra[0].text", "1", "text"]),
        ({"stop": [1]}, ["stop[0]", "1", "text"]),
        ({"stream": "yes"}, ["stream", '"yes"', "true", "false"]),
        ({"seed": 1.5}, ["seed", "1.5", "whole number"]),
    ],
)
async def test_wrong_fields_of_llama_are_named(http, change, names):
    answer = await http.post("/infill", json={**LLAMA, **change})

    assert (answer.status_code, code(answer)) == (400, "invalid-request")
    assert [name for name in names if not is_named(name, message(answer))] == []


async def test_extra_input_of_llama_may_be_an_empty_object(http):
    answer = await http.post("/infill", json={**LLAMA, "input_extra": {}})

    assert answer.status_code == 200


async def test_a_failing_job_is_an_error_in_other_forms(http, denoiser):
    denoiser.error = RuntimeError("out of\nmemory")
    for path, body in (("/infill", LLAMA), ("/v1/completions", OPENAI)):
        answer = await http.post(path, json=body)
        assert (answer.status_code, code(answer)) == (500, "job-failed")
        assert "\n" not in message(answer)


async def test_openai_completions(http):
    body = {**OPENAI, "n": 2, "max_tokens": 8, "seed": 3, "temperature": 0.2, "model": "any"}
    answer = (await http.post("/v1/completions", json=body)).json()

    assert answer["object"] == "text_completion"
    assert answer["id"].startswith("cmpl-")
    assert answer["choices"][0] == {
        "text": "self",
        "index": 0,
        "logprobs": None,
        "finish_reason": "stop",
    }
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0


async def test_openai_completions_with_both_sides_marked_in_the_prompt(http):
    """As Zed asks."""
    prompt = "<|fim_prefix|>name = <|fim_suffix|>.name\n<|fim_middle|>"
    marked = (await http.post("/v1/completions", json={"prompt": prompt})).json()
    plain = (await http.post("/v1/completions", json=OPENAI)).json()

    assert marked["choices"] == plain["choices"]
    assert marked["usage"] == plain["usage"]


async def test_openai_stream(http):
    body = {**OPENAI, "stream": True, "stream_options": {"include_usage": True}, "stop": "f"}
    answer = await http.post("/v1/completions", json=body)
    chunks = [data for _, data in events_of(answer.text)]

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert chunks.pop() == "[DONE]"
    assert chunks.pop()["usage"]["total_tokens"] > 0
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [(one["text"], one["finish_reason"]) for one in choices] == [
        ("sel", None),
        ("", "stop"),
    ]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"prompt": [1, 2]}, ["prompt", "one text"]),
        ({"n": 0}, ["n", "0", "1", "32"]),
        ({"max_tokens": 0}, ["max_tokens", "0", "1", "16384"]),
        ({"suffix": 1}, ["suffix", "1", "text"]),
    ],
)
async def test_wrong_fields_of_openai_are_named(http, change, names):
    answer = await http.post("/v1/completions", json={**OPENAI, **change})

    assert (answer.status_code, code(answer)) == (400, "invalid-request")
    assert [name for name in names if not is_named(name, message(answer))] == []


async def test_health_follows_the_model(http, host, loader, monkeypatch):
    gate, plain_open = threading.Event(), loader.open

    def slow_open(self):
        assert gate.wait(10)
        return plain_open()

    assert (await http.get("/health")).json() == {"status": "ok", "state": "unloaded"}
    monkeypatch.setattr(type(loader), "open", slow_open)
    assert (await http.post("/v1/load", json={})).json() == {"state": "loading"}
    loading = await http.get("/health")
    assert (loading.status_code, loading.json()["state"]) == (503, "loading")
    assert code(loading) == "loading"
    loader.error = CheckpointError("no such model", ReasonCode.NO_MODEL)
    gate.set()
    await http.post("/v1/infill", json=JOB)
    failed = await http.get("/health")
    assert (failed.status_code, failed.json()["state"]) == (503, "failed")
    assert (code(failed), message(failed)) == ("no-model", "no such model")
    loader.error = None
    host.start_loading()
    await http.post("/v1/infill", json=JOB)
    ready = await http.get("/health")
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "state": "ready"})


async def test_status_and_unloading(client, host, http):
    await http.post("/v1/infill", json=JOB)
    status = await client.status()

    assert (status.state, status.model) == ("ready", ModelInfo("scripted", "cpu", 200, 72))
    assert (status.jobs_waiting, status.jobs_running) == (0, 0)
    assert (await http.get("/v1/models")).json()["data"][0]["id"] == "scripted"
    await client.unload()
    assert host.state is ModelState.UNLOADED
    assert (await client.status()).model is None
    assert (await http.get("/v1/models")).json()["data"] == []
    await client.load()
    assert host.state in (ModelState.LOADING, ModelState.READY)


async def test_metrics_in_prometheus_form(http, denoiser):
    await http.post("/v1/infill", json=JOB)
    await http.post("/v1/infill", json={**JOB, "is_speculative": True})
    denoiser.error = RuntimeError("broken")
    await http.post("/v1/infill", json=JOB)
    answer = await http.get("/metrics")
    lines = answer.text.splitlines()

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'dg_lsp_jobs_total{state="done"} 1' in lines
    assert 'dg_lsp_jobs_total{state="failed"} 1' in lines
    assert 'dg_lsp_speculative_jobs_total{state="done"} 1' in lines
    assert 'dg_lsp_stage_seconds_count{stage="total"} 1' in lines
    assert 'dg_lsp_stage_seconds_bucket{stage="total",le="+Inf"} 1' in lines
    assert "dg_lsp_model_loaded 1" in lines
    assert 'dg_lsp_jobs_in_flight{state="running"} 0' in lines
    types = [line for line in lines if line.startswith("# TYPE")]
    assert len(types) == len(set(types))


async def test_shutdown_is_answered_before_it_happens(http, served):
    assert (await http.post("/v1/shutdown")).json() == {"stopping": True}
    async with asyncio.timeout(2):
        await served.stopped.wait()


async def test_clients_do_not_supersede_one_another(served, denoiser):
    denoiser.gate.clear()
    clients = [HttpInfiller(served.address) for _ in range(2)]
    job = decode_job(JOB)
    handles = [client.submit(job) for client in clients]
    assert await asyncio.to_thread(denoiser.entered.wait, 10)
    denoiser.gate.set()

    for handle in handles:
        assert [one.text for one in (await handle.result()).infill.candidates] == ["self"]
    for client in clients:
        await client.close()


async def test_a_job_that_arrives_after_a_newer_one_is_superseded(http):
    for sequence, expect in (("7", "done"), ("6", "superseded"), ("8", "done"), ("x", "done")):
        headers = {"dg-lsp-client": "me", "dg-lsp-sequence": sequence}
        answer = await http.post("/v1/infill", json=JOB, headers=headers)
        assert events_of(answer.text)[-1][1]["state"] == expect


TOKEN = "a-token-of-the-right-length"


@pytest.mark.parametrize(
    ("access", "headers", "expect"),
    [
        (Access(SingleToken(TOKEN)), {}, 401),
        (Access(SingleToken(TOKEN)), {"authorization": f"Bearer {TOKEN}x"}, 401),
        (Access(SingleToken(TOKEN)), {"authorization": f"Basic {TOKEN}"}, 401),
        (Access(SingleToken(TOKEN)), {"authorization": b"Bearer \xff"}, 401),
        (Access(SingleToken(TOKEN)), {"authorization": f"Bearer {TOKEN}"}, 200),
        (Access(loopback_only=True), {}, 200),
        (Access(loopback_only=True), {"origin": "http://evil.example"}, 403),
        (Access(loopback_only=True), {"host": "evil.example"}, 403),
        (Access(loopback_only=True), {"host": "[::1"}, 403),
        (Access(loopback_only=True), {"host": "[::1]:80"}, 200),
        (Access(loopback_only=True), {"host": "localhost:1"}, 200),
    ],
)
async def test_access_over_tcp(host, serve_host, access, headers, expect):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with serve_host(host, listener, Address(url), access):
            async with httpx.AsyncClient(base_url=url) as http:
                for path in ("/health", "/metrics"):
                    answer = await http.get(path, headers=headers)
                    assert answer.status_code == expect
            if access.tokens:
                client = HttpInfiller(Address(url, None, TOKEN))
                assert (await client.status()).state == "unloaded"
                await client.close()
                client = HttpInfiller(Address(url, None, "wrong-token-for-it"))
                handle = client.submit(decode_job(JOB))
                infill = (await handle.result()).infill
                assert infill.reason.code is ReasonCode.TOKEN_REFUSED
                await client.close()


async def test_who_connects_and_asks_for_nothing_is_left(served, monkeypatch):
    monkeypatch.setattr(server, "HEAD_S", 0.3)
    client = HttpInfiller(served.address)
    handle = client.submit(decode_job(JOB))
    head = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n"
    pipes = [await asyncio.open_unix_connection(served.address.socket) for _ in range(3)]
    for (_, writer), sent in zip(pipes, (b"", head, head + b"\r\n"), strict=True):
        writer.write(sent)
    for reader, writer in pipes[:2]:
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()

    # A connection that has had an answer may ask again.
    reader, writer = pipes[2]
    assert (await reader.readuntil(b"\r\n")).endswith(b" 200 OK\r\n")
    writer.write(head + b"\r\n")
    assert b"HTTP/1.1 200 OK" in await reader.readuntil(b"HTTP/1.1 200 OK")
    writer.close()
    assert (await handle.result()).infill.candidates
    await client.close()
