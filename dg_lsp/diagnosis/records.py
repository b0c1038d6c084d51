"""The part of a trace that editors' jobs and other tools' jobs share: sizes and times.

It contains none of the user's text. docs/troubleshooting.md lists the fields.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from dg_lsp.job import (
    Infill,
    InfillJob,
    JobResult,
    JobState,
    TextSource,
    source_of,
)

Record = dict[str, Any]

LEAST_SCORE = -1e9
"""Stands for minus infinity, which JSON lacks: the score of a text that the model rules out."""


def work_record(
    job: InfillJob | None,
    infill: Infill | None,
    timings_ms: Mapping[str, float],
    engine_ms: float | None,
) -> Record:
    """What the model saw and wrote, as far as the job got."""
    seeds = () if job is None else job.all_seeds
    return {
        "seen": None if job is None else _seen(job, infill),
        "candidates": [
            {
                "chars": len(one.text),
                "confidence": round(one.confidence, 3),
                "score": round(max(one.score, LEAST_SCORE), 3),
                **source_record(source_of(one, seeds)),
            }
            for one in (infill.candidates if infill else ())
        ],
        "steps": infill.steps if infill else 0,
        "model": infill.model if infill else "",
        "timings_ms": {stage: round(took_ms, 3) for stage, took_ms in timings_ms.items()},
        "engine_ms": None if engine_ms is None else round(engine_ms, 3),
    }


def tool_record(
    job: InfillJob, result: JobResult, took_s: float, path: str, tool: str
) -> Record:
    """A job that was sent directly to the engine: its endpoint's `path`, and the sender."""
    infill = result.infill
    timings_ms = dict(infill.timings_ms)
    engine_ms = timings_ms.pop("total", None)
    outcome = result.state.value
    if result.state is JobState.DONE:
        outcome = "suggested" if infill.candidates else "nothing"
    return {
        "time": time.time() - took_s,
        "client": " ".join(tool.split())[:60],
        "method": path,
        "trigger": "",
        "file": job.path.replace("\\", "/").rsplit("/", 1)[-1][:100],
        "language": job.language[:40],
        "position": None,
        "outcome": outcome,
        "reason": infill.reason and infill.reason.message,
        "reason_code": infill.reason and infill.reason.code.value,
        "how": "a new job",
        "suggestions": [
            {
                "chars": len(one.text),
                "confidence": round(one.confidence, 3),
                **source_record(source_of(one, job.all_seeds)),
            }
            for one in infill.candidates
        ],
        **work_record(job, infill, timings_ms, engine_ms),
        "total_ms": round(took_s * 1e3, 3),
    }


def source_record(source: TextSource) -> Record:
    """Where a text comes from, without its path."""
    origin = "model" if source.seed is None else source.seed.origin.value
    return {"source": origin, "corrected": source.is_corrected}


def _seen(job: InfillJob, infill: Infill | None) -> Record:
    return {
        "prefix_chars": len(job.prefix),
        "suffix_chars": len(job.suffix),
        "snippets": len(job.snippets),
        "snippet_chars": sum(len(one.text) for one in job.snippets),
        "seeds": len(job.all_seeds),
        "replaced_chars": None if job.replaced is None else len(job.replaced),
        "instruction_chars": None if job.instruction is None else len(job.instruction),
        "prompt_tokens": infill.prompt_tokens if infill else 0,
    }
