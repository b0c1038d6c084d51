"""What is kept of the work behind an answer."""

from __future__ import annotations

from dg_lsp.job import Infill, JobResult, JobState
from dg_lsp.server.suggest.answer import Work


def test_what_the_engine_accounts_for_is_not_counted_as_the_way_to_it():
    work = Work()
    work._mark -= 0.030
    told = {"queue": 1.0, "prompt": 2.0, "denoise": 20.0, "total": 22.0}
    work.end(JobResult(JobState.DONE, Infill((), 3, told)))

    assert work.engine_ms == 22.0
    assert list(work.timings_ms) == ["socket", "queue", "prompt", "denoise"]
    assert 7.0 <= work.timings_ms["socket"] < 30.0


def test_the_times_of_several_tries_are_added_up():
    work = Work()
    for _ in range(2):
        work._mark -= 0.030
        told = {"queue": 1.0, "denoise": 20.0, "total": 22.0}
        work.end(JobResult(JobState.DONE, Infill((), 3, told)))

    assert work.engine_ms == 44.0
    assert (work.timings_ms["queue"], work.timings_ms["denoise"]) == (2.0, 40.0)
    assert 14.0 <= work.timings_ms["socket"] < 60.0
