"""Formats the measured figures as text and draws them as a plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dg_lsp.models.checkpoint import count_in_words

SHOWN_TILINGS = 4
"""How many of the fastest are shown for each number of rows; the JSON has all."""


def as_text(report: dict[str, Any]) -> str:
    """The report as Markdown tables, as in docs/benchmarks.md."""
    hardware, found = report["hardware"], report["versions"]
    lines = [
        f"{hardware['name']}: copies {hardware['bandwidth'] / 1e9:.0f} GB/s, multiplies "
        f"{hardware['rate'] / 1e9:.0f} GFLOP/s (both measured)",
        ", ".join(f"{name} {version}" for name, version in found.items()),
        f"shape {report['shape']}, {count_in_words(report['parameters'])} parameters, random "
        f"weights; activations and full precision in {report['dtype']}; medians",
        f"experts: {report['kernel']['path']} path, relative error "
        f"{report['kernel']['relative_error']:.1e}, "
        f"{report['kernel']['bits_per_parameter']:.3f} bits per parameter",
        "",
        *_table(
            ("step", "rows", "prompt", "ms", "roofline ms", "times it"),
            [
                (s["what"], s["rows"], s["context"], f"{s['ms']:.2f}", f"{s['floor_ms']:.2f}",
                 f"{s['times_floor']:.2f}")
                for s in report["steps"]
            ],
        ),
        "",
        *_table(
            ("parts of a step: rows", "experts of all layers, ms", "selection, ms"),
            [
                (p["rows"], f"{p['experts_ms']:.2f}", f"{p['selection_ms']:.2f}")
                for p in report["parts"]
            ],
        ),
        "",
        *_table(
            ("canvas", "steps", "ms", "tokens/s"),
            [
                (c["tokens"], c["steps"], f"{c['ms']:.1f}", f"{c['tokens_per_s']:.0f}")
                for c in report["canvases"]
            ],
        ),
        "",
        "one line after a keystroke: {rows} rows, {steps} steps, {ms:.1f} ms".format(
            **report["line"]
        ),
        "",
        *_table(
            ("prompt", "ms", "tokens/s", "ms of a tail of so many tokens"),
            [
                (p["tokens"], f"{p['ms']:.1f}", f"{p['tokens_per_s']:.0f}",
                 ", ".join(f"{tail}: {ms:.1f}" for tail, ms in p["tail_ms"].items()))
                for p in report["prompts"]
            ],
        ),
    ]  # fmt: skip
    if tilings := report["kernel"]["tilings"]:
        lines += [
            "",
            *_table(
                ("experts of one layer: rows", "outputs", "stages", "warps", "ms"),
                [
                    (t["rows"], t["outputs"], t["stages"], t["warps"], f"{t['ms']:.3f}")
                    for rows in sorted({t["rows"] for t in tilings})
                    for t in [t for t in tilings if t["rows"] == rows][:SHOWN_TILINGS]
                ],
            ),
        ]
    memory = report["memory"]
    if memory["peak"]:
        lines += [
            "",
            f"device memory: {memory['weights'] / 1e9:.2f} GB after loading, "
            f"{memory['peak'] / 1e9:.2f} GB at most while our engine ran; "
            f"{memory['int4'] / 1e9:.2f} GB after loading in int4",
        ]
    lines += [
        "",
        *_table(
            ("start", "self-test, s", "warm-up, s", "not the fastest way, because"),
            [
                (
                    name,
                    f"{s['self_test_s']:.1f}",
                    f"{s['warm_up_s']:.1f}",
                    "; ".join(s["notes"]),
                )
                for name, s in zip(("NF4", "int4"), report["starts"], strict=True)
            ],
        ),
    ]
    if "cosines" in report:
        *layers, logits = report["cosines"]
        lines += [
            "",
            f"cosine of NF4 and full precision: {min(layers):.4f} in the worst layer, "
            f"{logits:.4f} of the logits",
        ]
    lines += [f"not measured: {reason}" for reason in report["skipped"]]
    return "\n".join(lines) + "\n"


def draw(report: dict[str, Any], path: Path) -> None:
    """Plot milliseconds per step over rows, with the roofline; needs matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    context = max(step["context"] for step in report["steps"])
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for name in dict.fromkeys(step["what"] for step in report["steps"]):
        own = [s for s in report["steps"] if s["what"] == name]
        at = max(step["context"] for step in own)
        points = sorted((s["rows"], s["ms"]) for s in own if s["context"] == at)
        axes.plot(*zip(*points, strict=True), marker="o", label=f"{name}, {at} tokens")
    floors = sorted({
        (s["rows"], s["floor_ms"])
        for s in report["steps"]
        if s["context"] == context and "NF4" in s["what"]
    })  # fmt: skip
    axes.plot(*zip(*floors, strict=True), color="black", linestyle="--", label="4-bit roofline")
    axes.set(
        xscale="log", yscale="log", xlabel="rows", ylabel="ms per denoising step",
        title=f"{report['hardware']['name']}, {report['shape']} shape, random weights",
    )  # fmt: skip
    ticks = sorted({step["rows"] for step in report["steps"]})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _table(titles: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    return [
        "| " + " | ".join(titles) + " |",
        "| " + " | ".join("---" for _ in titles) + " |",
        *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows),
    ]
