"""Captures, with a stand-in for `torch.cuda` that behaves like it where that matters here."""

from __future__ import annotations

import contextlib

import pytest
import torch

from dg_lsp.models import graphs
from dg_lsp.models.graphs import WARM_UP_RUNS, GraphCapture


class Stream:
    def wait_stream(self, other: Stream) -> None:
        pass


class Graph:
    def __init__(self) -> None:
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1


class Cuda:
    """A pool ends with its last graph; a capture into one that has ended is refused."""

    CUDAGraph, Stream = Graph, Stream

    def __init__(self) -> None:
        self.current = self.first = Stream()
        self.pools: list[list[Graph]] = []
        self.graph_stream: Stream | None = None
        self.used: list[int] = []
        self.driver_bytes = self.tensor_bytes = 0
        self.end_fails = False

    def current_stream(self) -> Stream:
        return self.current

    @contextlib.contextmanager
    def stream(self, stream: Stream):
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    def graph_pool_handle(self) -> int:
        self.pools.append([])
        return len(self.pools) - 1

    @contextlib.contextmanager
    def graph(self, graph: Graph, pool: int, stream: Stream):
        assert pool not in self.used or self.alive(pool), "use_count > 0"
        self.current, self.graph_stream = stream, stream
        self.used.append(pool)
        failed = None
        try:
            yield
        except torch.OutOfMemoryError as error:
            failed = error
        if failed and self.end_fails:
            # torch raises this from its `__exit__`, and stays on the stream.
            raise RuntimeError("CUDA error: capture was invalidated") from failed
        if failed:
            raise failed
        self.pools[pool].append(weak(graph))
        self.driver_bytes += 5000
        self.tensor_bytes += 70000

    def alive(self, pool: int) -> bool:
        return any(one() is not None for one in self.pools[pool])

    def synchronize(self) -> None: ...

    def empty_cache(self) -> None: ...

    def memory_reserved(self) -> int:
        return self.tensor_bytes

    def mem_get_info(self) -> tuple[int, int]:
        return 10**9 - self.driver_bytes - self.tensor_bytes, 10**9


def weak(graph: Graph):
    import weakref

    return weakref.ref(graph)


@pytest.fixture
def cuda(monkeypatch) -> Cuda:
    fake = Cuda()
    monkeypatch.setattr(graphs, "cuda", fake)
    return fake


def test_a_captured_pass_is_replayed_and_its_graph_counted(cuda):
    runs: list[Stream] = []

    def forward() -> str:
        runs.append(cuda.current_stream())
        return "outcome"

    captured = GraphCapture()(forward)

    assert captured.run() == captured.run() == "outcome"
    # All on one stream that is not the usual one, and replays run nothing.
    assert runs == [cuda.graph_stream] * (WARM_UP_RUNS + 1)
    assert cuda.current is cuda.first is not cuda.graph_stream
    # Tensors are not counted: they are in the pool that all share.
    assert captured.nbytes == 5000


def test_graphs_share_a_pool_and_the_next_generation_has_its_own(cuda):
    capture = GraphCapture()
    first, second = capture(lambda: 1), capture(lambda: 2)
    assert cuda.used == [0, 0]
    del first
    third = capture(lambda: 3)
    assert cuda.used == [0, 0, 0]

    del second, third
    kept = [capture(lambda: 4), capture(lambda: 5)]
    assert cuda.used == [0, 0, 0, 1, 1]
    assert [one.run() for one in kept] == [4, 5]


@pytest.mark.parametrize("end_fails", [False, True])
@pytest.mark.parametrize("at_run", [0, WARM_UP_RUNS])
def test_after_a_failed_capture_the_next_one_works(cuda, end_fails, at_run):
    cuda.end_fails = end_fails
    runs = 0

    def forward() -> None:
        nonlocal runs
        runs += 1
        if runs == at_run + 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    capture = GraphCapture()
    before = capture(lambda: 1)
    with pytest.raises(RuntimeError) as caught:
        capture(forward)
    chain = (caught.value, caught.value.__cause__)
    assert any(isinstance(error, torch.OutOfMemoryError) for error in chain)
    assert cuda.current is cuda.first

    after = capture(lambda: 2)
    assert (before.run(), after.run()) == (1, 2)
    assert cuda.used[-1] != cuda.used[0]
