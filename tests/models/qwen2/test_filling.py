"""Whole jobs with a random masked model, through the real way of loading it."""

from __future__ import annotations

import dataclasses

import pytest

from dg_lsp.engine.infilling import Filling
from dg_lsp.job import InfillJob
from dg_lsp.models.loading import LoadedModel, load
from dg_lsp.models.qwen2.denoiser import Qwen2Denoiser


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


LINE = "return self.radius * 2"


def test_keystrokes_inside_a_token_read_nothing_again_and_change_no_text(loaded):
    """As a user types a line, with a correction in between."""
    typed = [LINE[:count] for count in (*range(len(LINE) + 1), 9, 10, 11)]
    jobs = [InfillJob("def area(self):\n    " + text, "\n\nx = 1\n") for text in typed]

    # Random weights are never sure.
    hasty = dataclasses.replace(loaded.settings.masked, sure_probability=0.0, max_steps=6)
    settings = dataclasses.replace(loaded.settings, masked=hasty)

    def new() -> LoadedModel:
        denoiser = Qwen2Denoiser(loaded.denoiser.model, loaded.config)
        return dataclasses.replace(loaded, denoiser=denoiser, settings=settings)

    shared = new()
    passes = 0
    for job in jobs:
        fresh = new()
        (ours, drafts), (theirs, others) = fill(shared, job), fill(fresh, job)
        assert (ours.candidates, ours.steps) == (theirs.candidates, theirs.steps)
        assert [draft.text for draft in drafts] == [draft.text for draft in others]
        passes += fresh.denoiser.full_passes

    # Each of them would have read the text before its first step.
    assert passes - len(jobs) < shared.denoiser.full_passes < passes - len(jobs) / 3
