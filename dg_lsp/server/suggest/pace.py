"""How long to wait after a key before the model is asked.

A job is in vain if the user types on before it has ended and its text has been seen. So the
server waits until that has become unlikely: of the gaps after such keys that were as long as
this one is already, not too many end within that time. After a line break, where users stop to
think, the model is therefore asked at once, and inside a word only when the user has paused; a
fast engine is asked sooner.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

KEPT_GAPS = 40
MOST_RISK = 0.3
"""Share of jobs that may be in vain."""
SEEN_S = 0.12
"""How long a text has to be there to be noticed. With less, a fast engine is asked at most
keys; with more, suggestions come later (docs/benchmarks.md)."""
MOST_WAIT_S = 0.5
SMOOTHING = 0.3
"""Weight of the newest job in the engine's average time."""
SAME_KEY_S = 0.005
"""A line break and the indentation that the editor adds may come as two edits."""


class After(enum.Enum):
    """What the last key wrote; gaps differ most by that."""

    LINE = "a line break"
    WORD = "a letter or a digit"
    SIGN = "anything else"


USUAL_GAPS_S = {
    After.WORD: (0.10, 0.12, 0.14, 0.15, 0.17, 0.20, 0.25, 1.5),
    After.SIGN: (0.14, 0.17, 0.20, 0.23, 0.27, 0.32, 0.45, 1.5),
    After.LINE: (0.40, 0.50, 0.60, 0.70, 0.80, 0.95, 1.2, 2.0),
}
"""What is assumed of a user until there are measured gaps."""


def after(typed: str | None) -> After:
    """The kind of key that typed this; `None` stands for an edit that did something else."""
    if typed and "\n" in typed and not typed.rpartition("\n")[2].strip():
        return After.LINE
    last = typed[-1:] if typed else ""
    return After.WORD if last == "_" or last.isalnum() else After.SIGN


@dataclass(slots=True)
class Pace:
    """The user's cadence and the engine's speed, both as measured."""

    engine_s: float | None = None
    """How long a job takes; `None` until one has ended."""
    last_key_s: float | None = None
    last_key: After = After.SIGN
    gaps_s: dict[After, deque[float]] = field(
        default_factory=lambda: {
            kind: deque(gaps, maxlen=KEPT_GAPS) for kind, gaps in USUAL_GAPS_S.items()
        }
    )
    """The last gaps after each kind of key."""

    def key(self, at_s: float, typed: str | None = None) -> None:
        """A key was pressed that changed the text."""
        gap_s = None if self.last_key_s is None else at_s - self.last_key_s
        self.last_key_s = at_s
        if gap_s is not None and gap_s < SAME_KEY_S and typed and not typed.strip():
            return
        if gap_s is not None and gap_s > 0:
            self.gaps_s[self.last_key].append(gap_s)
        self.last_key = after(typed)

    def job_took(self, took_s: float) -> None:
        before = took_s if self.engine_s is None else self.engine_s
        self.engine_s = before + SMOOTHING * (took_s - before)

    def wait_s(self, now_s: float) -> float:
        """How much longer to wait before a job is started."""
        if self.engine_s is None or self.last_key_s is None:
            return 0.0
        pause_s = min(
            safe_after(self.gaps_s[self.last_key], self.engine_s + SEEN_S), MOST_WAIT_S
        )
        return max(0.0, self.last_key_s + pause_s - now_s)


def safe_after(gaps_s: Iterable[float], job_s: float) -> float:
    """How old a gap must be, so that of those at least as long, at most `MOST_RISK` end within
    `job_s` from then on."""
    gaps = sorted(gaps_s)
    for number, start_s in enumerate((0.0, *gaps)):
        left = gaps[number:]
        if not left:
            return start_s
        cut_short = sum(gap <= start_s + job_s for gap in left)
        if cut_short <= MOST_RISK * len(left):
            return start_s
    raise AssertionError("after the longest gap, none is left")
