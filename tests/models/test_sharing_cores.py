"""On a CPU, torch leaves the cores to other programs that need them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import chain, repeat

import pytest
import torch

from dg_lsp.evaluation.methods import Outcome, infiller
from dg_lsp.job import InfillJob
from dg_lsp.models import sharing_cores
from dg_lsp.models.loading import load
from dg_lsp.models.sharing_cores import OtherThreads, beside_others, running_threads
from dg_lsp.models.store import BUNDLED
from dg_lsp.threads import ROUNDS

CORES = 4


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of a machine with as many, whatever this one has, and torch uses them all."""
    monkeypatch.setattr(sharing_cores.os, "cpu_count", lambda: CORES)
    monkeypatch.setenv("GOMP_SPINCOUNT", ROUNDS)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(CORES)
    yield
    torch.set_num_threads(before)


def others(*running: int | None) -> OtherThreads:
    """What these samples make of it; the last one goes on."""
    samples = chain(running, repeat(running[-1]))
    return OtherThreads(lambda: next(samples))


def threads_beside(others: OtherThreads) -> int:
    with beside_others(others):
        return torch.get_num_threads()


@pytest.mark.parametrize(
    ("running", "expected"),
    [(1, CORES), (2, 3), (4, 1), (40, 1), (None, CORES)],
)
def test_torch_uses_the_cores_that_are_free(running: int | None, expected: int) -> None:
    assert threads_beside(others(running)) == expected
    assert torch.get_num_threads() == CORES


def test_what_runs_for_a_moment_takes_no_core() -> None:
    now_and_then = others(1, 3, 3, 1, 3, 3, 3)

    assert [threads_beside(now_and_then) for _ in range(7)] == [4, 4, 4, 4, 4, 4, 2]


def test_the_number_is_restored_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), beside_others(others(3)):
        raise ZeroDivisionError
    assert torch.get_num_threads() == CORES


def test_whoever_sets_how_threads_wait_has_as_many_as_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "1")

    assert threads_beside(others(40)) == CORES


def test_busy_programs_are_counted() -> None:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        # They and this thread, as soon as the two have started.
        give_up = time.monotonic() + 30
        while (running_threads() or 0) < 3:
            assert time.monotonic() < give_up
    finally:
        for one in loops:
            one.kill()
            one.wait()


def test_a_machine_without_counts_is_taken_as_idle(
    monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    monkeypatch.setattr(sharing_cores, "COUNTS", sharing_cores.Path(tmp_path) / "missing")

    assert running_threads() is None


def test_the_number_of_threads_changes_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine, both would run with one thread.
    monkeypatch.setenv("GOMP_SPINCOUNT", "1")
    model = load(BUNDLED)
    job = InfillJob("def area(width, height):\n    return width", "\n\n\ndef perimeter(")

    def outcome(threads: int) -> list[object]:
        torch.set_num_threads(threads)
        found: Outcome = infiller(model.settings, job, model)
        return [found.steps, *((one.text, one.confidence) for one in found.candidates)]

    assert outcome(1) == outcome(2)
