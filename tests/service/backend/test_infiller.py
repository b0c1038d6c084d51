"""A vLLM server as the backend: what is said about it, and what becomes of its failures."""

from __future__ import annotations

import asyncio
import socket

import pytest

from dg_lsp.job import InfillJob, JobState, PinnedText
from dg_lsp.reason import ReasonCode
from dg_lsp.service.address import Address
from dg_lsp.service.backend import infiller as module
from dg_lsp.service.backend.forms import Kind
from dg_lsp.service.backend.infiller import BackendInfiller
from dg_lsp.service.client.refusals import EngineError
from tests.service.backend.vllm_server import MODEL

AREA = InfillJob("def area(self, radius):\n    return ", " ** 2\n", path="a.py")
BODY = "    total = 0\n    return total\n"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(module, "RETRIES_S", (0.0, 0.01))


@pytest.fixture
async def infiller(backend):
    made = backend()
    async with asyncio.timeout(60):
        yield made
    await made.close()


async def test_the_status_says_where_text_goes(infiller):
    status = await infiller.wait_ready()

    assert status.state == "ready"
    assert status.model.name == MODEL
    assert status.model.follows_instructions
    [note] = status.model.notes
    assert note.code is ReasonCode.OTHER_SERVER
    assert "127.0.0.1" in note.message


async def test_what_is_asked_of_the_server(infiller, vllm):
    await infiller.submit(AREA).result()
    [asked] = vllm.asked

    assert asked["model"] == MODEL
    assert asked["stream"] is True
    assert asked["stop"] == ["\n```"]
    assert asked["max_tokens"] == AREA.max_tokens
    assert asked["prompt"].endswith("```plaintext\ndef area(self, radius):\n    return ")


async def test_usage_and_blocks(infiller):
    handle = infiller.submit(AREA)
    drafts = [draft async for draft in handle.drafts()]
    infill = (await handle.result()).infill

    assert (infill.prompt_tokens, infill.model) == (7, MODEL)
    assert drafts[-1].text == infill.candidates[0].text == "3.14 * radius"


async def test_a_passing_failure_is_tried_again(infiller, vllm):
    await infiller.wait_ready()
    vllm.refusals = [503, 429]
    result = await infiller.submit(AREA).result()

    assert result.state is JobState.DONE
    assert len(vllm.asked) == 3


@pytest.mark.parametrize(
    ("status", "code", "times"),
    [
        (503, ReasonCode.LOADING, 3),
        (429, ReasonCode.RATE_LIMITED, 3),
        (400, ReasonCode.JOB_FAILED, 1),
        (500, ReasonCode.JOB_FAILED, 1),
    ],
)
async def test_a_lasting_failure_has_its_reason(infiller, vllm, status, code, times):
    await infiller.wait_ready()
    vllm.refusals = [status] * 5
    result = await infiller.submit(AREA).result()

    assert (result.state, result.infill.reason.code) == (JobState.FAILED, code)
    assert "not now" in result.infill.reason.message
    assert len(vllm.asked) == times


@pytest.mark.parametrize(
    ("token", "model", "code"),
    [
        ("wrong", "", ReasonCode.TOKEN_REFUSED),
        ("a-token-for-vllm", "another", ReasonCode.NO_MODEL),
    ],
)
async def test_a_wrong_token_or_model(vllm, token, model, code):
    infiller = BackendInfiller(Kind.VLLM, Address(vllm.url, None, token), model)
    with pytest.raises(EngineError) as raised:
        await infiller.wait_ready()
    result = await infiller.submit(AREA).result()
    await infiller.close()

    assert raised.value.code is code
    assert result.infill.reason.code is code
    assert token not in result.infill.reason.message or token == "a-token-for-vllm"


async def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address(f"http://127.0.0.1:{taken.getsockname()[1]}")
    infiller = BackendInfiller(Kind.VLLM, address)
    result = await infiller.submit(AREA).result()
    await infiller.close()

    assert result.infill.reason.code is ReasonCode.NO_ENGINE


@pytest.mark.parametrize("ends", ["cancel", "supersede", "close"])
async def test_the_server_is_told_that_nobody_waits(infiller, vllm, denoiser, until, ends):
    await infiller.wait_ready()
    denoiser.gate.clear()
    handle = infiller.submit(AREA)
    await until(lambda: vllm.open == 1)
    if ends == "cancel":
        handle.cancel()
    elif ends == "supersede":
        infiller.submit(AREA)
        assert (await handle.result()).state is JobState.SUPERSEDED
        await until(lambda: len(vllm.asked) == 2)
        await infiller.close()
    else:
        await infiller.close()
    await until(lambda: vllm.open == 0)
    denoiser.gate.set()


async def test_at_the_deadline_whole_lines_are_the_answer(infiller, vllm):
    await infiller.wait_ready()
    vllm.pause = asyncio.Event()
    job = InfillJob(AREA.prefix, AREA.suffix, path="a.py", deadline_s=0.5)
    result = await infiller.submit(job).result()
    vllm.pause.set()

    # Half a line has arrived, and no whole one.
    assert result.state is JobState.DONE
    assert result.infill.candidates == ()
    assert result.infill.reason.code is ReasonCode.DEADLINE


def infill_of(texts: dict[int, str], *, late: bool = False, cut: bool = False):
    answer = module._Answer(0.0)
    for choice, text in texts.items():
        answer.add(module.Piece(choice, text, cut))
    answer.is_late = late
    infiller = BackendInfiller(Kind.VLLM, Address("http://127.0.0.1:9"))
    return infiller._infill(
        answer, InfillJob("def f():\n", "\n\nprint(f())\n", shown=("seen",))
    )


async def test_what_is_left_of_an_answer():
    def texts(infill) -> list[str]:
        return [one.text for one in infill.candidates]

    for ended in ({"late": True}, {"cut": True}):
        assert texts(infill_of({0: BODY + "    ret"}, **ended)) == [BODY.rstrip("\n")]
        # The suffix is there, so it is complete.
        assert texts(infill_of({0: BODY + "\n\nprint(f())"}, **ended)) == [BODY]
    assert texts(infill_of({0: "a", 1: "b", 2: "a"})) == ["a", "b"]
    assert texts(infill_of({0: "seen", 1: "b"})) == ["b"]
    assert infill_of({0: "seen"}).reason.code is ReasonCode.ALREADY_SHOWN
    assert infill_of({0: "\n\nprint(f())"}).reason.code is ReasonCode.NOTHING_MISSING
    assert infill_of({0: "  "}).reason.code is not None
    assert infill_of({}).reason.code is ReasonCode.BLANK


@pytest.mark.parametrize(
    ("job", "code"),
    [
        (InfillJob("a = ", "\n", pinned=(PinnedText("; b = "),)), ReasonCode.ONE_SPAN),
        (InfillJob("a = ", "\n", replaced="b", alternatives=8), ReasonCode.NO_ALTERNATIVES),
    ],
)
async def test_what_such_a_server_cannot_do_is_said(infiller, job, code):
    result = await infiller.submit(job).result()

    assert result.state is JobState.DONE
    assert result.infill.reason.code is code
