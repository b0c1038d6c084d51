"""The self-test on an infiller that follows a script."""

from __future__ import annotations

import asyncio

from dg_lsp.diagnosis import selftest
from dg_lsp.diagnosis.findings import Level
from dg_lsp.diagnosis.selftest import self_test
from dg_lsp.reason import CodedError, Reason, ReasonCode
from dg_lsp.server.link.scripted import Pace, ScriptedInfiller


async def run(infiller: ScriptedInfiller):
    async def opening():
        return infiller

    return await self_test(opening, "here")


async def test_a_span_is_filled_and_timed():
    infiller = ScriptedInfiller(lambda job: ["values"])
    finding = await run(infiller)

    assert finding.level is Level.OK
    assert finding.facts["way"] == "here"
    assert finding.facts["texts"] == ["values"]
    assert finding.facts["total_ms"] >= finding.facts["first_draft_ms"] >= 0
    # The first one warms up, and is another job.
    first, second = infiller.jobs
    assert first.seed != second.seed


async def test_a_failed_job_is_a_problem():
    infiller = ScriptedInfiller(lambda job: ["x"])
    infiller.error = Reason(ReasonCode.OUT_OF_MEMORY, "no room")
    finding = await run(infiller)

    assert finding.level is Level.PROBLEM
    assert finding.facts["reason_code"] == "out-of-memory"


async def test_no_engine_is_a_problem():
    async def opening():
        raise CodedError("no model\nnamed absent", ReasonCode.NO_MODEL)

    finding = await self_test(opening, "here")
    assert finding.level is Level.PROBLEM
    assert finding.facts["reason_code"] == "no-model"
    assert finding.said.endswith("no model named absent"), "in one line"


async def test_an_engine_that_hangs_is_a_problem(monkeypatch):
    monkeypatch.setattr(selftest, "FILL_S", 0.05)
    infiller = ScriptedInfiller(lambda job: ["x"])
    infiller.gate.clear()
    finding = await run(infiller)

    assert (finding.level, finding.facts["reason_code"]) == (Level.PROBLEM, "stalled")
    assert all(handle.state.value == "cancelled" for handle in infiller.handles)


async def test_a_model_that_is_never_ready_is_a_problem(monkeypatch):
    monkeypatch.setattr(selftest, "LOAD_S", 0.05)
    finding = await self_test(asyncio.Event().wait, "here")

    assert (finding.level, finding.facts["reason_code"]) == (Level.PROBLEM, "loading")


async def test_a_slow_machine_is_told(monkeypatch):
    monkeypatch.setattr(selftest, "SLOW_MS", 1.0)
    finding = await run(ScriptedInfiller(lambda job: ["x"], Pace(step_s=0.01)))

    assert finding.level is Level.WARNING
    assert "GPU" in finding.advice
