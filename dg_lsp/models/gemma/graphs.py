"""The one part of bucketed steps that needs a GPU: capture and replay of CUDA graphs.

Not measured yet, and not run by any test that works without a GPU; everything it is given
runs on a CPU as well (models/buckets.py).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from dg_lsp.models.gemma.buckets import Outcome, Runner

WARM_UP_RUNS = 2
"""Before the capture, so that kernels are compiled and libraries have their workspaces."""


class GraphCapture:
    """Captures steps into graphs that share one memory pool."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, step: Callable[[], Outcome]) -> Runner:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_RUNS):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            outcome = step()

        def replay() -> Outcome:
            graph.replay()
            return outcome

        return replay
