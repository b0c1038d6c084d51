"""What keeps a keystroke from the engine.

Everything is on in an editor. `dg-lsp bench keystrokes` switches one after the other off, to
measure what each is worth.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Savings:
    """Which of the ways to save a job are used."""

    typed_through: bool = True
    """The rest of the last answer, while the user types what it says."""
    remembered: bool = True
    """Answers before the last one."""
    joined: bool = True
    """The job under way, if what it writes agrees with what was typed."""
    speculation: bool = True
    """The answer to the request that follows the acceptance of what is shown, prepared while
    the engine is idle."""
    warm: bool = True
    """Starting from the suggestion that the user departed from, which saves steps."""
    rules: bool = True
    """Places where the model is not asked (`rules.py`)."""
    pause: bool = True
    """Waiting for a pause in typing (`pace.py`)."""


ALL = Savings()
