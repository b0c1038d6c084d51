"""What preparing a forward pass for many runs gives: captured on a GPU, as it is on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Captured(Generic[Outcome]):
    """A forward pass with fixed addresses that can be run repeatedly."""

    run: Callable[[], Outcome]
    """Each run may overwrite the previous result."""
    nbytes: int = 0
    """Memory that it holds besides tensors."""


class Capture(Protocol):
    """Prepares a forward pass to be run; may raise whatever the forward pass raises."""

    def __call__(self, forward: Callable[[], Outcome]) -> Captured[Outcome]: ...


def uncaptured(forward: Callable[[], Outcome]) -> Captured[Outcome]:
    """Run the forward pass without capturing it, operation by operation."""
    return Captured(forward)
