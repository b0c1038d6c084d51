"""The engine of the tests fails a job whose script fails, instead of hanging."""

from __future__ import annotations

import asyncio

from dg_lsp.job import InfillJob, JobState
from dg_lsp.reason import ReasonCode
from dg_lsp.server.link.scripted import ScriptedInfiller


async def test_an_error_of_the_script_is_the_result():
    def script(job):
        raise IndexError("no more tries")

    handle = ScriptedInfiller(script).submit(InfillJob("a = ", ""))
    result = await asyncio.wait_for(handle.result(), 5)

    assert result.state is JobState.FAILED
    assert result.infill.reason.code is ReasonCode.JOB_FAILED
    assert "no more tries" in result.infill.reason.message
