"""The content of `/metrics`: ends of jobs and times of stages, in Prometheus' text format.

It counts only on the event loop.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from dg_lsp.job import InfillJob, JobResult, JobState

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram, from a cache hit to a long rewrite."""
STAGES = ("queue", "prompt", "encode", "denoise", "rank", "total")

_ENDS = (JobState.DONE, JobState.CANCELLED, JobState.SUPERSEDED, JobState.FAILED)


class Metrics:
    """Counters since the process started."""

    def __init__(self) -> None:
        self._ends: Counter[JobState] = Counter()
        self._speculative_ends: Counter[JobState] = Counter()
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(BUCKETS_S))
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._counts: Counter[str] = Counter()

    def count(self, job: InfillJob, result: JobResult) -> None:
        """A job ended. Times are of those that somebody waited for."""
        if job.is_speculative:
            self._speculative_ends[result.state] += 1
            return
        self._ends[result.state] += 1
        for stage, took_ms in result.infill.timings_ms.items():
            # A label per unknown stage would grow without bounds.
            if stage not in STAGES:
                continue
            self._counts[stage] += 1
            self._sums[stage] += took_ms / 1e3
            for place, bound in enumerate(BUCKETS_S):
                self._buckets[stage][place] += took_ms / 1e3 <= bound

    def text(self, gauges: Mapping[str, float], info: Mapping[str, str]) -> str:
        """The page; `gauges` are named without the prefix and may carry labels."""
        lines = ["# TYPE dg_lsp_info gauge", f"dg_lsp_info{_labels(info)} 1"]
        for name, ends in (
            ("dg_lsp_jobs_total", self._ends),
            ("dg_lsp_speculative_jobs_total", self._speculative_ends),
        ):
            lines.append(f"# TYPE {name} counter")
            lines += [
                f"{name}{_labels({'state': state.value})} {ends[state]}" for state in _ENDS
            ]
        lines.append("# TYPE dg_lsp_stage_seconds histogram")
        for stage in sorted(self._counts):
            bounds = [*map(str, BUCKETS_S), "+Inf"]
            counts = [*self._buckets[stage], self._counts[stage]]
            lines += [
                f"dg_lsp_stage_seconds_bucket{_labels({'stage': stage, 'le': bound})} {count}"
                for bound, count in zip(bounds, counts, strict=True)
            ]
            labels = _labels({"stage": stage})
            lines.append(f"dg_lsp_stage_seconds_sum{labels} {self._sums[stage]:.6f}")
            lines.append(f"dg_lsp_stage_seconds_count{labels} {self._counts[stage]}")
        named = ""
        for name, value in gauges.items():
            if (bare := name.partition("{")[0]) != named:
                lines.append(f"# TYPE dg_lsp_{bare} gauge")
                named = bare
            lines.append(f"dg_lsp_{name} {value:g}")
        return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items()) + "}"
