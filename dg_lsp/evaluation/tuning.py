"""Variants of the settings that are tried on the tuning files.

Each changes one of the checkpoint's own settings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from dg_lsp.config import EngineSettings
from dg_lsp.evaluation import masked_tuning
from dg_lsp.evaluation.methods import Method, infiller, is_masked, oracle_under
from dg_lsp.evaluation.spans import job_of
from dg_lsp.models.loading import LoadedModel

LENGTHS = {
    "12 lanes": (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 26, 32),
    "8 lanes": (2, 3, 4, 6, 9, 13, 20, 30),
    "16 lanes": (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28, 32),
}
SEEDS = 2
"""Lanes of each length if several seeds race."""
KEPT = {
    "6 after 2, 3 after 4": ((2, 6), (4, 3)),
    "6 after 1, 4 after 3": ((1, 6), (3, 4)),
    "4 after 1": ((1, 4),),
    "4 after 2": ((2, 4),),
    "6 after 1, 3 after 3": ((1, 6), (3, 3)),
    "6 after 3": ((3, 6),),
    "2 after 2": ((2, 2),),
}


def variants_for(model: LoadedModel) -> list[Iterator[tuple[str, Method]]]:
    """The variants for the model's family, one table after the other."""
    base = model.settings
    if is_masked(model):
        return [
            masked_tuning.cache_variants(base),
            masked_tuning.commit_variants(base),
            masked_tuning.length_variants(base),
        ]
    return [sampler_variants(base), length_variants(base), prompt_variants(base)]


def sampler_variants(base: EngineSettings) -> Iterator[tuple[str, Method]]:
    """Sampler settings, at the oracle length."""
    yield "as is", oracle_under(base)
    for name, values in (
        ("entropy_bound", (0.05, 0.2, 1.0, 3.0)),
        ("max_denoising_steps", (8, 16, 48)),
        ("confidence_threshold", (0.02, 0.05, 0.5, 1.0)),
        ("stability_threshold", (2,)),
    ):
        for value in values:
            changed = _sampler(base, **{name: value})
            yield f"{name} {value}", oracle_under(changed)
    for t_max, t_min in ((0.4, 0.4), (0.8, 0.1), (1.0, 0.6), (0.2, 0.1)):
        changed = _sampler(base, t_max=t_max, t_min=t_min)
        yield f"temperature {t_max} to {t_min}", oracle_under(changed)


def length_variants(base: EngineSettings) -> Iterator[tuple[str, Method]]:
    """Which lanes race, and how many continue."""
    for name, lengths in LENGTHS.items():
        yield name, _filling(_length(base, lengths=lengths))
    for name, kept in KEPT.items():
        yield f"keeping {name}", _filling(_length(base, keep_after=kept))
    # Lanes of one length differ in their noise.
    seeded = _length(
        base,
        lengths=tuple(n for n in base.length.lengths for _ in range(SEEDS)),
        keep_after=tuple((step, count * SEEDS) for step, count in base.length.keep_after),
    )
    yield f"{SEEDS} seeds for each length", _filling(seeded)


def prompt_variants(base: EngineSettings) -> Iterator[tuple[str, Method]]:
    """Where the text after the span is, and how much of it; at the oracle length and in a race.

    Without a right anchor no race can be decided, so these are at the oracle length only.
    """
    places: dict[str, dict[str, Any]] = {
        "suffix in both": {},
        "suffix in the prompt only": {"right_anchor_tokens": 0},
        "suffix in the canvas only": {"suffix_tokens": 0},
        **{f"anchor of {n}": {"right_anchor_tokens": n} for n in (2, 4, 8, 12, 24)},
        **{f"{n} prefix tokens": {"prefix_tokens": n} for n in (50, 100)},
        **{f"{n} suffix tokens": {"suffix_tokens": n} for n in (16, 36)},
    }
    for name, changes in places.items():
        changed = _prompt(base, **changes)
        yield f"oracle length, {name}", oracle_under(changed)
        if changed.prompt.right_anchor_tokens:
            yield f"race, {name}", _filling(changed)


def _filling(settings: EngineSettings) -> Method:
    return lambda model, span: infiller(settings, job_of(span), model)


def _prompt(base: EngineSettings, **changes: Any) -> EngineSettings:
    return dataclasses.replace(base, prompt=dataclasses.replace(base.prompt, **changes))


def _sampler(base: EngineSettings, **changes: Any) -> EngineSettings:
    return dataclasses.replace(base, sampler=dataclasses.replace(base.sampler, **changes))


def _length(base: EngineSettings, **changes: Any) -> EngineSettings:
    return dataclasses.replace(base, length=dataclasses.replace(base.length, **changes))
