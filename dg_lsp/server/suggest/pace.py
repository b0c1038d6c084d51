"""How long to wait after a key before the model is asked.

While the user types on, a job that was started is thrown away with the next key. So the server
waits until the next key is overdue by the user's own cadence. Inside a word it waits longer,
because the next letter is nearly certain. A fast engine is asked sooner: the wait is bounded by
what a job takes, because it cannot save more.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field

KEPT_GAPS = 24
PAUSE_S = 1.0
"""A longer gap between two keys is a pause of its own and says nothing about the cadence."""
USUAL_GAP_S = 0.16
"""Of a user who has typed too little to tell."""
LEAST_GAPS = 6
OVERDUE = 2.0
"""Multiple of the usual gap after which the next key is overdue; most keys come before."""
OVERDUE_IN_WORD = 2.5
ENGINE_SHARE = 3.0
"""Multiple of a job's time that is waited at most."""
MOST_WAIT_S = 0.5
SMOOTHING = 0.3
"""Weight of the newest job in the engine's average time."""


@dataclass(slots=True)
class Pace:
    """The user's cadence and the engine's speed, both as measured."""

    engine_s: float | None = None
    """How long a job takes; `None` until one has ended."""
    last_key_s: float | None = None
    gaps_s: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_GAPS))

    def key(self, at_s: float) -> None:
        """A key was pressed that changed the text."""
        if self.last_key_s is not None and 0 < at_s - self.last_key_s < PAUSE_S:
            self.gaps_s.append(at_s - self.last_key_s)
        self.last_key_s = at_s

    def job_took(self, took_s: float) -> None:
        before = took_s if self.engine_s is None else self.engine_s
        self.engine_s = before + SMOOTHING * (took_s - before)

    @property
    def gap_s(self) -> float:
        """The usual time between two keys."""
        known = len(self.gaps_s) >= LEAST_GAPS
        return statistics.median(self.gaps_s) if known else USUAL_GAP_S

    def wait_s(self, now_s: float, *, is_in_word: bool) -> float:
        """How much longer to wait before a job is started."""
        if self.engine_s is None or self.last_key_s is None:
            return 0.0
        overdue_s = (OVERDUE_IN_WORD if is_in_word else OVERDUE) * self.gap_s
        pause_s = min(overdue_s, ENGINE_SHARE * self.engine_s, MOST_WAIT_S)
        return max(0.0, self.last_key_s + pause_s - now_s)
