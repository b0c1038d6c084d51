"""The figures of a replay. Counts and steps are the same for the same seed on any machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from dg_lsp.benchmark.percentiles import summary
from dg_lsp.benchmark.replay.replaying import Replayed
from dg_lsp.server.suggest.answer import How, Outcome
from dg_lsp.server.suggest.speculation import Speculated

HITS = {
    "typed_through": How.TYPED_THROUGH,
    "cached": How.LAST_ANSWER,
    "remembered": How.REMEMBERED,
    "joined": How.JOB_UNDER_WAY,
    "prepared": How.PREPARED,
}
"""From the kind of hit to what the trace of a request says."""
MODEL_ANSWERS = (How.NEW_JOB.value, How.JOB_UNDER_WAY.value)


def figures(replayed: Replayed) -> dict[str, Any]:
    """What `--json` prints of one variant."""
    seen, traces = replayed.seen, replayed.traces
    jobs = [job for job in replayed.jobs if not job["is_speculative"]]
    ahead = Speculated(**replayed.speculated)
    hows = Counter(trace["how"] for trace in traces)
    steps_done = sum(job["steps_done"] for job in jobs)
    cancelled = [job for job in jobs if not job["is_done"]]
    done = [job for job in jobs if job["is_done"]]
    settled_steps = [
        trace["steps"]
        for trace in traces
        if trace["how"] in MODEL_ANSWERS and trace["outcome"] == Outcome.SUGGESTED.value
    ]
    characters = seen.accepted_chars + seen.typed_chars
    return {
        "without": replayed.without or None,
        "keystrokes": seen.keystrokes,
        "requests": seen.requests,
        "jobs": len(jobs),
        "engine_share": _share(len(jobs), seen.keystrokes),
        "hits": {name: hows[how.value] for name, how in HITS.items()},
        "not_asked": sum(trace["outcome"] == Outcome.REFUSED.value for trace in traces),
        "steps": {
            "first": _percentiles(seen.first_steps),
            "settled": _percentiles(settled_steps),
        },
        "wait_ms": {
            "first": _percentiles(seen.first_ms),
            "settled": _percentiles(seen.settled_ms),
        },
        "engine_ms": {
            "first": _percentiles([job["first_ms"] for job in done if job["first_ms"]]),
            "settled": _percentiles([job["took_ms"] for job in done]),
        },
        "cancelled": {
            "jobs": len(cancelled),
            "steps": sum(job["steps_done"] for job in cancelled),
            "step_share": _share(sum(job["steps_done"] for job in cancelled), steps_done),
        },
        "speculation": {
            "jobs": ahead.jobs,
            "hits": ahead.hits,
            "steps": ahead.steps,
            "steps_wasted": ahead.steps - ahead.steps_used,
        },
        "suggestions": len(seen.first_ms),
        "accepts": seen.accepts,
        "partial_accepts": seen.partial_accepts,
        "saved_chars": seen.accepted_chars,
        "saved_share": _share(seen.accepted_chars, characters),
        "flicker": seen.flicker,
    }


def _percentiles(values: Sequence[float]) -> dict[str, float] | None:
    return summary(values) if values else None


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
