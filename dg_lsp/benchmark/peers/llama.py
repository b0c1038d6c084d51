"""The autoregressive peer: a Qwen2 of the same shape in llama.cpp.

It reads the text on both sides as a fill-in-the-middle prompt, and then writes one token after
the other. Needs the packages of the extra `bench`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from dg_lsp.benchmark.peers.measuring import Scenario
from dg_lsp.reason import CodedError, ReasonCode

LLAMA = "llama.cpp"
FIM_TOKENS = 3
"""The marks of prefix, suffix and middle."""


class MissingPeerError(CodedError, ValueError):
    """A package of the extra `bench` is not installed."""

    code = ReasonCode.MISSING_PACKAGE


def import_peer(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.replace("_cpp", "-cpp-python")
        raise MissingPeerError(
            f"bench peers needs {package}; run `pip install 'dg-lsp[bench]'`, or leave "
            "llama.cpp out with --no-llama"
        ) from error


class LlamaPeer:
    """Implements `measuring.Method`. The prompt is read once; then each pass writes a token."""

    reads_once = True
    commits: tuple[int, ...] = (1,)

    def __init__(
        self, llama_cpp: Any, path: Path, kind: str, threads: int, context: int
    ) -> None:
        self.name = LLAMA
        self.weights = kind
        self._model = llama_cpp.Llama(
            str(path),
            n_ctx=context,
            n_threads=threads,
            n_threads_batch=threads,
            verbose=False,
        )

    def passes(self, scenario: Scenario) -> int:
        return scenario.span

    def read(self, scenario: Scenario) -> None:
        self._model.reset()
        self._model.eval([7 + at % 1000 for at in range(scenario.context + FIM_TOKENS)])

    def write(self, scenario: Scenario, passes: int) -> None:
        # Every round continues the prompt alone.
        self._model.n_tokens = scenario.context + FIM_TOKENS
        for _ in range(passes):
            self._model.eval([self._model.sample(temp=0.0)])
