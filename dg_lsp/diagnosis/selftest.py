"""The self-test: fills one span to see whether everything works, and how long it takes.

It uses the engine that editors share, or the given infiller.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from dg_lsp.diagnosis.findings import Finding, count_of, ok, one_line, problem, warning
from dg_lsp.job import Infiller, InfillJob, JobState
from dg_lsp.reason import ReasonCode, reason_of

PREFIX = "def mean(values):\n    total = sum(values)\n    return total / len("
SUFFIX = ")\n"
SLOW_MS = 2000.0
"""The default deadline; beyond it, suggestions arrive in pieces."""
LOAD_S = 600.0
FILL_S = 120.0

Opening = Callable[[], Awaitable[Infiller]]
"""Returns an infiller whose model is loaded; raises `ValueError` with the reason if it
cannot."""


async def self_test(open_infiller: Opening, way: str) -> Finding:
    """Fill one span twice; the second time, everything is warm."""
    started = time.perf_counter()
    advice = "`dg-lsp engine status` and the engine's log tell more"
    try:
        async with asyncio.timeout(LOAD_S):
            infiller = await open_infiller()
    except TimeoutError:
        said = f"no model was ready within {LOAD_S:.0f} s"
        return problem("self-test", said, advice, reason_code=ReasonCode.LOADING.value)
    except Exception as error:
        code = reason_of(error, ReasonCode.NO_ENGINE).code.value
        said = f"there is no engine: {one_line(error)}"
        return problem("self-test", said, advice, reason_code=code)
    ready_ms = (time.perf_counter() - started) * 1e3
    try:
        async with asyncio.timeout(FILL_S):
            await _fill(infiller, seed=1)
            facts = await _fill(infiller, seed=0)
    except TimeoutError:
        said = f"a span took more than {FILL_S:.0f} s"
        return problem("self-test", said, advice, reason_code=ReasonCode.STALLED.value)
    except Exception as error:
        code = reason_of(error, ReasonCode.JOB_FAILED).code.value
        return problem(
            "self-test", f"filling failed: {one_line(error)}", advice, reason_code=code
        )
    finally:
        await infiller.close()
    facts = {"way": way, "ready_ms": round(ready_ms, 1), **facts}
    if facts["state"] != JobState.DONE.value:
        return problem("self-test", f"filling failed: {facts['reason']}", advice, **facts)
    said = (
        f"{way}: ready in {ready_ms:.0f} ms, a span in {facts['total_ms']:.0f} ms "
        f"({count_of(facts['steps'], 'step')}, "
        f"first draft after {facts['first_draft_ms'] or 0:.0f} ms)"
    )
    if facts["total_ms"] > SLOW_MS:
        slow = "a GPU helps, or a smaller model; until then answers are cut at the deadline"
        return warning("self-test", said, slow, **facts)
    return ok("self-test", said, **facts)


async def _fill(infiller: Infiller, seed: int) -> dict[str, Any]:
    job = InfillJob(PREFIX, SUFFIX, path="mean.py", language="python", seed=seed)
    started = time.perf_counter()
    first_draft_ms: float | None = None
    handle = infiller.submit(job)
    try:
        async for _ in handle.drafts():
            if first_draft_ms is None:
                first_draft_ms = round((time.perf_counter() - started) * 1e3, 1)
        result = await handle.result()
    finally:
        handle.cancel()
    infill = result.infill
    return {
        "state": result.state.value,
        "reason": infill.reason and infill.reason.message,
        "reason_code": infill.reason and infill.reason.code.value,
        "model": infill.model,
        "texts": [one.text for one in infill.candidates],
        "steps": infill.steps,
        "first_draft_ms": first_draft_ms,
        "total_ms": round((time.perf_counter() - started) * 1e3, 1),
        "timings_ms": {stage: round(took, 2) for stage, took in infill.timings_ms.items()},
    }
