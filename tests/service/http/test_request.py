"""Clients of a shared engine: who they are, what they may do, and how much."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from dg_lsp.job import JobState
from dg_lsp.reason import ReasonCode
from dg_lsp.service.access.limits import BURST_S, NO_LIMITS, Accounts, ClientLimits
from dg_lsp.service.access.tokens import TokenBook, new_token, revoke_token
from dg_lsp.service.address import Address
from dg_lsp.service.client.infiller import HttpInfiller
from dg_lsp.service.http.request import Access
from dg_lsp.service.schema import CLIENT_HEADER, SEQUENCE_HEADER, decode_job

JOB = {"prefix": "name = ", "suffix": ".name\n", "path": "a.py"}
NAMES = ("ada", "bob", "ops")


@dataclass(frozen=True, slots=True)
class Team:
    url: str
    tokens: dict[str, str]
    file: Path

    def http(self, name: str) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {self.tokens[name]}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20)

    def front_end(self, name: str) -> HttpInfiller:
        return HttpInfiller(Address(self.url, None, self.tokens[name]))


@pytest.fixture
def share(host, serve_host, tmp_path):
    """A shared engine with three named tokens, one of them an administrator's."""

    @contextlib.asynccontextmanager
    async def sharing(limits: ClientLimits = NO_LIMITS) -> AsyncIterator[Team]:
        file = tmp_path / "tokens.json"
        tokens = {name: new_token(file, name, is_admin=name == "ops") for name in NAMES}
        access = Access(TokenBook(file), Accounts(limits))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with serve_host(host, listener, Address(url), access):
                yield Team(url, tokens, file)

    return sharing


def code(answer: httpx.Response) -> str:
    return answer.json()["error"]["code"]


async def test_a_revoked_token_is_refused_at_the_next_request(share):
    async with share() as team, team.http("ada") as ada, team.http("bob") as bob:
        assert (await ada.get("/v1/status")).status_code == 200
        revoke_token(team.file, "ada")
        refused = await ada.get("/v1/status")
        assert (refused.status_code, code(refused)) == (401, "token-refused")
        assert (await bob.get("/v1/status")).status_code == 200


async def test_only_an_administrator_takes_the_model_away(share, host):
    async with share() as team, team.http("ada") as ada, team.http("ops") as ops:
        for path in ("/v1/unload", "/v1/shutdown"):
            refused = await ada.post(path, json={})
            assert (refused.status_code, code(refused)) == (403, "not-allowed")
        assert not host.is_closed
        assert (await ada.post("/v1/load", json={})).status_code == 200
        assert (await ops.post("/v1/unload", json={})).status_code == 200


async def test_the_engine_knows_who_sent_a_job(share, host, denoiser):
    denoiser.gate.clear()
    async with share() as team:
        clients = [team.front_end(name) for name in ("ada", "bob")]
        handles = [client.submit(decode_job({**JOB, "path": ""})) for client in clients]
        assert await asyncio.to_thread(denoiser.entered.wait, 10)
        async with asyncio.timeout(10):
            while len(host._jobs) < 2:
                await asyncio.sleep(0.005)
        assert sorted(one.job.client for one in host._jobs) == ["ada", "bob"]
        denoiser.gate.set()
        for client, handle in zip(clients, handles, strict=True):
            assert (await handle.result()).state is JobState.DONE
            await client.close()


@pytest.mark.parametrize("headers", [{}, {CLIENT_HEADER: "same", SEQUENCE_HEADER: "1"}])
async def test_nobody_supersedes_or_cancels_anothers_job(share, denoiser, until, host, headers):
    denoiser.gate.clear()
    async with share() as team, team.http("ada") as ada, team.http("bob") as bob:
        first = asyncio.create_task(ada.post("/v1/infill", json=JOB, headers=headers))
        assert await asyncio.to_thread(denoiser.entered.wait, 10)
        said = await bob.post("/v1/cancel", headers=headers)
        assert said.json() == {"cancelled": False}
        second = asyncio.create_task(
            bob.post("/v1/infill", json=JOB, headers={**headers, SEQUENCE_HEADER: "2"})
        )
        await until(lambda: sum(host.count_jobs()) == 2)
        denoiser.gate.set()
        for answer in (await first, await second):
            assert '"state":"done"' in answer.text.replace(" ", "")


