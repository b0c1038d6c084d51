"""Captures and replays CUDA graphs: the only part of bucketed steps that needs a GPU.

It has not been measured yet, and only GPU tests run it; everything that it captures also runs
on a CPU (buckets.py).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from dg_lsp.models.gemma.buckets import Outcome, Runner

WARM_UP_RUNS = 2
"""Runs before the capture, which compile kernels and allocate the libraries' workspaces."""


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
