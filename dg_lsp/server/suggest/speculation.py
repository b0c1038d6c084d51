"""What speculation has cost and saved.

While a suggestion is shown and the engine has nothing else to do, the suggestion that follows
its acceptance is prepared (`suggestions.py`), one step ahead and never further.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Speculated:
    """Counts of one client."""

    jobs: int = 0
    hits: int = 0
    """Requests that were answered by what had been prepared, or by the job that prepared it."""
    steps: int = 0
    steps_used: int = 0
    """Steps of the jobs that answered a request."""
