"""Whole jobs with a random masked model, through the real way of loading it."""

from __future__ import annotations

import pytest

from dg_lsp.engine.infilling import Filling
from dg_lsp.job import InfillJob
from dg_lsp.models.loading import load


@pytest.fixture(scope="module")
def loaded(masked_checkpoint):
    return load(str(masked_checkpoint), "cpu")


def fill(loaded, job):
    drafts = []
    infill = Filling(
        *(job, loaded.denoiser, loaded.codec, loaded.family(), loaded.settings),
        lambda: False,
        drafts.append,
    ).run()
    return infill, drafts


JOBS = {
    "usual": InfillJob("def area(self):\n    ret", " ** 2\n"),
    "one character": InfillJob("x", ""),
    "nothing": InfillJob("", ""),
    "before a document": InfillJob("", "x = 1\n"),
    "too long a prefix": InfillJob("radius = 3.14\n" * 5000, "\n"),
    "too long on both sides": InfillJob("a = 1\n" * 5000, "b = 2\n" * 5000),
    "rewrite": InfillJob("x = ", "\n", replaced="self.radius * 3.14", strength=0.5),
    "known length": InfillJob("x = ", "\n", span_tokens=5),
    "decomposed": InfillJob("nai\u0308ve = ", "\n"),
}


@pytest.mark.parametrize("name", JOBS)
def test_every_job_ends_and_the_same_job_ends_the_same(loaded, name):
    first, drafts = fill(loaded, JOBS[name])
    again, _ = fill(loaded, JOBS[name])

    assert (first.candidates, first.steps) == (again.candidates, again.steps)
    assert first.candidates or first.reason
    assert drafts
    assert first.prompt_tokens < 512
