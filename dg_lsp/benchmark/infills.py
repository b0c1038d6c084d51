"""Where the time of an infill goes."""

from __future__ import annotations

import cProfile
import inspect
import pstats
from collections.abc import Sequence

import numpy as np

from dg_lsp.engine import denoising, infilling
from dg_lsp.evaluation.methods import infiller
from dg_lsp.evaluation.spans import TrueSpan, job_of
from dg_lsp.models.loading import LoadedModel


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

    def seconds(function: str, module: str | None) -> float:
        """Spent in a function and in what it calls."""
        return sum(
            row[3]
            for (path, _, name), row in stats.items()
            if (path, name) == (module, function)
        )

    def share(function: str, module: str | None) -> float:
        return seconds(function, module) / total

    total = seconds("run", infilling.__file__)
    its_own = inspect.getsourcefile(type(model.denoiser))
    forward = {name: share(name, its_own) for name in ("encode", "denoise", "score")}
    parts = {
        **forward,
        "steps, all but the forward": sum(
            share(name, denoising.__file__) for name in ("request", "take")
        ),
        "drafts": share("_send_draft", infilling.__file__),
    }
    each_ms = total / len(spans) * 1e3
    lines.append(f"{len(spans)} infills, {each_ms:.0f} ms each under the profiler")
    lines += [f"  {name:28s} {part:6.1%}" for name, part in parts.items()]
    lines.append(f"outside the model's forward: {1 - sum(forward.values()):.1%}")
    return "\n".join(lines)
