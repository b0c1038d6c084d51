"""What a trace says of a job that a tool has sent to the engine."""

from __future__ import annotations

import json

from dg_lsp.diagnosis.records import tool_record
from dg_lsp.job import Candidate, Infill, InfillJob, JobResult, JobState, Seed, SeedOrigin


def test_where_texts_were_found_but_neither_text_nor_path():
    seeds = (
        Seed("alpha", origin=SeedOrigin.OPEN_FILE, path="secret/b.py"),
        Seed("beta", origin=SeedOrigin.WORKSPACE, path="secret/c.py"),
    )
    found = [("alpha", 0), ("beta!", 1), ("gamma", None), ("delta", 9)]
    candidates = tuple(Candidate(text, 0.5, 0.0, seed=seed) for text, seed in found)
    result = JobResult(JobState.DONE, Infill(candidates, 3))
    record = tool_record(InfillJob("", "", seeds=seeds), result, 0.1, "/infill", "a tool")

    for texts in (record["suggestions"], record["candidates"]):
        assert [(one["source"], one["corrected"]) for one in texts] == [
            ("open file", False),
            ("workspace", True),
            ("model", False),
            ("model", False),
        ]
    assert record["seen"]["seeds"] == 2
    assert not any(word in json.dumps(record) for word in ("alpha", "beta", "secret"))
