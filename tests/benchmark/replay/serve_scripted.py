"""The server under test with a model that follows a script; run as a process.

It writes the line of TARGET that the text before the cursor has begun, after three drafts.
"""

from __future__ import annotations

import sys

from dg_lsp.benchmark.replay.serving import run
from dg_lsp.job import Candidate, Draft, Infill, ModelInfo

TARGET = """\
def total(rows):
    count = len(rows)
    return sum(row['n'] for row in rows) / count
"""
STEPS = 4


def rest_of_line(prefix):
    line = prefix.rpartition("\n")[2]
    if not line.strip():
        return ""
    for one in TARGET.splitlines():
        if one.startswith(line) and one != line:
            return one[len(line) :]
    return ""


def fill(job, on_draft):
    text = rest_of_line(job.prefix)
    if not text:
        return Infill((), STEPS, model="scripted")
    candidate = Candidate(text, 0.9, -1.0, (0.9,) * len(text))
    for step in range(1, STEPS):
        on_draft(Draft(text, candidate.confidences, step, 8, candidate=candidate))
    return Infill((candidate,), STEPS, model="scripted")


if __name__ == "__main__":
    info = ModelInfo("scripted", "cpu", 512, 256)
    sys.exit(run(lambda: (fill, info, lambda text: len(text) // 3)))
