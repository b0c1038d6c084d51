"""How long a front end waits for each part of the answer to a job.

An engine that sends signs of life for ever must not hold a job for ever.
"""

from __future__ import annotations

from dg_lsp.job import InfillJob

SILENCE_S = 10.0
"""An engine sends a sign of life every second; importing torch can delay it."""
HEAD_S = 15.0
"""Until a job is accepted, which comes before the model is asked."""
BEGIN_S = 600.0
"""For a job to begin: the model may have to be loaded first, and others may wait before it."""
MOST_S = 3600.0
"""For a job without a deadline."""
GRACE_S = 30.0
"""For the end of a job after its deadline, which it notices between two steps."""


def longest_s(job: InfillJob) -> float:
    """How long a job may run."""
    return MOST_S if job.deadline_s is None else job.deadline_s
