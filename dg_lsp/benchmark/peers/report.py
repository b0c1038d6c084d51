"""The measured rows as Markdown: a table for each scenario, and one of how they compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dg_lsp.benchmark.peers.llama import LLAMA
from dg_lsp.benchmark.peers.measuring import BASE, Row
from dg_lsp.benchmark.peers.run import CACHED, OFFICIAL, Outcome


def to_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "machine": outcome.machine,
        "parameters": outcome.parameters,
        "rows": [row.to_json() for row in outcome.rows],
    }


def as_text(outcome: Outcome) -> str:
    machine = outcome.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    before, after = machine["load_before"][0], machine["load_after"][0]
    parts = [
        f"{outcome.parameters / 1e6:.0f} million random parameters; {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['threads']} threads, load {before} before and "
        f"{after} after; {versions}; medians of {machine['rounds']} rounds in turns, in "
        "milliseconds. A diffusion model has three numbers for an infill: for 1 / 2 / 4 tokens "
        "committed in each pass."
    ]
    for context, span in dict.fromkeys((row.context, row.span) for row in outcome.rows):
        rows = [row for row in outcome.rows if (row.context, row.span) == (context, span)]
        parts.append(f"A span of {span} tokens with {context} tokens around it:")
        parts.append(_times(rows))
    base = [row for row in outcome.rows if (row.context, row.span) == (BASE.context, BASE.span)]
    if base:
        parts.append(
            "How many times as fast the cached loop is, with new text / with text already read:"
        )
        parts.append(_ratios(base))
    return "\n\n".join(parts)


def _times(rows: Sequence[Row]) -> str:
    return _table(
        (
            "method",
            "weights",
            "reading the text",
            "pass",
            "passes of an infill",
            "with reading",
        ),
        (
            (
                row.method,
                row.weights,
                f"{row.read_ms:.0f}" if row.read_ms else "",
                f"{row.pass_ms:.1f}",
                " / ".join(f"{ms:.0f}" for ms in row.infill_ms.values()),
                " / ".join(f"{row.cold_ms(commits):.0f}" for commits in row.infill_ms),
            )
            for row in rows
        ),
    )


def _ratios(rows: Sequence[Row]) -> str:
    others = [row for row in rows if row.method in (OFFICIAL, LLAMA)]
    return _table(
        ("cached loop", "tokens a pass", *(f"{row.method}, {row.weights}" for row in others)),
        (
            (
                ours.weights,
                str(commits),
                *(
                    f"{other.cold_ms(1) / ours.cold_ms(commits):.2f} / "
                    f"{other.infill_ms[1] / ours.infill_ms[commits]:.2f}"
                    for other in others
                ),
            )
            for ours in rows
            if ours.method == CACHED
            for commits in ours.infill_ms
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---" if number < 2 else "---:" for number in range(len(head))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))