async def test_a_job_is_cancelled_by_whoever_sent_it_before_or_after_it_is_read(
    share, denoiser, host, until
):
    denoiser.gate.clear()
    async with share() as team, team.http("ada") as ada:
        sent = {CLIENT_HEADER: "w", SEQUENCE_HEADER: "1"}
        job = asyncio.create_task(ada.post("/v1/infill", json=JOB, headers=sent))
        assert await asyncio.to_thread(denoiser.entered.wait, 10)
        assert (await ada.post("/v1/cancel", headers=sent)).json() == {"cancelled": True}
        assert '"cancelled"' in (await job).text
        assert (await ada.post("/v1/cancel", headers=sent)).json() == {"cancelled": False}

        early = {CLIENT_HEADER: "w", SEQUENCE_HEADER: "2"}
        assert (await ada.post("/v1/cancel", headers=early)).json() == {"cancelled": False}
        assert '"cancelled"' in (await ada.post("/v1/infill", json=JOB, headers=early)).text
        await until(lambda: sum(host.count_jobs()) == 0)


def few(**limits: float) -> ClientLimits:
    none = {"requests_per_s": 0, "bytes_per_s": 0, "context_chars": 0, "open_jobs": 0}
    return ClientLimits(**{**none, **limits})


async def test_too_many_requests_wait_and_others_do_not(share):
    async with (
        share(few(requests_per_s=0.5)) as team,
        team.http("ada") as ada,
        team.http("bob") as bob,
    ):
        answers = [await ada.get("/health") for _ in range(int(BURST_S / 2) + 2)]
        assert [answer.status_code for answer in answers[:5]] == [200] * 5
        assert answers[-1].status_code == 429
        assert code(answers[-1]) == "rate-limited"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 2
        assert (await bob.get("/health")).status_code == 200


async def test_too_many_bytes_wait(share):
    async with share(few(bytes_per_s=1000)) as team, team.http("ada") as ada:
        long = {**JOB, "prefix": "x" * 20_000}
        assert (await ada.post("/infill", json=long)).status_code == 400
        refused = await ada.post("/v1/load", json={})
        assert (refused.status_code, code(refused)) == (429, "rate-limited")
        assert int(refused.headers["retry-after"]) in range(9, 12)


async def test_a_job_with_too_much_text_is_refused_for_good(share):
    async with share(few(context_chars=100)) as team, team.http("ada") as ada:
        refused = await ada.post("/v1/infill", json={**JOB, "prefix": "x" * 100})
        assert (refused.status_code, code(refused)) == (413, "too-large")
        assert "retry-after" not in refused.headers
        assert (await ada.post("/v1/infill", json=JOB)).status_code == 200


async def test_too_many_open_jobs(share, denoiser, host, until):
    denoiser.gate.clear()
    async with share(few(open_jobs=2)) as team:
        ada, bob = team.front_end("ada"), team.front_end("bob")
        open_jobs = [ada.submit(decode_job({**JOB, "path": f"{n}.py"})) for n in range(2)]
        await until(lambda: sum(host.count_jobs()) == 2)
        # One that replaces an open one is not one more.
        newer = ada.submit(decode_job({**JOB, "path": "1.py"}))
        assert (await open_jobs[1].result()).state is JobState.SUPERSEDED
        third = ada.submit(decode_job({**JOB, "path": "3.py"}))
        refused = await third.result()
        assert refused.state is JobState.FAILED
        assert refused.infill.reason.code is ReasonCode.TOO_MANY_JOBS
        other = bob.submit(decode_job(JOB))
        denoiser.gate.set()
        for handle in (open_jobs[0], newer, other):
            assert (await handle.result()).state is JobState.DONE
        for client in (ada, bob):
            await client.close()


async def test_only_an_administrator_learns_where_the_log_is(share):
    async with share() as team, team.http("ada") as ada, team.http("ops") as ops:
        assert (await ada.get("/v1/status")).json()["log"] == ""
        assert (await ops.get("/v1/status")).json()["log"] == "/logs/engine.log"
