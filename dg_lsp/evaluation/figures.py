"""Summarizes results as figures with intervals, and formats them as a table.

Intervals are percentiles of a bootstrap over clusters: spans cut from one function or file
tend to be right or wrong together, so drawing them one by one would give too narrow intervals.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dg_lsp.evaluation.results import Result

RESAMPLES = 2000
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Share:
    """A mean and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figures:
    """A group of results."""

    group: str
    n: int
    pass_at_1: Share | None
    """Share of problems whose tests passed; without a suggestion, they do not."""
    exact_match: Share
    edit_similarity: Share
    parses: Share | None
    abstention_rate: Share
    steps: float
    milliseconds: float
    """Median, like that of the steps."""
    tokens_per_s: float
    """Suggested tokens divided by the time of all problems."""

    def to_json(self) -> dict[str, object]:
        """Flat: each share under its name, the intervals under `interval_95`."""
        shares = {
            "pass_at_1": self.pass_at_1,
            "exact_match": self.exact_match,
            "edit_similarity": self.edit_similarity,
            "parses": self.parses,
            "abstention_rate": self.abstention_rate,
        }
        known = {name: share for name, share in shares.items() if share is not None}
        return {
            "group": self.group,
            "n": self.n,
            **{name: share.value for name, share in known.items()},
            "steps": self.steps,
            "milliseconds": self.milliseconds,
            "tokens_per_s": self.tokens_per_s,
            "interval_95": {name: [share.low, share.high] for name, share in known.items()},
        }


def figures_of(group: str, results: Sequence[Result]) -> Figures:
    """The figures of at least one result."""
    clusters = [result.cluster for result in results]

    def share(values: Iterable[float | bool]) -> Share:
        return share_of([float(value) for value in values], clusters)

    judged = [result for result in results if result.parses is not None]
    seconds = sum(result.milliseconds for result in results) / 1e3
    offered = sum(result.tokens for result in results if not result.is_quiet)
    return Figures(
        group=group,
        n=len(results),
        pass_at_1=share(result.verdict == "passed" for result in results)
        if any(result.verdict is not None for result in results)
        else None,
        exact_match=share(result.is_exact for result in results),
        edit_similarity=share(result.similarity for result in results),
        parses=share_of(
            [float(bool(result.parses)) for result in judged],
            [result.cluster for result in judged],
        )
        if judged
        else None,
        abstention_rate=share(result.is_quiet for result in results),
        steps=statistics.median(result.steps for result in results),
        milliseconds=statistics.median(result.milliseconds for result in results),
        tokens_per_s=offered / seconds if seconds else 0.0,
    )


def grouped(results: Sequence[Result], by_language: bool) -> list[Figures]:
    """The figures of each kind (and language), then those of all."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        label = f"{result.language}: {result.kind}" if by_language else result.kind
        groups.setdefault(label, []).append(result)
    rows = [figures_of(label, groups[label]) for label in sorted(groups)]
    return rows if len(rows) == 1 else [*rows, figures_of("all", results)]


def share_of(values: Sequence[float], clusters: Sequence[str]) -> Share:
    """A mean with the interval of a bootstrap over clusters; the same for the same values."""
    order = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    index = np.array([order[cluster] for cluster in clusters])
    sums = np.bincount(index, weights=np.array(values))
    counts = np.bincount(index)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(order), np.full(len(order), 1 / len(order)), RESAMPLES)
    means = (drawn @ sums) / (drawn @ counts)
    low, high = np.percentile(means, PERCENTILES)
    return Share(float(np.mean(values)), float(low), float(high))


def table(rows: Sequence[Figures], heading: str) -> str:
    """The figures in Markdown, with the columns that apply."""
    columns = [heading, "n"]
    has_tests = any(row.pass_at_1 for row in rows)
    has_syntax = any(row.parses for row in rows)
    columns += ["pass@1"] * has_tests + ["exact match", "edit similarity"]
    columns += ["parses"] * has_syntax + ["quiet", "steps", "ms", "tokens/s"]
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join(['---'] * len(columns))} |"]
    for row in rows:
        cells = [row.group, str(row.n)]
        cells += [_percent(row.pass_at_1)] * has_tests
        cells += [_percent(row.exact_match), _plain(row.edit_similarity)]
        cells += [_percent(row.parses)] * has_syntax
        cells += [f"{row.abstention_rate.value:.1%}", f"{row.steps:.0f}"]
        cells += [f"{row.milliseconds:.0f}", f"{row.tokens_per_s:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(share: Share | None) -> str:
    if share is None:
        return ""
    return f"{share.value:.1%} ({100 * share.low:.1f}-{100 * share.high:.1f})"


def _plain(share: Share) -> str:
    return f"{share.value:.3f} ({share.low:.3f}-{share.high:.3f})"
