"""Decides when a canvas has settled: when its free positions are stable and confident.

Pinned positions have no entropy and never change. If they counted, they would dilute the mean
and stop a canvas whose span is still changing.
"""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from dg_lsp.config import SamplerSettings


class Stopping:
    """Watches the argmax of the free positions of one lane."""

    def __init__(self, settings: SamplerSettings) -> None:
        self._settings = settings
        self._history: deque[Tensor] = deque(maxlen=settings.stability_threshold)

    def settled(self, argmax: Tensor, entropy: Tensor) -> bool:
        """Whether to stop after this step; both (free positions,), entropy in nats.

        Pass host tensors: every comparison waits for the tensor's device.
        """
        threshold = self._settings.stability_threshold
        stable = len(self._history) == threshold and all(
            torch.equal(earlier, argmax) for earlier in self._history
        )
        self._history.append(argmax.clone())
        return stable and float(entropy.mean()) < self._settings.confidence_threshold
