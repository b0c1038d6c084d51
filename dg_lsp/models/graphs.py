"""Captures and replays CUDA graphs: the only part of bucketed steps that needs a GPU.

It has not run on one yet: tests check the order of its calls against a stand-in for
`torch.cuda`, and everything that it captures also runs on a CPU (the families' `bucketed.py`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from torch import cuda

from dg_lsp.models.captured import Captured, Outcome

WARM_UP_RUNS = 2
"""Runs before the capture, which compile kernels and allocate the libraries' workspaces."""


class GraphCapture:
    """Captures forward passes into graphs that share a memory pool.

    A pool ends with the last of its graphs, and torch refuses to capture into one that has
    ended; so the first graph after that gets a new pool.
    """

    def __init__(self) -> None:
        self._pool: Any = None
        self._graphs: weakref.WeakSet[cuda.CUDAGraph] = weakref.WeakSet()
        self._stream: cuda.Stream | None = None

    def __call__(self, forward: Callable[[], Outcome]) -> Captured[Outcome]:
        # Warm-up and capture share a stream, because libraries have a workspace for each.
        stream = self._stream = self._stream or cuda.Stream()
        stream.wait_stream(cuda.current_stream())
        try:
            # `cuda.graph` does not leave the stream if the end of a capture fails.
            with cuda.stream(stream):
                for _ in range(WARM_UP_RUNS):
                    forward()
                graph, outcome, nbytes = self._captured(forward, stream)
        except BaseException:
            # Whatever a failed capture left in the pool, nothing is captured into it again.
            self._pool = None
            raise
        cuda.current_stream().wait_stream(stream)
        self._graphs.add(graph)

        def replay() -> Outcome:
            graph.replay()
            return outcome

        return Captured(replay, nbytes)

    def _captured(
        self, forward: Callable[[], Outcome], stream: cuda.Stream
    ) -> tuple[cuda.CUDAGraph, Outcome, int]:
        """The graph, what it returns, and the bytes that the driver keeps for it."""
        if self._pool is None or not self._graphs:
            self._pool = cuda.graph_pool_handle()
        cuda.synchronize()
        cuda.empty_cache()
        before = _bytes_of_the_driver()
        graph = cuda.CUDAGraph()
        with cuda.graph(graph, pool=self._pool, stream=stream):
            outcome = forward()
        return graph, outcome, max(0, _bytes_of_the_driver() - before)


def _bytes_of_the_driver() -> int:
    """Memory in use that torch's allocator did not ask for."""
    free, total = cuda.mem_get_info()
    return total - free - cuda.memory_reserved()
