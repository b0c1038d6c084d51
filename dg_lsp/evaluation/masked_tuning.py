"""Variants of the settings of a masked model that are tried on the tuning files.

Each changes one of the checkpoint's own settings. Spans have an unknown length unless the name
says that their true length is known.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from dg_lsp.config import EngineSettings, MaskedSettings, Order
from dg_lsp.evaluation.methods import (
    Method,
    Outcome,
    infiller,
    oracle,
    oracle_under,
    without_length_tokens,
)
from dg_lsp.evaluation.spans import TrueSpan, job_of
from dg_lsp.models.loading import LoadedModel

REFRESHED = {
    "exact steps": 1,
    "context refreshed every 2 steps": 2,
    "context refreshed every 4 steps": 4,
    "context refreshed every 8 steps": 8,
    "context read once": 0,
}
"""Steps for which the keys and values of the text around a canvas are used."""
LEAST = (1.0, 0.98, 0.95, 0.9, 0.8, 0.7, 0.5)
STARTS: tuple[tuple[int, ...], ...] = ((4,), (8,), (16,), (32,), (64,), (8, 32))
RACING: tuple[tuple[int, ...], ...] = ((8,), (4, 12), (2, 4, 8, 16), (1, 2, 3, 4, 6, 8, 12, 16))
EXPANDS = MaskedSettings().expand_budget


def cache_variants(base: EngineSettings) -> Iterator[tuple[str, Method]]:
    """How often the text around a canvas is read anew, at the true length and at an unknown
    one."""
    for name, steps in REFRESHED.items():
        yield f"true length, {name}", _refreshing(oracle, steps)
        yield name, _refreshing(_under(base), steps)


def commit_variants(base: EngineSettings) -> Iterator[tuple[str, Method]]:
    """How many positions a step decides, and which; at the true length."""
    for least in LEAST:
        name = "one position a step" if least == 1 else f"positions with {least:g} or more"
        yield name, oracle_under(_masked(base, sure_probability=least))
    for order in Order:
        yield (
            f"order {order.value}",
            oracle_under(_masked(base, order=order, sure_probability=1.0)),
        )
    for steps in (4, 8):
        changed = _masked(base, order=Order.P2, p2_steps=steps)
        yield f"order {Order.P2.value} in {steps} steps", oracle_under(changed)


def length_variants(base: EngineSettings) -> Iterator[tuple[str, Method]]:
    """How the length of a span is found: by deleting and expanding masks, or by a race."""
    for starts in STARTS:
        changed = _masked(base, start_masks=starts, expand_budget=EXPANDS)
        yield f"{_listed(starts)} masks at first", _under(changed)
    for starts in RACING:
        changed = _masked(base, start_masks=starts, expand_budget=0)
        yield f"{_listed(starts)} masks at first, no expands", _under(changed)
    yield "race of lengths, no length tokens", _racing(base)
    kept = tuple((step, 1) for step, _ in base.masked.keep_after)
    changed = _masked(base, keep_after=kept)
    yield "race of lengths, the surest after one step", _racing(changed)


def _listed(numbers: Sequence[int]) -> str:
    return " and ".join(map(str, numbers))


def _under(settings: EngineSettings) -> Method:
    return lambda model, span: infiller(settings, job_of(span), model)


def _racing(settings: EngineSettings) -> Method:
    return lambda model, span: _under(settings)(without_length_tokens(model), span)


def _refreshing(method: Method, steps: int) -> Method:
    """The method with a denoiser of other settings, over the same weights."""

    def fill(model: LoadedModel, span: TrueSpan) -> Outcome:
        denoiser: Any = copy.copy(model.denoiser)
        denoiser.refresh_steps = steps
        return method(dataclasses.replace(model, denoiser=denoiser), span)

    return fill


def _masked(base: EngineSettings, **changes: Any) -> EngineSettings:
    return dataclasses.replace(base, masked=dataclasses.replace(base.masked, **changes))
