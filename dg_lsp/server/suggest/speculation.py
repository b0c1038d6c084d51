"""Speculative jobs: when one is worth it, and what they have cost and saved.

While a suggestion is shown and the engine has nothing else to do, the suggestion that follows
its acceptance is prepared (`suggestions.py`), one step ahead and never further.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from dg_lsp.job import InfillJob


@dataclass(frozen=True, slots=True)
class Ahead:
    """What makes a job speculative."""

    last: InfillJob
    """The last job of the document, whose prompt the engine has in its cache."""
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when somebody waits for it."""

    def keeps_prompt(self, job: InfillJob) -> bool:
        """Whether the job's prompt only continues the last one.

        Otherwise it would take that one's place in the cache, and the user's next key, if it is
        not an acceptance, would have to wait until all of it has been read again.
        """
        last = self.last
        return job.prefix.startswith(last.prefix) and (
            (job.suffix, job.snippets, job.path) == (last.suffix, last.snippets, last.path)
        )


@dataclass(slots=True)
class Speculated:
    """Counts of one client."""

    jobs: int = 0
    hits: int = 0
    """Requests that were answered by what had been prepared, or by the job that prepared it."""
    steps: int = 0
    steps_used: int = 0
    """Steps of the jobs that answered a request."""
