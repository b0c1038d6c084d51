"""Where the time of an infill goes."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Sequence

import numpy as np

from dg_lsp.evaluation.methods import infiller
from dg_lsp.evaluation.spans import TrueSpan, job_of
from dg_lsp.models.loading import LoadedModel

_PARTS = (
    ("encode", "encode", "models/denoiser.py"),
    ("denoise", "denoise", "models/denoiser.py"),
    ("score", "score", "models/denoiser.py"),
    ("step, all but the forward", "step", "denoising.py"),
    ("drafts", "_send_draft", "infilling.py"),
)


def time_infills(model: LoadedModel, spans: Sequence[TrueSpan]) -> str:
    """How long infills take, and how much of it is the model's own forward, in lines."""
    infiller(model.settings, job_of(spans[0]), model)
    outcomes = [infiller(model.settings, job_of(span), model) for span in spans]
    lines = []
    for label, milliseconds in (
        ("first draft", [outcome.first_draft_ms for outcome in outcomes]),
        ("settled", [outcome.milliseconds for outcome in outcomes]),
    ):
        p50, p95 = np.percentile(milliseconds, [50, 95])
        lines.append(f"{label:12s} median {p50:.0f} ms, 95th percentile {p95:.0f} ms")
    profiler = cProfile.Profile()
    profiler.enable()
    for span in spans:
        infiller(model.settings, job_of(span), model)
    profiler.disable()
    stats: dict[tuple[str, int, str], tuple[int, int, float, float, object]]
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]

    def cumulative(name: str, file: str) -> float:
        return sum(
            row[3]
            for (path, _, function), row in stats.items()
            if function == name and path.endswith(file)
        )

    total = cumulative("run", "infilling.py")
    forward = sum(
        cumulative(name, "models/denoiser.py") for name in ("encode", "denoise", "score")
    )
    each = total / len(spans) * 1e3
    lines.append(f"{len(spans)} infills, {each:.0f} ms each under the profiler")
    for label, name, file in _PARTS:
        seconds = cumulative(name, file)
        if name == "step":
            seconds -= cumulative("denoise", "models/denoiser.py")
        lines.append(f"  {label:28s} {seconds / total:6.1%}")
    lines.append(f"outside the model's forward: {1 - forward / total:.1%}")
    return "\n".join(lines)
